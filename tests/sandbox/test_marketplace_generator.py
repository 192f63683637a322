import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from sandbox.marketplace import kinds
from sandbox.marketplace.buyers import buyer
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.generator import Plan, expected_of, orders_between
from sandbox.marketplace.places import _townships

START = datetime(2026, 3, 14, 7, 41, tzinfo=UTC)
DAY = timedelta(days=1)
SHIFTS = [timedelta(0), timedelta(minutes=1), timedelta(hours=5, minutes=59), timedelta(days=100, seconds=13)]


def day(start=START, *, seed=1, rate=12, bad=6.0):
    return orders_between(seed, rate, start, start + DAY, bad=bad)


def test_the_same_window_holds_the_same_orders():
    assert day() == day()


def test_another_seed_gives_other_orders():
    assert {order.id for order in day(seed=1)}.isdisjoint(order.id for order in day(seed=2))


@pytest.mark.parametrize("minutes", [1, 7, 60, 1440])
def test_windows_that_meet_hold_what_one_window_holds(minutes):
    step = timedelta(minutes=minutes)
    starts = [START + number * step for number in range(-(-DAY // step))]

    pieces = [order for start in starts for order in orders_between(1, 12, start, min(start + step, START + DAY))]

    assert sorted(pieces, key=lambda order: order.sort_key) == day()


@pytest.mark.parametrize("rate", [0.5, 7, 12, 13.7, 3600])
def test_the_rate_is_kept_and_every_moment_has_one_slot(rate):
    plan = Plan(rate=rate)
    first, last = (plan.slot_at(int(moment.timestamp() * 1000)) for moment in (START, START + DAY))

    assert last - first == pytest.approx(24 * rate, abs=1)
    for slot in (first, first + 1, last):
        assert plan.slot_at(plan.begin_of(slot)) == slot
        assert plan.slot_at(plan.begin_of(slot) - 1) == slot - 1


@pytest.mark.parametrize("shift", SHIFTS)
def test_every_kind_comes_in_any_24_hours(shift):
    found = day(START + shift)

    assert len(found) >= 250
    assert {order.fault for order in found} - {None} == {*kinds.BAD, *kinds.ODD}
    assert set(expected_of(found).quarantined) == set(kinds.BAD)


def test_no_order_is_bad_where_none_is_wanted():
    found = day(bad=0)

    assert expected_of(found).quarantined == {}
    assert {order.fault for order in found} - {None} == set(kinds.ODD)


def test_all_orders_can_be_bad():
    assert all(order.fault in kinds.BAD for order in day(bad=100))


def test_what_is_expected_adds_up():
    expected = expected_of(day())

    assert expected.rows == expected.distinct + expected.duplicates
    assert expected.distinct == expected.arrives + sum(expected.quarantined.values())
    assert expected.duplicates >= 3  # two odd kinds, and the second row of a conflict


def test_a_conflict_is_one_id_at_one_moment_with_two_contents():
    first, second = (order for order in day() if order.fault == "conflict")

    assert (first.id, first.modified_at) == (second.id, second.modified_at)
    assert first.number != second.number
    assert first.body["totals"]["payable"] != second.body["totals"]["payable"]


def test_a_taken_number_is_that_of_an_earlier_order_which_arrives():
    earlier, later = (order for order in day() if order.fault == "number_taken")

    assert earlier.number == later.number
    assert earlier.id != later.id
    assert earlier.modified_at < later.modified_at
    assert (earlier.body["placedAt"], earlier.id) < (later.body["placedAt"], later.id)
    assert (earlier.expected, later.expected) == ("arrives", "quarantined")


def test_a_buyer_comes_back_with_another_phone():
    orders = [order.body["buyer"] for order in day() if order.fault == "changed_phone"]

    assert orders[0]["buyerId"] == orders[1]["buyerId"]
    assert orders[0]["phone"] != orders[1]["phone"]


def test_a_long_order_number_has_129_characters():
    (order,) = (order for order in day() if order.fault == "text_too_long")

    assert len(order.number) == 129


def test_ordinary_orders_add_up_to_the_last_kurus():
    for order in (order.body for order in day() if order.fault is None):
        goods = sum(line["unitPrice"] * line["quantity"] for line in order["lines"])
        totals = order["totals"]
        assert totals["goods"] == goods
        assert totals["discount"] == sum(line["discount"] for line in order["lines"])
        assert Decimal(totals["payable"]) == goods - totals["discount"] + totals["shipping"]


def test_orders_are_varied():
    bodies = [order.body for order in day() if order.fault is None]
    lines = [line for body in bodies for line in body["lines"]]
    buyers = [body["buyer"]["buyerId"] for body in bodies]

    assert {body["carrier"]["code"] for body in bodies} == {code for code, _ in CARRIERS}
    assert {line["sku"] for line in lines} == {product.id for product in catalogue()}
    assert any(line["quantity"] > 1 and line["discount"] * 100 % line["quantity"] for line in lines)
    assert any(body["invoiceTo"]["company"] for body in bodies)
    assert any(body["gift"]["note"] for body in bodies)
    assert len(buyers) - len(set(buyers)) > 20


def test_every_address_exists_but_for_those_that_are_wrong_on_purpose():
    known = {(province, township): set(districts) for _, province, township, districts in _townships()}

    for order in day():
        if order.fault in {"city_unknown", "township_unknown", "dotless_i"}:
            continue
        for address in (order.body["deliverTo"], order.body["invoiceTo"]):
            districts = known[address["province"], address["township"]]
            assert address["neighbourhood"] is None or address["neighbourhood"] in districts


def test_nobody_is_written_to_or_called():
    for order in day():
        email, phone = order.body["buyer"]["email"], order.body["buyer"]["phone"]
        assert email is None or email.rpartition("example.")[2] in {"com", "org", "net"}
        assert phone in {None, "555 12"} or phone[6] == "0"  # no Turkish subscriber's number begins with 0


def test_every_buyer_has_an_address_that_a_mail_server_takes():
    names = {buyer(1, number)["email"].partition("@")[0] for number in range(1, 20_001)}

    assert [name for name in names if not re.fullmatch(r"[a-z]+\.[a-z]+\.[0-9]+", name)] == []


def test_naive_times_are_refused():
    with pytest.raises(ValueError, match="zone"):
        orders_between(1, 12, START.replace(tzinfo=None), START)


def test_the_catalogue_has_60_products_with_ids_of_their_own():
    products = catalogue()

    assert len({product.id for product in products}) == len({product.barcode for product in products}) == 60
    assert all(product.price > 0 for product in products)
