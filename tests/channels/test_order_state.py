"""How far an order is: from its units, at the marketplace and in Medusa."""

import asyncio
from copy import deepcopy

import pytest

from order_integration.channels.commands import GetOrders
from order_integration.dto import OrderState
from tests.channels.marketplace_kit import kervan, reader
from tests.channels.medusa_answers import Answers
from tests.channels.medusa_kit import CANCELLED, CENTURY, REGISTERED, RecordedMedusa, connector, recorded_order

OPEN, SHIPPED, DELIVERED, RETURNED = OrderState.OPEN, OrderState.SHIPPED, OrderState.DELIVERED, OrderState.RETURNED
GONE = OrderState.CANCELLED


@pytest.mark.parametrize(
    ("units", "whole"),
    [
        ([OPEN, OPEN], OPEN),
        ([OPEN, SHIPPED, DELIVERED], OPEN),
        ([SHIPPED, DELIVERED], SHIPPED),
        ([DELIVERED, RETURNED], DELIVERED),
        ([RETURNED, GONE], RETURNED),
        ([GONE, SHIPPED], SHIPPED),
        ([GONE, GONE], GONE),
    ],
)
def test_the_least_far_unit_decides_and_cancelled_ones_do_not_count(units, whole):
    assert OrderState.of(units) is whole


# the marketplace ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market():
    with kervan() as found:
        yield found


def state_at(market, order):
    return reader(GetOrders).order_state(market.shown(order))


def test_an_order_of_the_marketplace_is_as_far_as_its_least_far_unit(market):
    order = market.order(units=3)
    line = order["lines"][0]
    others = [{"lineId": other["lineId"]} for other in order["lines"][1:]]
    assert state_at(market, order) is OPEN

    market.ship(order, 1)
    assert state_at(market, order) is OPEN
    for other in others:
        market.did("POST", f"/api/orders/{order['orderId']}/shipment", {"lines": [other]})
    market.ship(order, 2)
    last = list(range(3, line["quantity"] + 1))
    market.happens(order, "cancel", lines=[{"lineId": line["lineId"], "unitNumbers": last}])
    assert state_at(market, order) is SHIPPED
    market.happens(order, "deliver")
    assert state_at(market, order) is DELIVERED


def test_an_order_of_the_marketplace_that_is_cancelled_whole_is_cancelled(market):
    order = market.order()
    market.happens(order, "cancel")
    assert state_at(market, order) is GONE


@pytest.mark.parametrize("change", [{"state": "LOST"}, {"number": 0}])
def test_a_unit_that_can_not_be_read_leaves_the_state_unknown(market, change):
    order = market.order()
    market.ship(order, 1)
    record = market.shown(order)
    record["lines"][0]["units"][0] |= change
    assert reader(GetOrders).order_state(record) is None
    assert reader(GetOrders).order_state({}) is None


# Medusa ---------------------------------------------------------------------------------------------------------------


def placed_order():
    return recorded_order(REGISTERED)


def later(status="pending", **counts):
    """The order some versions later: a count of the first line's units for each step, all units of the others."""
    order = deepcopy(placed_order()) | {"version": 5, "status": status}
    for number, line in enumerate(order["items"]):
        line["detail"] |= {
            f"{name}_quantity": count if number == 0 else line["quantity"] for name, count in counts.items()
        }
    return order


def medusa_with(order):
    """A server that has the order as it is now, and as it was placed."""

    def one(query, _):
        return {"order": placed_order() if query.get("version") == "1" else order}

    return Answers(
        ("GET", "/admin/orders", {"orders": [order], "count": 1}),
        ("GET", f"/admin/orders/{order['id']}", one),
    )


def states_of(order):
    """By its window, and by its key."""
    medusa = medusa_with(order)
    records = [*medusa.read(GetOrders, CENTURY), medusa.run(GetOrders, "get_by_key", order["id"])]
    assert len(records) == 2
    command = connector().command(GetOrders)
    assert {command.normalize_response(record).fingerprint() for record in records} == {
        command.normalize_response(placed_order()).fingerprint()
    }
    return {command.order_state(record) for record in records}


def test_an_order_of_medusa_that_nothing_happened_to_is_open():
    assert states_of(placed_order()) == {OPEN}


def test_an_order_of_medusa_is_as_far_as_its_least_far_unit():
    units = int(placed_order()["items"][0]["quantity"])
    assert units > 1
    assert states_of(later(shipped=units - 1)) == {OPEN}
    assert states_of(later(shipped=units)) == {SHIPPED}
    assert states_of(later(shipped=units, delivered=units - 1)) == {SHIPPED}
    assert states_of(later(shipped=units, delivered=units)) == {DELIVERED}
    assert states_of(later(shipped=units, delivered=units, return_received=1)) == {DELIVERED}
    assert states_of(later(shipped=units, delivered=units, return_received=units)) == {RETURNED}


def test_units_that_an_edit_took_away_do_not_hold_an_order_of_medusa_back():
    order = later(shipped=1)
    order["items"][0]["quantity"] = 1
    assert states_of(order) == {SHIPPED}
    order["items"] = []
    assert states_of(order) == {GONE}


def test_a_line_that_an_edit_added_does_not_count():
    units = int(placed_order()["items"][0]["quantity"])
    order = later(shipped=units)
    order["items"].append({**deepcopy(placed_order()["items"][0]), "id": "ordli_added"})
    assert states_of(order) == {SHIPPED}


def test_a_cancelled_order_of_medusa_is_cancelled():
    assert states_of(later(status="canceled")) == {GONE}
    recorded = recorded_order(CANCELLED)

    async def by_key():
        async with RecordedMedusa([recorded]).served() as url, connector(url) as opened:
            command = opened.command(GetOrders)
            return command.order_state(await command.get_by_key(recorded["id"]))

    assert asyncio.run(by_key()) is GONE


def test_an_order_of_medusa_that_can_not_be_read_has_no_state():
    assert connector().command(GetOrders).order_state({}) is None
    assert states_of(later(shipped="all")) == {None}
