"""Flow 1: units, money, times, and a record that changes while it is read."""

from decimal import Decimal
from typing import Any

from order_integration.channels.commands import GetOrders, Record, WindowOn
from order_integration.conformance.bench import Bench, NotCovered
from order_integration.conformance.judging import Order, done, entries, placed
from order_integration.dto import OrderState, minor_unit

SECOND = 1.0


def test_every_unit_is_an_item_and_their_names_stay(bench: Bench) -> None:
    order = placed(bench, units=3)
    again = next(entry.dto for entry in entries(bench, GetOrders, order.window) if entry.key == order.key)

    assert len(order.items) >= 3
    assert order.dto.order.remote_id == order.key, "the order's remote_id is its key"
    assert again == order.dto


def test_money_is_exact(bench: Bench) -> None:
    order = placed(bench, units=3)
    header, items = order.dto.order, order.dto.order_item
    unit = minor_unit(header.currency)

    discount = max(header.discount_amount, sum((item.discount_amount for item in items), Decimal(0)))
    total = sum((item.price for item in items), Decimal(0)) - discount + header.shipping_amount

    assert header.amount == order.placed.total, "amount is not what the buyer pays"
    assert abs(total - header.amount) <= unit * len({item.line for item in items})
    assert all(amount % unit == 0 for item in items for amount in (item.price, item.discount_amount))


def test_the_time_of_an_order_is_the_channels(bench: Bench) -> None:
    order = placed(bench)

    apart = abs((order.dto.order.created_at - order.placed.at).total_seconds())

    assert apart <= SECOND, "created_at is another moment: is its zone right?"


def test_an_order_that_changes_while_pages_are_read_hides_no_other(bench: Bench) -> None:
    orders = [placed(bench) for _ in range(5)]
    keys = {order.key for order in orders}

    async def read(command: Any) -> set[str]:
        seen: list[Record] = []
        async for page in command.pages(orders[0].window):
            ours = [command.key_of(row) for row in page if command.key_of(row) in keys]
            if ours and not seen:
                bench.change(ours[0])  # what follows moves up where pages are counted
            seen += [row for row in page if command.key_of(row) in keys]
        return {command.key_of(row) for row in seen}

    assert done(bench, GetOrders, read, page_size=2) == keys


def test_a_change_moves_an_order_and_keeps_its_name(bench: Bench) -> None:
    order = placed(bench, units=2)
    before = next(entry for entry in entries(bench, GetOrders, order.window) if entry.key == order.key)

    bench.change(order.key)

    after = next(entry for entry in entries(bench, GetOrders, order.window) if entry.key == order.key)
    assert before.time is not None
    assert after.time is not None
    assert before.dto is not None
    assert after.dto is not None
    assert after.dto.fingerprint() == before.dto.fingerprint()  # type: ignore[attr-defined]
    if done(bench, GetOrders, _window_on) is WindowOn.MODIFICATION:
        assert after.time > before.time
    else:
        assert after.time == before.time


def test_an_order_says_how_far_it_is(bench: Bench) -> None:
    order, cancelled = placed(bench, units=2), placed(bench, units=1)

    assert _state(bench, order) in {OrderState.OPEN, None}, "nothing happened to it yet"

    bench.cancel(cancelled.key, list(reversed(cancelled.items)))
    state = _state(bench, cancelled)
    if state is None:
        raise NotCovered("order_state: an order that is cancelled while it waits will arrive all the same")
    assert state is OrderState.CANCELLED, "all of it is cancelled"


def _state(bench: Bench, order: Order) -> OrderState | None:
    (record,) = [entry.record for entry in entries(bench, GetOrders, order.window) if entry.key == order.key]

    async def read(command: GetOrders) -> OrderState | None:
        return command.order_state(record)

    return done(bench, GetOrders, read)


async def _window_on(command: GetOrders) -> WindowOn:
    return command.window_on
