"""What can't be used is set apart with its reason, and stops nobody else."""

import logging
import re
from typing import Any

import pytest

from order_integration.channels.commands import Window
from order_integration.flows.windows import Reading
from order_integration.staging import key_digest
from tests.conftest import BackOffice
from tests.flows.steps import Steps, results
from tests.shelf import NOON, address, customer, item, order

CANARY = "Kanarya"


def in_both(**own: Any) -> dict[str, Any]:
    return {"shipping_address": address("x", **own), "billing_address": address("x", **own)}


def without(record: dict[str, Any], *path: str) -> dict[str, Any]:
    inner = record["dto"]
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return record


# reason, field, the order
BAD: dict[str, tuple[str, str, dict[str, Any]]] = {
    "unknown product": ("product_unknown", "order_item.0.product", order("x", items=[item("x", product="SKU-404")])),
    "unknown carrier": ("carrier_unknown", "order.cargo_company", order("x", cargo_company="guvercin")),
    "unknown country": ("country_unknown", "shipping_address.country", order("x", **in_both(country="ZZ"))),
    "unknown city": ("city_unknown", "shipping_address.city", order("x", **in_both(city="Atlantis"))),
    "unknown township": (
        "township_unknown",
        "shipping_address.township",
        order("x", **in_both(township="Olmayanköy")),
    ),
    "unknown district": (
        "district_unknown",
        "billing_address.district",
        order("x", billing_address=address("x", district="Olmayan Mah.")),
    ),
    "unknown store": (
        "retail_store_unknown",
        "shipping_address.retail_store",
        order("x", shipping_address=address("x", retail_store="S404")),
    ),
    "no e-mail": ("email_missing", "order.customer.email", order("x", customer=customer("x", email=None))),
    "no e-mail field": ("email_missing", "order.customer.email", without(order("x"), "order", "customer", "email")),
    "malformed e-mail": ("email_malformed", "order.customer.email", order("x", customer=customer("x", email="x(at)y"))),
    "no phone": ("phone_missing", "order.shipping_address.phone_number", order("x", **in_both(phone_number=""))),
    "malformed phone": (
        "phone_malformed",
        "order.shipping_address.phone_number",
        order("x", **in_both(phone_number="0555 KAPI 12")),
    ),
    "no items": ("items_empty", "order_item", order("x", items=[])),
    "negative money": ("money_negative", "order_item.0.price", order("x", items=[item("x", price="-50.00")])),
    "words for money": ("money_malformed", "order_item.0.price", order("x", items=[item("x", price="elli")])),
    "no number for money": ("money_malformed", "order.amount", order("x", amount="NaN")),
    "too many digits": ("money_malformed", "order_item.price", order("x", items=[item("x", price="50.001")])),
    "totals that don't add up": ("totals_mismatch", "order.amount", order("x", amount="60.02")),
    "naive date": ("date_naive", "order.created_at", order("x", created_at="2026-01-05T12:00:00")),
    "impossible date": ("date_malformed", "order.created_at", order("x", created_at="2026-02-31T12:00:00+03:00")),
    "year one": ("date_malformed", "order.created_at", order("x", created_at="0001-01-01T00:00:00+00:00")),
    "long number": ("text_too_long", "order.number", order("x", number="N" * 129)),
    "no number": ("field_missing", "order.number", order("x", number="")),
    "another currency in an item": (
        "field_malformed",
        "order_item.price_currency",
        order("x", items=[item("x", price_currency="EUR")]),
    ),
    "no such currency": ("field_malformed", "order.currency", order("x", currency="TLX")),
    "half an emoji": ("field_malformed", "order.notes", order("x", notes="Te\ud83dşekkürler")),
    "half an emoji in the free data": ("field_malformed", "order.extra_field", order("x", extra_field={"n": "\ud83d"})),
    "not an order at all": ("record_malformed", "record", {"id": "x", "changed": NOON.isoformat(), "no": "dto"}),
    "an order without a header": (
        "field_missing",
        "order",
        {"id": "x", "changed": NOON.isoformat(), "dto": {"order_item": [item("x")]}},
    ),
}


@pytest.mark.defect("O10", "O16", "O17")
@pytest.mark.parametrize("kind", BAD)
def test_a_bad_order_is_quarantined_with_its_reason_and_all_others_arrive(
    steps: Steps, back_office: BackOffice, shelf, kind: str
) -> None:
    reason, field, bad = BAD[kind]
    shelf(order("1"), bad, order("2", minutes=1))

    balance = steps.run()

    assert results(balance) == {"created": 2, "quarantined": 1}
    assert dict(balance.reasons) == {reason: 1}
    assert balance.new_in_quarantine == 1
    assert steps.verdict(balance) is None
    assert set(back_office.linked("order")) == {"1", "2"}
    [(key, (why, where))] = steps.keys(steps.quarantine).items()
    assert (key, why) == ("x", reason)
    assert where.endswith(field)
    [report] = back_office.rows("error_reports")
    assert report["error_code"] == f"fetch_orders-{key_digest('x')}-{reason}"
    assert report["error_desc"].startswith(f"x: {reason} in {where}: ")
    assert report["is_ok"] is False
    assert [event["level"] for event in back_office.rows("operational_events")] == ["error"]


@pytest.mark.defect("B4", "B5", "O1", "O10")
def test_all_kinds_of_bad_orders_in_one_run_stop_no_good_one(steps: Steps, back_office: BackOffice, shelf) -> None:
    bad = []
    for number, (_, _, record) in enumerate(BAD.values()):
        bad.append({**record, "id": f"bad-{number}"})
    good = [order(str(number), minutes=number) for number in range(5)]
    shelf(*(row for pair in zip(bad, [*good, *[None] * len(bad)], strict=False) for row in pair if row))

    balance = steps.run()

    assert results(balance)["created"] == 5
    assert balance.holds
    assert results(balance)["quarantined"] == len(bad)
    assert set(back_office.linked("order")) == {"0", "1", "2", "3", "4"}


@pytest.mark.parametrize(("amount", "arrives"), [("110.02", True), ("109.98", True), ("110.03", False)])
def test_a_total_may_be_off_by_one_minor_unit_a_line(steps: Steps, shelf, amount: str, arrives: bool) -> None:
    lines = [item("1"), item("1", line=2, price="49.00"), item("1", line=2, unit=2, price="1.00")]
    shelf(order("1", items=lines, amount=amount))

    assert results(steps.run()) == ({"created": 1} if arrives else {"quarantined": 1})


def test_letters_arrive_as_they_are(steps: Steps, back_office: BackOffice, shelf) -> None:
    names = {"first_name": "Gu\u0308ls\u0327ah 🌷", "last_name": "IŞIL İNCİ ığı"}
    note = 'Teşekkürler 👩‍👩‍👧‍👦🎁 e\u0301 \u200f"\\ 𝕏'
    shelf(
        order("ı/İ,😀 1", number="Nİı😀", notes=note, buyer="a", customer=customer("a", **names), items=[item("ş,1")])
    )

    first, second = steps.run(), steps.run()

    assert (results(first), results(second)) == ({"created": 1}, {"already_there": 1})
    [row] = back_office.rows("orders")
    [buyer] = back_office.rows("customers")
    assert (row["number"], row["notes"]) == ("Nİı😀", note)
    assert {name: buyer[name] for name in names} == names
    assert back_office.linked("order") == {"ı/İ,😀 1": row["pk"]}
    assert set(back_office.linked("orderitem")) == {"ş,1-1/1"}


def test_blanks_around_a_number_make_no_second_order(steps: Steps, back_office: BackOffice, shelf) -> None:
    """Omnitron, as Django does, takes them off."""
    shelf(order("1", number=" N1 "))
    steps.run()

    assert results(steps.run()) == {"already_there": 1}
    assert len(back_office.rows("orders")) == 1


@pytest.mark.parametrize("spelling", ["İSTANBUL", "ISTANBUL", "istanbul", "I\u0307stanbul", "Stamboul"])
def test_a_city_is_found_however_it_is_spelled(steps: Steps, shelf, spelling: str) -> None:
    shelf(order("1", shipping_address=address(city=spelling), billing_address=address(city=spelling)))

    assert results(steps.run()) == {"created": 1}


@pytest.mark.defect("O18")
def test_long_free_text_is_cut_and_the_merchant_is_told(steps: Steps, back_office: BackOffice, shelf) -> None:
    long = address("1", notes="ğ" * 600, title="t" * 129)
    shelf(order("1", notes="ü" * 321, gift_box_note="ö" * 161, billing_address=long))

    balance = steps.run()
    again = steps.run()

    assert (results(balance), results(again)) == ({"created": 1}, {"already_there": 1})
    [row] = back_office.rows("orders")
    assert (row["notes"], row["gift_box_note"]) == ("ü" * 320, "ö" * 160)
    assert {len(a["notes"] or "") for a in back_office.rows("addresses")} == {0, 512}
    told = {report["error_desc"]: report["is_ok"] for report in back_office.rows("error_reports")}
    assert told == {
        "1: notes was cut from 321 to 320 characters": True,
        "1: gift_box_note was cut from 161 to 160 characters": True,
        "1: title was cut from 129 to 128 characters": True,
    } | {text: True for text in told if text == "1: notes was cut from 600 to 512 characters"}


@pytest.mark.parametrize("between", [[], ["2", "3", "4"]], ids=["in one page", "in two pages"])
def test_identical_rows_are_duplicates(steps: Steps, back_office: BackOffice, shelf, between: list[str]) -> None:
    shelf(order("1"), *(order(key) for key in between), order("1"))

    balance = steps.run()

    assert (balance.rows, balance.duplicates, balance.distinct) == (2 + len(between), 1, 1 + len(between))
    assert results(balance) == {"created": 1 + len(between)}
    assert balance.holds
    assert len(back_office.rows("orders")) == 1 + len(between)


def test_quarantine_is_one_object_a_key(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("x", items=[item("x", product="SKU-404")]))
    first = steps.run()
    seen = steps.quarantine.get("x")
    reports = back_office.rows("error_reports"), back_office.rows("operational_events")

    second = steps.run()

    again = steps.quarantine.get("x")
    assert again["first_seen"] == seen["first_seen"]
    assert again["last_seen"] > seen["last_seen"]
    assert (first.new_in_quarantine, second.new_in_quarantine) == (1, 0)
    assert (back_office.rows("error_reports"), back_office.rows("operational_events")) == reports


def test_another_reason_is_news(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("x", items=[item("x", product="SKU-404")]))
    steps.run()
    shelf(order("x", cargo_company="guvercin"))

    balance = steps.run()

    assert balance.new_in_quarantine == 1
    assert steps.keys(steps.quarantine) == {"x": ("carrier_unknown", "order.cargo_company")}
    assert len(back_office.rows("error_reports")) == 2


def test_a_key_that_passes_later_leaves_quarantine(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("x", items=[item("x", product="SKU-3")]), order("y", shipping_address=address("y", city="Smyrna")))
    assert results(steps.run()) == {"quarantined": 2}
    back_office.told(
        products=[{"channel": 1, "remote_id": "SKU-3", "sku": "SKU-3"}],
        mappings=[{"level": "city", "channel": 1, "code": "Smyrna", "name": "İzmir"}],
    )
    shelf(
        order("x", items=[item("x", product="SKU-3")]),
        order("y", shipping_address=address("y", city="Smyrna", township="Konak")),
    )

    balance = steps.run()

    assert results(balance) == {"created": 2}
    assert steps.keys(steps.quarantine) == {}
    closed = steps.quarantine.get("x")
    assert (closed["state"], closed["reason"]) == ("superseded", "product_unknown")
    assert "record" not in closed


def test_an_unmapped_place_is_put_before_the_merchant(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(
        order("1", **in_both(city="Atlantis")),
        order("2", **in_both(township="Olmayanköy")),
        order("3", **in_both(district="Olmayan Mah.")),
        order("4", **in_both(country="ZZ")),
    )

    steps.run()
    steps.run()

    told = {row["type"]: (row["remote_code"], row["err_code"]) for row in address_reports(back_office)}
    assert told == {
        "city": ("1_Atlantis", "integrations_200_10_2"),
        "township": ("1_Olmayanköy", "integrations_200_10_1"),
        "district": ("1_Olmayan Mah.", "integrations_200_10_3"),
    }
    assert len(address_reports(back_office)) == 3


def address_reports(office: BackOffice) -> list[dict[str, Any]]:
    return list(office.get("/admin/overview").json()["address_reports"])


def test_a_number_of_another_order_of_the_run_goes_to_the_earlier(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("2", minutes=5, number="N"), order("1", minutes=1, number="N"), order("3", minutes=9, number="N"))

    balance = steps.run()

    assert results(balance) == {"created": 1, "quarantined": 2}
    assert set(back_office.linked("order")) == {"1"}
    assert steps.keys(steps.quarantine) == dict.fromkeys(("2", "3"), ("number_taken", "order.number"))


def test_a_number_of_an_order_of_an_earlier_run_stays_with_it(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("2", minutes=5, number="N"))
    steps.run()
    shelf(order("1", minutes=1, number="N"), order("2", minutes=5, number="N"))

    balance = steps.run()

    assert results(balance) == {"already_there": 1, "quarantined": 1}
    assert steps.keys(steps.quarantine) == {"1": ("number_taken", "order.number")}
    assert set(back_office.linked("order")) == {"2"}


@pytest.mark.defect("G1")
def test_nobody_s_data_is_in_reports_outcomes_or_logs(
    steps: Steps, back_office: BackOffice, shelf, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    person = {"first_name": f"{CANARY}1", "last_name": f"{CANARY}2", "phone_number": "+905551112233"}
    where = {**person, "line": f"{CANARY}3", "company_name": f"{CANARY}4", "tax_no": "9988776655", "title": CANARY}
    own: dict[str, Any] = {
        "customer": customer("kanarya", **person, extra_field={"n": CANARY}),
        "shipping_address": address("kanarya", **where, notes=f"{CANARY}5"),
        "billing_address": address("kanarya", **where, identity_number="99887766554"),
        "notes": f"{CANARY}6" * 60,
        "gift_box_note": f"{CANARY}7",
        "remote_addr": "198.51.100.77",
        "extra_field": {"who": CANARY},
    }
    engraved = [item("1", product="SKU-404", attributes={"engraving": CANARY}, extra_field={"for": CANARY})]
    shelf(
        order("1", **own, items=engraved),
        order(
            "2",
            **{
                **own,
                "customer": customer("kanarya", **{**person, "email": f"{CANARY}(at)example"}),
            },
        ),
        order("3", **{**own, "shipping_address": address("kanarya", **{**where, "phone_number": f"0{CANARY}"})}),
        order("4", **own, cargo_company="guvercin"),
        order("5", **own, amount="1.00"),
        order("6", **own, created_at=f"{CANARY}"),
        order("7", **own),
        order("8", **{**own, "remote_addr": f"{CANARY}"}),
        order("9", **{**own, "shipping_address": address("kanarya", **{**where, "line": CANARY * 50})}),
        order("10", **{**own, "currency": CANARY}),
    )
    back_office.fault("POST", "/create_orders/", "status", status=500, body=f"<p>{CANARY} kanarya@example.com", times=3)

    balance = steps.run()
    again = steps.run()

    assert balance.holds
    assert results(again)["created"] + results(again)["already_there"] >= 1
    told = [*back_office.rows("error_reports"), *back_office.rows("operational_events"), *address_reports(back_office)]
    assert len(told) >= 9
    kept = [outcome for run in ("run-1", "run-2") for outcome in said(steps, run)]
    kept += [(row["reason"], row["field"], row["sentence"]) for row in steps.quarantine.open_keys().values()]
    assert "***" in str(kept)
    secret = re.compile(rf".{{0,40}}({CANARY}|5551112233|9988776655|198[.]51[.]100[.]77).{{0,9}}", re.IGNORECASE)
    everything = "\n".join([*map(str, told), *map(str, kept), caplog.text])
    assert {found[0] for found in secret.finditer(everything)} == set()


def said(steps: Steps, run: str) -> list[Any]:
    [folder] = steps.folder(run, "none").earlier("push-0-")
    return [(o.sentence, o.field, o.masked, o.cuts, o.location) for o in steps.outcomes(folder)]


@pytest.mark.defect("B16")
def test_a_run_of_an_empty_window_is_whole(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))

    balance = steps.run(Reading(Window(NOON.replace(year=2025), NOON.replace(year=2025, hour=13)), NOON))

    assert (balance.rows, balance.holds, results(balance)) == (0, True, {})
    assert back_office.rows("batch_requests") == []


def test_too_many_new_ones_in_quarantine_turn_the_run_red_once(steps: Steps, shelf) -> None:
    """More than the floor of 50 and the share of a fifth."""
    bad = [order(f"x{number}", cargo_company="guvercin") for number in range(51)]
    shelf(*bad, *(order(f"g{number}", items=[]) for number in range(0)))

    first, second = steps.run(), steps.run()

    assert first.new_in_quarantine == 51
    assert steps.verdict(first) is not None
    assert second.new_in_quarantine == 0
    assert steps.verdict(second) is None


def test_as_many_new_ones_as_the_floor_allows_leave_the_run_green(steps: Steps, shelf) -> None:
    shelf(*(order(f"x{number}", cargo_company="guvercin") for number in range(50)))

    assert steps.verdict(steps.run()) is None


def test_a_settle_that_is_tried_again_still_counts_its_new_ones_and_tells_of_each_once(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(*(order(f"x{number}", cargo_company="guvercin") for number in range(51)))
    back_office.fault("POST", "/error_reports/", "status", status=500, skip=20, times=4)

    balance = steps.run(tries=2)

    assert balance.new_in_quarantine == 51
    assert steps.verdict(balance) is not None
    codes = [row["error_code"] for row in back_office.rows("error_reports")]
    assert len(set(codes)) == 51


@pytest.mark.defect("G2")
def test_reports_that_could_not_be_written_are_left_to_the_next_run(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("x", cargo_company="guvercin"))
    back_office.fault("POST", "/error_reports/", "status", status=500, times=4)
    with pytest.raises(Exception, match="the server failed"):
        steps.run()

    balance = steps.run()

    assert balance.new_in_quarantine == 0
    assert len(back_office.rows("error_reports")) == 1
