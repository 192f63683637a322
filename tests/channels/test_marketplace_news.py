"""Flows 4, 5 and 6: cancels, news of units, and claims; and what an order is to flow 1 after all that."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest

from order_integration.channels.commands import (
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    Window,
    WindowOn,
)
from order_integration.channels.marketplace.mapping import moment
from order_integration.dto import CancellationType
from order_integration.errors import ConfigurationError, ContractError, Reason
from order_integration.flows.transforming import entries_of
from tests.channels.marketplace_kit import NOW, SINCE, Kervan, kervan, reader, unit_ids

READERS = {"cancellations": GetCancelledOrders, "orders": GetUpdatedOrderItems, "claims": GetCancellationRequests}


@pytest.fixture(scope="module")
def running_market() -> Iterator[Kervan]:
    with kervan() as market:
        yield market


@pytest.fixture
def market(running_market: Kervan) -> Kervan:
    return running_market.start_again()


def dtos(market, kind, order, **settings):
    """The order's records as a flow reads them, by key; a bad one would raise."""
    made = reader(kind, **settings)
    return {made.key_of(row): made.normalize_response(row) for row in market.records(kind, order=order)}


def refusal(kind, record):
    """What a flow makes of a record: the reason for which it is put aside, and the field."""
    (entry,) = asyncio.run(entries_of(reader(kind), [record], lambda dto: True))
    return (entry.error.reason, entry.error.field) if entry.error else None


def some(order, quantity, line=0):
    return [{"lineId": order["lines"][line]["lineId"], "quantity": quantity}]


# All three ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READERS.values())
def test_windows_are_on_modification_and_single_records_can_be_asked_for(kind):
    assert reader(kind).window_on is WindowOn.MODIFICATION
    assert reader(kind).can_get_by_key()


@pytest.mark.parametrize("kind", READERS.values())
def test_a_window_without_end_is_refused(market, kind):
    with pytest.raises(ConfigurationError, match="before it begins"):
        market.records(kind, Window(NOW, NOW))


@pytest.mark.parametrize(("name", "kind"), READERS.items())
def test_a_long_window_is_read_in_pieces(market, name, kind):
    market.records(kind, Window(NOW - timedelta(days=40), NOW - timedelta(days=1)))

    calls = [call for call in market.http.get("/admin/requests").json() if call["path"] == f"/api/{name}"]
    assert len({call["query"].partition("&")[0] for call in calls}) == 2
    assert {call["status"] for call in calls} == {200}


@pytest.mark.parametrize(("name", "kind"), READERS.items())
def test_a_cursor_that_goes_round_ends_the_reading(market, name, kind):
    for following in ("1-1", "1-2", "1-1"):
        market.fault(name, "status", status=200, body={name: [], "next": following})

    with pytest.raises(ContractError, match="cursor"):
        market.records(kind)


@pytest.mark.parametrize(("name", "kind"), READERS.items())
@pytest.mark.parametrize("body", [[], {}, {"rows": []}])
def test_an_answer_without_a_list_is_not_taken_for_an_empty_window(market, name, kind, body):
    market.fault(name, "status", status=200, body=body)

    with pytest.raises(ContractError, match=f"no list of {name}"):
        market.records(kind)


@pytest.mark.defect("S1", "B11")
@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_nothing_is_missed_whatever_the_page_size_and_whatever_breaks(market, page_size):
    orders = [market.order() for _ in range(3)]
    for order in orders:
        market.ship(order, 1)
        market.happens(order, "deliver")
        market.happens(order, "claim", type="RETURN")
        market.happens(order, "cancel", lines=some(order, 1))
    for name in READERS:
        market.fault(f"api/{name}", "status", status=503)
        market.fault(f"api/{name}", "truncate", skip=1)

    for kind in READERS.values():
        found = {row["orderId"] for row in market.records(kind, page_size=page_size)}
        assert {order["orderId"] for order in orders} <= found


# Cancels (flow 4) -----------------------------------------------------------------------------------------------------


@pytest.mark.defect("C6")
def test_a_cancel_is_the_orders_total_with_the_reason_of_each_unit(market):
    order = market.order(lines=2, units=3)
    last, before = unit_ids(order)[-1], unit_ids(order)[-2]
    other = unit_ids(order, 1)[-1]
    market.happens(order, "cancel", lines=some(order, 1), reason="TOO_LATE")
    between = moment(market.shown(order)["changedAtMs"] + 1)
    market.happens(order, "cancel", lines=some(order, 1) + some(order, 1, line=1), reason="OUT_OF_STOCK")

    for window in (SINCE, Window(between, SINCE.end)):
        (record,) = market.records(GetCancelledOrders, window, order)
        dto = reader(GetCancelledOrders).normalize_response(record)
        assert dto.order == str(order["orderId"])
        assert sorted(dto.cancel_items) == sorted([last, before, other])
        assert dto.reasons == {last: "TOO_LATE", before: "OUT_OF_STOCK", other: "OUT_OF_STOCK"}
        assert dto.modified_at == reader(GetCancelledOrders).time_of(record) > between


def test_an_order_that_is_cancelled_whole_is_cancelled_unit_by_unit(market):
    order = market.order(lines=2)
    market.happens(order, "cancel")

    (dto,) = dtos(market, GetCancelledOrders, order).values()

    assert dto.cancel_items == [unit for line in range(len(order["lines"])) for unit in unit_ids(order, line)]


def test_an_order_with_many_cancels_is_read_once(market):
    order = market.order()
    for _ in range(3):
        market.happens(order, "cancel", lines=some(order, 1))

    assert len(market.records(GetCancelledOrders, order=order, page_size=1)) == 1
    calls = [call["path"] for call in market.http.get("/admin/requests").json()]
    assert calls.count(f"/api/orders/{order['orderId']}/cancellations") == 1


def test_an_approved_claim_is_a_cancel_of_its_units(market):
    order = market.order()
    claim = market.happens(order, "claim", type="CANCEL")
    market.did("POST", f"/api/claims/{claim['claimId']}/approve")

    (dto,) = dtos(market, GetCancelledOrders, order).values()

    assert dto.cancel_items == [unit_ids(order)[-1]]


def test_an_orders_cancels_are_read_by_its_key(market):
    order, untouched = market.order(), market.order()
    market.happens(order, "cancel", lines=some(order, 1))

    assert (
        market.by_key(GetCancelledOrders, str(order["orderId"])) == market.records(GetCancelledOrders, order=order)[0]
    )
    for key in (str(untouched["orderId"]), "1", "no-id-0123456789abcdef"):
        assert market.by_key(GetCancelledOrders, key) is None


def test_cancels_of_no_order_are_put_aside_one_by_one(market):
    market.fault("api/cancellations", "status", status=200, body={"cancellations": [{"orderId": 7}, {}, "x"]})

    records = market.records(GetCancelledOrders)

    assert len(records) == 3
    assert {refusal(GetCancelledOrders, record) for record in records} == {(Reason.FIELD_MISSING, "cancellations")}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda one: one.update(quantity=2), (Reason.FIELD_MALFORMED, "unitNumbers")),
        (lambda one: one.update(unitNumbers=[0]), (Reason.FIELD_MALFORMED, "unitNumbers")),
        (lambda one: one.update(unitNumbers=None), (Reason.RECORD_MALFORMED, "cancellation")),
        (lambda one: one.update(reasonCode=None), (Reason.FIELD_MISSING, "reasonCode")),
        (lambda one: one.update(lineId=""), (Reason.FIELD_MISSING, "lineId")),
        (lambda one: one.pop("lineId"), (Reason.FIELD_MISSING, "lineId")),
    ],
)
def test_a_cancel_that_can_not_be_understood_is_refused_by_name(change, expected):
    one = {"lineId": "1-1", "quantity": 1, "unitNumbers": [2], "reasonCode": "TOO_LATE"}
    record = {"orderId": 1, "cancellations": [one], "changedAtMs": 1_774_000_000_000}
    assert refusal(GetCancelledOrders, record) is None

    change(one)

    assert refusal(GetCancelledOrders, record) == expected


# News of units (flow 5) -----------------------------------------------------------------------------------------------


def test_units_that_left_the_house_say_what_the_marketplace_knows_of_them(market):
    order = market.order(units=4)
    market.ship(order, 1, trackingNo="T1")
    market.ship(order, 2, 3, trackingNo="T2", invoiceNo="F2")
    market.happens(order, "deliver", lines=[{"lineId": order["lines"][0]["lineId"], "unitNumbers": [2]}])

    found = dtos(market, GetUpdatedOrderItems, order, number_prefix="K-")

    first, second, third = unit_ids(order)[:3]
    assert list(found) == [first, second, third]
    common = {
        "order_remote_id": str(order["orderId"]),
        "order_number": f"K-{order['orderNumber']}",
        "modified_at": moment(market.shown(order)["changedAtMs"]),
    }
    assert [dto.model_dump(exclude_unset=True) for dto in found.values()] == [
        {"remote_id": first, "status": "500", "tracking_number": "T1", **common},
        {"remote_id": second, "status": "550", "tracking_number": "T2", "invoice_number": "F2", **common},
        {"remote_id": third, "status": "500", "tracking_number": "T2", "invoice_number": "F2", **common},
    ]


def test_an_invoice_of_the_marketplace_is_news_of_every_unit_that_left(market):
    order = market.order()
    market.ship(order, 1)
    before = moment(market.shown(order)["changedAtMs"] + 1)
    market.happens(order, "invoice", number="KRV-1")

    (record,) = market.records(GetUpdatedOrderItems, Window(before, SINCE.end), order)

    dto = reader(GetUpdatedOrderItems).normalize_response(record)
    assert (dto.remote_id, dto.status, dto.invoice_number) == (unit_ids(order)[0], "500", "KRV-1")


def test_there_is_no_news_of_units_that_are_open_cancelled_or_returned(market):
    order, open_order = market.order(units=4), market.order()
    market.happens(open_order, "invoice", number="KRV-2")
    market.ship(order, 1)
    market.happens(order, "deliver")
    claim = market.happens(order, "claim", type="RETURN")
    market.did("POST", f"/api/claims/{claim['claimId']}/approve")
    market.happens(order, "cancel", lines=some(order, 1))
    market.ship(order, 2)

    assert list(dtos(market, GetUpdatedOrderItems, order)) == [unit_ids(order)[1]]
    assert market.records(GetUpdatedOrderItems, order=open_order) == []


def test_a_unit_is_read_by_its_key(market):
    order = market.order()
    market.ship(order, 1)
    first, second = unit_ids(order)[:2]

    assert market.by_key(GetUpdatedOrderItems, first) == market.records(GetUpdatedOrderItems, order=order)[0]
    for key in (second, f"{first}9", "1-1/1", "1", "../1/2", "no-id-0123456789abcdef"):
        assert market.by_key(GetUpdatedOrderItems, key) is None


def test_a_unit_or_a_line_that_can_not_be_understood_is_put_aside_alone(market):
    order = market.shown(market.order(lines=2))
    lines = order["lines"] = order["lines"][:2]
    states = [{"number": 1, "state": "SHIPPED"}, {"number": 2, "state": "LOST"}, {"number": 3, "state": "DELIVERED"}]
    lines[0].update(quantity=3, units=states)
    lines[1].update(quantity="many")
    body = {"orders": [order, "x", {"orderId": 1, "lines": 5}], "next": None}
    market.fault("api/orders", "status", status=200, body=body)

    records = market.records(GetUpdatedOrderItems)

    assert [refusal(GetUpdatedOrderItems, record) for record in records[:4]] == [
        None,
        (Reason.FIELD_MALFORMED, "lines.units.state"),
        None,
        (Reason.FIELD_MALFORMED, "lines.quantity"),
    ]
    assert [refusal(GetUpdatedOrderItems, record) for record in records[4:]] == [(Reason.RECORD_MALFORMED, "order")] * 2


# Claims (flow 6) ------------------------------------------------------------------------------------------------------


@pytest.mark.defect("K3")
def test_a_claim_is_one_request_a_unit(market):
    order = market.order()
    claim = market.happens(order, "claim", type="CANCEL", reason="TOO_LATE", quantity=2)
    before, last = unit_ids(order)[-2:]

    found = dtos(market, GetCancellationRequests, order)

    assert list(found) == [f"{claim['claimId']}|{before}", f"{claim['claimId']}|{last}"]
    assert [dto.model_dump() for dto in found.values()] == [
        {
            "order_item": item,
            "reason": "TOO_LATE",
            "remote_id": str(claim["claimId"]),
            "description": "",
            "cancellation_type": CancellationType.CANCEL,
        }
        for item in (before, last)
    ]


def test_a_return_is_a_refund_and_keeps_the_buyers_words(market):
    order = market.order()
    market.ship(order, 1, 2)
    market.happens(order, "deliver")
    market.happens(order, "claim", type="RETURN", reason="DAMAGED", note="kırık geldi")

    (dto,) = dtos(market, GetCancellationRequests, order).values()

    assert (dto.order_item, dto.cancellation_type) == (unit_ids(order)[1], CancellationType.REFUND)
    assert dto.description == "kırık geldi"
    assert "kırık" not in repr(dto)


@pytest.mark.parametrize(("answer", "body"), [("approve", {}), ("reject", {"reasonCode": "USED"})])
def test_a_claim_that_is_decided_asks_for_nothing(market, answer, body):
    order = market.order()
    claim = market.happens(order, "claim", type="CANCEL")
    key = f"{claim['claimId']}|{unit_ids(order)[-1]}"
    (record,) = market.records(GetCancellationRequests, order=order)
    assert market.by_key(GetCancellationRequests, key) == record

    market.did("POST", f"/api/claims/{claim['claimId']}/{answer}", body)

    assert market.records(GetCancellationRequests, order=order) == []
    assert market.by_key(GetCancellationRequests, key) is None


def test_requests_that_nobody_made_are_not_found(market):
    order = market.order()
    claim = market.happens(order, "claim", type="CANCEL")

    for key in (f"{claim['claimId']}|{unit_ids(order)[0]}", "999999|1-1/1", "999999", "no-id-0123456789abcdef"):
        assert market.by_key(GetCancellationRequests, key) is None


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"state": "PAUSED"}, (Reason.FIELD_MALFORMED, "state")),
        ({"type": "SWAP"}, (Reason.FIELD_MALFORMED, "type")),
        ({"unitNumbers": [1, 2]}, (Reason.FIELD_MALFORMED, "unitNumbers")),
        ({"unitNumbers": []}, (Reason.FIELD_MALFORMED, "unitNumbers")),
        ({"unitNumbers": ["1"]}, (Reason.FIELD_MALFORMED, "unitNumbers")),
        ({"unitNumbers": None}, (Reason.RECORD_MALFORMED, "claim")),
        ({"lineId": None}, (Reason.FIELD_MISSING, "lineId")),
        ({"reasonCode": None}, (Reason.FIELD_MISSING, "reasonCode")),
        ({"claimId": None}, (Reason.FIELD_MISSING, "claimId")),
    ],
)
def test_a_claim_that_can_not_be_understood_is_refused_by_name(market, change, expected):
    order = market.order()
    claim = market.happens(order, "claim", type="CANCEL")
    market.fault("api/claims", "status", status=200, body={"claims": [{**claim, **change}], "next": None})

    assert {refusal(GetCancellationRequests, record) for record in market.records(GetCancellationRequests)} == {
        expected
    }


# What flow 1 makes of it ----------------------------------------------------------------------------------------------


@pytest.mark.defect("O2")
def test_an_order_stays_the_same_order_whatever_became_of_its_units(market):
    order = market.order(lines=2, units=4)
    before = reader(GetOrders).normalize_response(market.by_key(GetOrders, str(order["orderId"])))
    market.happens(order, "cancel", lines=some(order, 1))
    market.ship(order, 1, 2, trackingNo="T1", invoiceNo="F1")
    market.happens(order, "deliver")
    claim = market.happens(order, "claim", type="RETURN")
    market.did("POST", f"/api/claims/{claim['claimId']}/approve")
    market.happens(order, "invoice", number="KRV-3")

    (record,) = market.records(GetOrders, order=order)
    after = reader(GetOrders).normalize_response(record)

    assert [item.remote_id for item in after.order_item] == [item.remote_id for item in before.order_item]
    assert after.fingerprint() == before.fingerprint()
    assert after.order.modified_at > before.order.modified_at
