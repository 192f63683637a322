"""Flows 2 and 3: what was shipped and what arrived, told at once and as feeds."""

import asyncio
from collections.abc import Iterator

import pytest

from order_integration.channels.commands import CheckOrders, SendUpdatedOrders
from order_integration.channels.marketplace import shipments
from order_integration.channels.marketplace.missing import carrier_code, missing
from order_integration.dto import FeedState, ResponseStatus
from order_integration.errors import ConfigurationError, ContractError, Reason, RecordError, UnknownOutcomeError
from tests.channels.marketplace_kit import Kervan, kervan, submission, unit_ids, updated

SUCCESS, FAIL = ResponseStatus.SUCCESS, ResponseStatus.FAIL


@pytest.fixture(scope="module")
def running_market() -> Iterator[Kervan]:
    with kervan() as market:
        yield market


@pytest.fixture
def market(running_market: Kervan) -> Kervan:
    return running_market.start_again()


def sent(market, *orders, is_sync=True, reference=None, **given):
    return market.run(SendUpdatedOrders, submission(*orders, is_sync=is_sync, reference=reference), **given)


def statuses(answer):
    return {result.remote_id: result.status for result in answer.results}


def stranger(order, **fields):
    return updated(order, dict.fromkeys(unit_ids(order), "T"), remote_id="77", **fields)


def decided(market, feed_id, **said):
    market.did("POST", f"/admin/feeds/{feed_id}/decide", said)
    (verdict,) = market.run(CheckOrders, [feed_id])
    return verdict


# At once --------------------------------------------------------------------------------------------------------------


def test_exactly_the_units_that_left_the_house_are_shipped(market):
    order = market.order(lines=2)
    first, second, third = unit_ids(order)[:3]
    other = unit_ids(order, 1)[0]

    answer = sent(market, updated(order, {first: "T1", third: "T1", other: "T1"}, cargo_company="aras"))

    assert [(one.status, one.remote_id, one.number) for one in answer.results] == [
        (SUCCESS, str(order["orderId"]), order["orderNumber"])
    ]
    assert market.states(order)[:3] == ["SHIPPED", "OPEN", "SHIPPED"]
    assert market.shown(order)["lines"][1]["shippedQuantity"] == 1
    assert market.shown(order)["carrier"]["code"] == "aras"
    assert market.writes() == ["shipment"]
    assert second == unit_ids(order)[1]


@pytest.mark.parametrize("is_sync", [True, False])
def test_what_is_there_already_is_a_success_and_is_not_written_again(market, is_sync):
    order = market.order()
    first, second = unit_ids(order)[:2]
    told = updated(order, {first: "T1"}, delivered=[second])
    sent(market, told)
    before = market.shown(order)

    again = market.wrote_nothing(lambda: sent(market, told, is_sync=is_sync))

    assert statuses(again) == {str(order["orderId"]): SUCCESS}
    assert again.feed_ids == []
    assert market.shown(order) == before


def test_what_was_shipped_later_follows_in_a_parcel_of_its_own(market):
    order = market.order()
    first, second, third = unit_ids(order)[:3]

    sent(market, updated(order, {second: "T1"}))
    sent(market, updated(order, {second: "T1", first: "T2", third: "T3"}))

    found = [(unit["state"], unit["trackingNo"]) for unit in market.shown(order)["lines"][0]["units"][:3]]
    assert found == [("SHIPPED", "T2"), ("SHIPPED", "T1"), ("SHIPPED", "T3")]
    assert market.writes() == ["shipment"] * 3


def test_the_orders_own_number_stands_on_a_parcel_whose_units_have_none(market):
    order = market.order()
    first, second = unit_ids(order)[:2]

    sent(
        market,
        updated(order, {first: None, second: "T2"}, invoices={second: "F2"}, tracking_number="T1", invoice_number="F1"),
    )

    found = [(unit["trackingNo"], unit["invoiceNo"]) for unit in market.shown(order)["lines"][0]["units"][:2]]
    assert found == [("T1", "F1"), ("T2", "F2")]


def test_a_delivery_tells_the_shipment_first_where_nobody_did(market):
    order = market.order()
    first, second = unit_ids(order)[:2]

    sent(market, updated(order, {first: "T1"}, delivered=[second]))
    sent(market, updated(order, delivered=[first, second]))

    assert market.states(order)[:2] == ["DELIVERED", "DELIVERED"]
    assert market.writes() == ["shipment", "shipment", "delivered", "delivered"]


def test_what_the_marketplace_cancelled_or_delivered_meanwhile_stays(market):
    order = market.order()
    first, *_, last = unit_ids(order)
    market.happens(order, "cancel", lines=[{"lineId": order["lines"][0]["lineId"], "quantity": 1}])
    market.ship(order, 1)
    market.happens(order, "deliver")

    answer = market.wrote_nothing(lambda: sent(market, updated(order, {first: "T1", last: "T1"})))

    assert statuses(answer) == {str(order["orderId"]): SUCCESS}


def test_an_order_of_which_nothing_left_is_not_even_asked_for(market):
    order = market.order()

    assert statuses(sent(market, updated(order))) == {str(order["orderId"]): SUCCESS}
    assert market.http.get("/admin/requests").json() == []


def test_one_order_that_is_refused_stops_no_other(market):
    good, odd, refused = market.order(), market.order(), market.order()
    market.fault(f"{refused['orderId']}/shipment", "status", status=422, body={"code": "PARCEL_INVALID"})
    items = [*updated(odd, {unit_ids(odd)[0]: "T"}).items]
    items[0] = items[0].model_copy(update={"remote_id": "elsewhere"})

    answer = sent(
        market,
        stranger(good),
        updated(odd, items=items),
        updated(refused, {unit_ids(refused)[0]: "T"}),
        updated(good, {unit_ids(good)[0]: "T"}),
    )

    assert [one.status for one in answer.results] == [FAIL, FAIL, FAIL, SUCCESS]
    for result, word in zip(answer.results, ("does not know", "no unit elsewhere", "PARCEL_INVALID", ""), strict=True):
        assert word in result.message
    assert market.states(good)[0] == "SHIPPED"


@pytest.mark.defect("O5")
@pytest.mark.parametrize("kind", ["cut_after", "cut_before", "truncate"])
def test_a_lost_answer_ships_nothing_twice(market, kind):
    order = market.order()
    market.fault("shipment$", kind)
    market.fault("delivered$", kind)

    answer = sent(market, updated(order, {unit_ids(order)[0]: "T1"}, delivered=[unit_ids(order)[1]]))

    assert statuses(answer) == {str(order["orderId"]): SUCCESS}
    assert market.states(order)[:3] == ["SHIPPED", "DELIVERED", "OPEN"]


def test_two_that_tell_the_same_at_the_same_time_both_succeed_and_write_it_once(market):
    order = market.order()
    told = submission(updated(order, {unit_ids(order)[0]: "T1"}, delivered=[unit_ids(order)[1]]))

    async def both(command):
        return await asyncio.gather(command.run(told), command.run(told))

    answers = market.command(SendUpdatedOrders, both)

    assert [statuses(answer) for answer in answers] == [{str(order["orderId"]): SUCCESS}] * 2
    assert market.states(order)[:3] == ["SHIPPED", "DELIVERED", "OPEN"]


def test_a_conflict_that_stays_is_the_orders_failure(market):
    order = market.order()
    market.fault("shipment$", "status", status=409, body={"code": "TOO_MANY_UNITS"}, times=None)

    answer = sent(market, updated(order, {unit_ids(order)[0]: "T1"}))

    assert (answer.results[0].status, answer.results[0].message[-14:]) == (FAIL, "TOO_MANY_UNITS")


def test_an_order_without_an_answer_fails_alone(market):
    good, lost = market.order(), market.order()
    market.fault(f"{lost['orderId']}/shipment", "status", status=503, times=None)
    told = [updated(order, {unit_ids(order)[0]: "T1"}) for order in (good, lost)]

    answer = sent(market, *told)

    assert statuses(answer) == {str(good["orderId"]): SUCCESS, str(lost["orderId"]): FAIL}
    with pytest.raises(UnknownOutcomeError):
        sent(market, told[1])


def test_a_refused_key_is_no_orders_fault(market):
    order = market.order()
    market.fault("orders", "status", status=401, times=None)

    with pytest.raises(ConfigurationError, match="credentials"):
        sent(market, updated(order, {unit_ids(order)[0]: "T1"}))


def test_a_carrier_has_the_marketplaces_code(market):
    order, carriers = market.order(), {"KRG1": "PTT01", "KRG2": "aras"}

    sent(market, updated(order, {unit_ids(order)[0]: "T1"}, cargo_company="PTT01"), carriers=carriers)

    assert market.shown(order)["carrier"]["code"] == "KRG1"
    assert carrier_code("other", None, carriers) == "other"
    assert carrier_code(None, None, carriers) is None


def test_a_carrier_with_two_codes_keeps_the_orders_own_and_is_not_guessed():
    carriers = {"K1": "ptt", "K2": "ptt"}

    assert carrier_code("ptt", "K2", carriers) == "K2"
    with pytest.raises(RecordError, match="K1, K2") as caught:
        carrier_code("ptt", "K3", carriers)
    assert caught.value.reason is Reason.AMBIGUOUS


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda line: line.update(units=[{"number": 1, "state": "LOST"}], quantity=1), "lines.units.state"),
        (lambda line: line.update(units=[], quantity=2), "lines.units"),
        (lambda line: line.update(units=["x"], quantity=1), "lines.units"),
        (lambda line: line.update(shippedQuantity=1), "lines.units"),
        (lambda line: line.update(quantity="2"), "lines.quantity"),
        (lambda line: line.update(lineId=None), "lineId"),
        (lambda line: line.pop("quantity"), "quantity"),
    ],
)
def test_an_order_that_can_not_be_understood_is_refused_by_name(market, change, field):
    order = market.order()
    told = updated(order, {unit_ids(order)[0]: "T1"})
    change(order["lines"][0])

    with pytest.raises(RecordError) as caught:
        missing(told, order, {})
    assert caught.value.field == field


# As a feed ------------------------------------------------------------------------------------------------------------


def test_a_feed_holds_only_what_is_missing(market):
    whole, part, known = market.order(), market.order(), market.order()
    market.ship(part, 1)
    market.ship(known, 1)
    shipped = {order["orderId"]: updated(order, {unit_ids(order)[0]: "T1"}) for order in (whole, known)}
    shipped[part["orderId"]] = updated(part, {unit_ids(part)[0]: "T1"}, delivered=[unit_ids(part)[1]])

    answer = sent(market, *shipped.values(), stranger(whole), is_sync=False)

    assert statuses(answer) == {str(known["orderId"]): SUCCESS, "77": FAIL}
    assert market.writes()[2:] == ["shipments"]
    (feed_id,) = answer.feed_ids
    verdict = decided(market, feed_id)
    assert (verdict.state, statuses(verdict)) == (
        FeedState.DONE,
        {str(whole["orderId"]): SUCCESS, str(part["orderId"]): SUCCESS},
    )
    assert market.states(part)[:3] == ["SHIPPED", "DELIVERED", "OPEN"]


def test_two_parcels_of_an_order_are_two_lines_and_a_delivery_comes_after_them(market):
    order = market.order()
    first, second, third = unit_ids(order)[:3]

    answer = sent(market, updated(order, {first: "T1", second: "T2"}, delivered=[third]), is_sync=False)

    feed = market.did("GET", f"/api/feeds/{answer.feed_ids[0]}")
    assert [line["orderId"] for line in feed["lines"]] == [order["orderId"]] * 4
    assert statuses(decided(market, answer.feed_ids[0])) == {str(order["orderId"]): SUCCESS}
    assert [unit["trackingNo"] for unit in market.shown(order)["lines"][0]["units"][:3]] == ["T1", "T2", None]
    assert market.states(order)[:3] == ["SHIPPED", "SHIPPED", "DELIVERED"]


def test_a_submission_that_came_before_is_found_and_not_sent_again(market):
    order = market.order()
    told = updated(order, {unit_ids(order)[0]: "T1"})
    first = sent(market, told, is_sync=False, reference="4711/1")

    again = sent(market, told, is_sync=False, reference="4711/1")
    found = market.command(SendUpdatedOrders, lambda command: command.find_submission("4711/1"))

    assert first.feed_ids == again.feed_ids == found.feed_ids
    assert market.command(SendUpdatedOrders, lambda command: command.find_submission("4711/2")) is None
    assert market.connector().command(SendUpdatedOrders).can_find_submission()
    decided(market, first.feed_ids[0])
    after = market.wrote_nothing(lambda: sent(market, told, is_sync=False, reference="4711/1"))
    assert (statuses(after), after.feed_ids) == ({str(order["orderId"]): SUCCESS}, [])


@pytest.mark.defect("O5")
@pytest.mark.parametrize("kind", ["cut_after", "cut_before"])
def test_a_feed_whose_answer_was_lost_is_there_once(market, kind):
    order = market.order()
    market.fault("feeds/shipments", kind)
    reference = f"lost-{kind}"

    answer = sent(market, updated(order, {unit_ids(order)[0]: "T1"}), is_sync=False, reference=reference)

    feeds = market.did("GET", f"/api/feeds?reference={reference}")["feeds"]
    assert answer.feed_ids == [str(feed["feedId"]) for feed in feeds]
    assert len(feeds) == 1


def test_a_feed_that_is_refused_fails_its_orders_and_no_others(market):
    order, known = market.order(), market.order()
    market.ship(known, 1)
    market.fault("feeds/shipments", "status", status=422, body={"code": "FEED_INVALID"})

    answer = sent(
        market, *(updated(one, {unit_ids(one)[0]: "T1"}) for one in (order, known)), is_sync=False, reference="refused"
    )

    assert (statuses(answer), answer.feed_ids) == ({str(known["orderId"]): SUCCESS, str(order["orderId"]): FAIL}, [])


def test_what_does_not_fit_in_a_feed_is_offered_again(market, monkeypatch):
    one, other, small = market.order(), market.order(), market.order()
    monkeypatch.setattr(shipments, "LARGEST_FEED", 3)
    parcels = [updated(order, dict(zip(unit_ids(order), ("T1", "T2"), strict=False))) for order in (one, other)]

    answer = sent(market, *parcels, updated(small, {unit_ids(small)[0]: "T1"}), is_sync=False)

    assert statuses(answer) == {str(other["orderId"]): FAIL}
    assert len(market.did("GET", f"/api/feeds/{answer.feed_ids[0]}")["lines"]) == 3


# What became of feeds -------------------------------------------------------------------------------------------------


def test_a_feed_is_running_until_it_is_decided(market):
    order = market.order()
    (feed_id,) = sent(market, updated(order, {unit_ids(order)[0]: "T1"}), is_sync=False).feed_ids

    verdicts = market.run(CheckOrders, [feed_id, "999999", "no-number"])

    assert [(one.feed_id, one.state) for one in verdicts] == [
        (feed_id, FeedState.RUNNING),
        ("999999", FeedState.UNKNOWN),
        ("no-number", FeedState.UNKNOWN),
    ]
    assert decided(market, feed_id) == market.run(CheckOrders, [feed_id])[0]


def test_an_order_that_the_feed_refuses_fails_with_its_codes(market):
    good, bad = market.order(), market.order()
    told = [updated(order, {unit_ids(order)[0]: "T1", unit_ids(order)[1]: "T2"}) for order in (good, bad)]
    (feed_id,) = sent(market, *told, is_sync=False).feed_ids

    verdict = decided(market, feed_id, refuse=[bad["orderId"]], code="CARRIER_UNKNOWN")

    assert statuses(verdict) == {str(good["orderId"]): SUCCESS, str(bad["orderId"]): FAIL}
    assert verdict.results[1].message.endswith("refused it: CARRIER_UNKNOWN")


def test_a_line_that_somebody_else_told_first_is_no_failure(market):
    order = market.order()
    first, second = unit_ids(order)[:2]
    (feed_id,) = sent(market, updated(order, {first: "T1"}, delivered=[second]), is_sync=False).feed_ids
    sent(market, updated(order, {first: "T1"}, delivered=[second]))

    verdict = decided(market, feed_id)

    assert {line["code"] for line in market.did("GET", f"/api/feeds/{feed_id}")["lines"]} == {
        "ALREADY_SHIPPED",
        "ALREADY_DELIVERED",
    }
    assert statuses(verdict) == {str(order["orderId"]): SUCCESS}


@pytest.mark.parametrize(
    "body",
    [
        {"state": "PAUSED", "lines": []},
        {"state": "DONE", "lines": None},
        {"state": "DONE", "lines": [{"orderId": 1, "result": "MAYBE"}]},
        [],
    ],
)
def test_an_answer_about_a_feed_that_nobody_understands_is_not_guessed(market, body):
    market.fault("feeds/5", "status", status=200, body=body)

    with pytest.raises(ContractError):
        market.run(CheckOrders, ["5"])
