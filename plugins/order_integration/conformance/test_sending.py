"""Flows 2 and 3: orders that go to the channel, at once or as feeds; and the channel's settings."""

import time
from collections.abc import Collection
from itertools import count

import pytest

from order_integration.channels.commands import CheckOrders, GetChannelConfSchema, SendUpdatedOrders
from order_integration.channels.steps import run_step
from order_integration.conformance.bench import Bench, NotCovered
from order_integration.conformance.judging import Order, done, placed
from order_integration.dto import (
    FeedState,
    FeedVerdict,
    OrderBatchRequestResponseDto,
    OrderStatus,
    ResponseStatus,
    Submission,
    Submitted,
    UpdatedOrderDto,
    UpdatedOrderItemDto,
)

FEED_SECONDS = 60.0
NUMBERS = count(time.time_ns())
TRACKING = "CONFORMANCE1"

both = pytest.mark.parametrize("is_sync", [True, False], ids=["sync", "async"])


def updated(order: Order, shipped: Collection[str] = (), delivered: Collection[str] = ()) -> UpdatedOrderDto:
    """The order as it is in Omnitron, where these units have left the house."""
    states = dict.fromkeys(order.items, OrderStatus.APPROVED)
    states |= dict.fromkeys(shipped, OrderStatus.SHIPPED) | dict.fromkeys(delivered, OrderStatus.DELIVERED)
    header, gone = order.dto.order, {*shipped, *delivered}
    items = [
        UpdatedOrderItemDto(
            pk=number, remote_id=item, status=states[item], tracking_number=TRACKING if item in gone else None
        )
        for number, item in enumerate(order.items, start=1)
    ]
    return UpdatedOrderDto(
        pk=1,
        remote_id=header.remote_id,
        number=header.number,
        status=OrderStatus.SHIPPED if gone else OrderStatus.APPROVED,
        modified_date=header.created_at,
        cargo_company=header.cargo_company,
        tracking_number=TRACKING if gone else None,
        items=items,
    )


def submission(*orders: UpdatedOrderDto, is_sync: bool = True) -> Submission:
    return Submission(reference=f"conformance-{next(NUMBERS)}/1", orders=list(orders), is_sync=is_sync)


def submitted(bench: Bench, given: Submission) -> Submitted:
    async def send(command: SendUpdatedOrders) -> Submitted:
        return await command.run(given)

    return done(bench, SendUpdatedOrders, send)


def asked(bench: Bench, feed_ids: list[str]) -> list[FeedVerdict]:
    return done(bench, CheckOrders, lambda command: command.run(feed_ids))


def decided(bench: Bench, answer: Submitted) -> dict[str, OrderBatchRequestResponseDto]:
    """The result of each order, by its remote id, after all feeds were worked off."""
    results = list(answer.results)
    if answer.feed_ids:
        bench.work()
        deadline = time.monotonic() + FEED_SECONDS
        verdicts = asked(bench, answer.feed_ids)
        while not all(one.is_decided for one in verdicts):
            assert time.monotonic() < deadline, "the channel did not work off its feeds"
            time.sleep(0.2)
            verdicts = asked(bench, answer.feed_ids)
        assert {one.feed_id for one in verdicts} == set(answer.feed_ids), "a verdict for each feed"
        results += [result for one in verdicts for result in one.results]
    return {result.remote_id: result for result in results}


def sent(bench: Bench, *orders: UpdatedOrderDto, is_sync: bool = True) -> dict[str, ResponseStatus]:
    """Sent and decided: the status of each order."""
    found = decided(bench, submitted(bench, submission(*orders, is_sync=is_sync)))
    assert all(found[key].message for key in found if found[key].status is ResponseStatus.FAIL), "a FAIL says why"
    return {key: result.status for key, result in found.items()}


@both
def test_what_was_shipped_is_shipped_at_the_channel_unit_by_unit(bench: Bench, is_sync: bool) -> None:
    whole, part = placed(bench, units=2), placed(bench, units=3)

    statuses = sent(bench, updated(whole, whole.items), updated(part, part.items[:2]), is_sync=is_sync)

    assert statuses == {whole.key: ResponseStatus.SUCCESS, part.key: ResponseStatus.SUCCESS}
    assert bench.shipped(whole.key) == set(whole.items)
    assert bench.shipped(part.key) == set(part.items[:2])


@both
def test_the_rest_of_an_order_follows(bench: Bench, is_sync: bool) -> None:
    order = placed(bench, units=2)

    first = sent(bench, updated(order, order.items[:1]), is_sync=is_sync)
    second = sent(bench, updated(order, order.items), is_sync=is_sync)

    assert first == second == {order.key: ResponseStatus.SUCCESS}
    assert bench.shipped(order.key) == set(order.items)


@both
def test_what_is_in_that_state_already_is_a_success_and_nothing_is_written(bench: Bench, is_sync: bool) -> None:
    order = placed(bench, units=2)
    sent(bench, updated(order, order.items), is_sync=is_sync)
    before = bench.state(order.key)

    again = sent(bench, updated(order, order.items), is_sync=is_sync)

    assert again == {order.key: ResponseStatus.SUCCESS}
    assert bench.state(order.key) == before


def test_an_order_of_which_nothing_left_the_house_is_a_success(bench: Bench) -> None:
    order = placed(bench, units=2)
    before = bench.state(order.key)

    assert sent(bench, updated(order)) == {order.key: ResponseStatus.SUCCESS}
    assert bench.state(order.key) == before
    assert bench.shipped(order.key) == set()


def test_a_delivery_is_told_even_if_the_shipment_never_was(bench: Bench) -> None:
    order = placed(bench, units=2)
    before = bench.state(order.key)

    first = sent(bench, updated(order, delivered=order.items))
    between = bench.state(order.key)
    second = sent(bench, updated(order, delivered=order.items))

    assert first == second == {order.key: ResponseStatus.SUCCESS}
    assert bench.shipped(order.key) == set(order.items)
    assert before != between
    assert bench.state(order.key) == between


@both
def test_an_order_that_fails_stops_no_other(bench: Bench, is_sync: bool) -> None:
    good = placed(bench, units=2)
    lost = updated(good, good.items).model_copy(update={"remote_id": "conformance-no-order", "number": "none"})

    statuses = sent(bench, lost, updated(good, good.items), is_sync=is_sync)

    assert statuses == {"conformance-no-order": ResponseStatus.FAIL, good.key: ResponseStatus.SUCCESS}
    assert bench.shipped(good.key) == set(good.items)


def feeds_of(bench: Bench, *orders: UpdatedOrderDto) -> tuple[Submission, Submitted]:
    given = submission(*orders, is_sync=False)
    answer = submitted(bench, given)
    if not answer.feed_ids:
        raise NotCovered("feeds: the channel answers at once")
    return given, answer


def test_a_feed_is_asked_about_until_it_is_decided_and_stays_so(bench: Bench) -> None:
    order = placed(bench, units=2)
    _, answer = feeds_of(bench, updated(order, order.items))

    early = asked(bench, answer.feed_ids)
    decided(bench, answer)
    late, later = asked(bench, answer.feed_ids), asked(bench, answer.feed_ids)

    assert {one.feed_id for one in early} == set(answer.feed_ids)
    assert {one.state for one in early} <= {FeedState.RUNNING, FeedState.DONE}
    assert {one.state for one in late} == {FeedState.DONE}
    assert late == later


def test_a_feed_that_the_channel_does_not_know_is_unknown_and_hides_no_other(bench: Bench) -> None:
    order = placed(bench)
    _, answer = feeds_of(bench, updated(order, order.items))
    decided(bench, answer)

    verdicts = {one.feed_id: one.state for one in asked(bench, ["conformance-no-feed", *answer.feed_ids])}

    assert verdicts.pop("conformance-no-feed") is FeedState.UNKNOWN
    assert verdicts == dict.fromkeys(answer.feed_ids, FeedState.DONE)


@both
def test_a_submission_is_found_by_its_reference(bench: Bench, is_sync: bool) -> None:
    order = placed(bench)
    given = submission(updated(order, order.items), is_sync=is_sync)
    answer = submitted(bench, given)

    async def found_by(command: SendUpdatedOrders) -> tuple[Submitted | None, Submitted | None]:
        if not command.can_find_submission():
            raise NotCovered("find_submission: the connector sends at least once")
        asked = [given.reference, "conformance-none/1"]
        found, unknown = [await run_step(command.find_submission, reference) for reference in asked]
        return found, unknown

    found, unknown = done(bench, SendUpdatedOrders, found_by)

    assert unknown is None, "a reference that never arrived is None"
    if answer.feed_ids:
        assert found is not None
        assert found.feed_ids == answer.feed_ids
    elif found is not None:  # a channel that answers at once may keep no references: sending again does no harm
        assert found.results == answer.results


def test_the_settings_that_a_merchant_can_make_are_described(bench: Bench) -> None:
    schema = done(bench, GetChannelConfSchema, lambda command: command.run())

    for key, entry in schema.items():
        assert set(entry) == {"required", "data_type", "key", "label"}
        assert entry["key"] == key
