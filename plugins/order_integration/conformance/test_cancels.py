"""Flows 4 and 5: totals, and what is known of a unit."""

from collections import Counter
from typing import Any

from order_integration.channels.commands import GetCancelledOrders, GetUpdatedOrderItems
from order_integration.conformance.bench import Bench
from order_integration.conformance.judging import Order, about, entries, placed
from order_integration.dto import CancelOrderDto, ChannelUpdateOrderItemDto

NAMES = {"remote_id", "order_remote_id", "order_number", "modified_at"}


def cancelled(bench: Bench, order: Order) -> CancelOrderDto:
    found = [entry for entry in entries(bench, GetCancelledOrders, order.window) if entry.dto]
    (one,) = [entry for entry in found if about(entry.dto) == order.key]
    assert one.key == order.key, "a cancel is keyed by its order"
    assert isinstance(one.dto, CancelOrderDto)
    return one.dto


def test_cancels_are_totals(bench: Bench) -> None:
    order = placed(bench, units=3)
    last, before = order.items[-1], order.items[-2]

    bench.cancel(order.key, [last])
    first = cancelled(bench, order)
    bench.cancel(order.key, [before])
    second = cancelled(bench, order)

    assert Counter(first.cancel_items) == Counter([last])
    assert Counter(second.cancel_items) == Counter([last, before]), "not all that is cancelled by now"
    assert all(second.reasons[item] for item in second.cancel_items)


def test_an_order_that_nothing_was_cancelled_of_is_no_cancel(bench: Bench) -> None:
    order, other = placed(bench, units=2), placed(bench, units=2)

    bench.cancel(other.key, [other.items[-1]])

    found = [entry for entry in entries(bench, GetCancelledOrders, order.window) if entry.dto]
    assert order.key not in {about(entry.dto) for entry in found}


def news_of(bench: Bench, order: Order, item: str) -> list[ChannelUpdateOrderItemDto]:
    found: list[Any] = [entry for entry in entries(bench, GetUpdatedOrderItems, order.window) if entry.dto]
    assert all(entry.key.endswith(entry.dto.remote_id) for entry in found if entry.dto.remote_id in order.items)
    return [entry.dto for entry in found if entry.dto.remote_id == item]


def test_news_of_a_unit_say_what_is_known_and_clear_nothing(bench: Bench) -> None:
    order = placed(bench, units=2)
    item = order.items[0]

    bench.news(order.key, item)

    (news,) = news_of(bench, order, item)
    given = news.model_fields_set - NAMES
    assert given, "the news has no news"
    assert [name for name in given if getattr(news, name) is None] == [], "None clears a field that was never known"
    assert news.modified_at is not None, "without modified_at older news may overwrite newer"
    assert news.order_remote_id in {None, order.key}
