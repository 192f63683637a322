import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from order_integration.channels.commands import (
    ChannelConnection,
    CheckOrders,
    GetCancellationRequests,
    GetCancelledOrders,
    GetChannelConfSchema,
    GetOrders,
    GetUpdatedOrderItems,
    SendUpdatedOrders,
    UpdateCancellationRequest,
    Window,
    WindowOn,
)
from order_integration.channels.marketplace import CONNECTOR
from order_integration.channels.marketplace.mapping import order_dto
from order_integration.channels.marketplace.settings import MarketplaceSettings
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.dto import ChannelCreateOrderDto, allotted, collected_cuts, record_error
from order_integration.errors import ConfigurationError, ContractError, Reason, RecordError
from order_integration.transport import dumps, loads
from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import expected_of, orders_between

NOW = datetime(2026, 3, 20, 9, 46, 40, tzinfo=UTC)
DAY = timedelta(days=1)
YESTERDAY = Window(NOW - DAY, NOW)
# Only Omnitron, or a look at all records together, can tell these.
SEEN_LATER = {"product_unknown", "carrier_unknown", "country_unknown", "city_unknown", "township_unknown"}
SEEN_LATER |= {"conflict", "number_taken"}
COMMANDS = (
    GetOrders,
    SendUpdatedOrders,
    CheckOrders,
    GetCancelledOrders,
    GetUpdatedOrderItems,
    GetCancellationRequests,
    UpdateCancellationRequest,
    GetChannelConfSchema,
)


@dataclass
class Market:
    """A marketplace under way, and what a test does to it from outside."""

    app: FastAPI
    http: httpx.Client


@pytest.fixture(scope="module")
def running_market() -> Iterator[Market]:
    app = create_app(calls_per_second=None, clock=lambda: int(NOW.timestamp() * 1000))
    with running(app) as url, httpx.Client(base_url=url) as client:
        yield Market(app, client)


@pytest.fixture
def market(running_market: Market) -> Market:
    running_market.http.delete("/admin/faults")
    running_market.http.delete("/admin/requests")
    running_market.http.put("/admin/rate_limit", json={"per_second": None})
    return running_market


def channel(**given) -> ChannelConfig:
    settings = {"limits": {"requests_per_second": 500}, **given}
    return ChannelConfig(
        name="kervan",
        connector="marketplace",
        connection="kervan",
        omnitron_channel_id=1,
        catalog_id=1,
        active_from="2026-01-01T00:00:00+03:00",
        **settings,
    )


def connector(market, *, key=LOOPBACK_KEY, **given):
    return CONNECTOR(channel(**given), ChannelConnection(str(market.http.base_url), password=key))


def fetch(market, window=YESTERDAY, **given):
    async def read():
        async with connector(market, **given) as opened:
            return [page async for page in opened.command(GetOrders).pages(window)]

    return asyncio.run(read())


def by_key(market, key):
    async def read():
        async with connector(market) as opened:
            return await opened.command(GetOrders).get_by_key(key)

    return asyncio.run(read())


def rows(market, window=YESTERDAY, **given):
    return [row for page in fetch(market, window, **given) for row in page]


def generated(window=YESTERDAY, **wanted):
    found = orders_between(1, 12, window.start, window.end)
    return [order for order in found if all(getattr(order, name) == value for name, value in wanted.items())]


def raw(fault=None, where=lambda body: True):
    """An order as it comes over the wire."""
    return loads(dumps(next(order.body for order in generated(fault=fault) if where(order.body))))


def dto(record, **settings) -> ChannelCreateOrderDto:
    return command(**settings).normalize_response(record)


def command(**settings):
    made = CONNECTOR(channel(settings=settings), ChannelConnection("https://market.example", password="key"))
    return made.command(GetOrders)


def refusal(record):
    try:
        with collected_cuts():
            dto(record)
    except RecordError as error:
        return error
    except ValidationError as error:
        return record_error(error)
    return None


def test_the_registry_finds_the_connector():
    assert connector_class(channel()) is CONNECTOR


@pytest.mark.parametrize("page_size", [7, 100, 1000])
def test_a_window_is_read_whole_whatever_the_page_size(market, page_size):
    assert rows(market, page_size=page_size) == [loads(dumps(order.body)) for order in generated()]


def test_pages_are_no_larger_than_asked_or_than_the_marketplace_gives(market):
    assert max(map(len, fetch(market, page_size=7))) == 7
    assert max(map(len, fetch(market, page_size=1000))) == 200


def test_keys_and_times_are_those_of_the_marketplace(market):
    reader = command()
    found = rows(market)
    expected = expected_of(generated())

    assert [reader.key_of(row) for row in found] == [str(order.id) for order in generated()]
    assert [reader.time_of(row) for row in found] == [order.modified_at for order in generated()]
    assert (len(found), len({reader.key_of(row) for row in found})) == (expected.rows, expected.distinct)
    assert reader.window_on is WindowOn.MODIFICATION


def test_every_record_meets_the_fate_that_is_expected_of_it(market):
    fates = {order.id: order for order in generated()}
    wrong = [
        (order.fault, found)
        for row in rows(market)
        for order, found in [(fates[row["orderId"]], refusal(row))]
        if (found.reason if found else None) != (None if order.reason in SEEN_LATER else order.reason)
    ]

    assert wrong == []
    assert len({order.reason for order in fates.values()} - {None}) == 18


def test_windows_that_meet_inside_a_millisecond_share_nothing_and_leave_nothing_out(market):
    edge = generated()[40].modified_at
    for microseconds in (0, 1, 999):
        middle = edge + timedelta(microseconds=microseconds)
        first, second = rows(market, Window(YESTERDAY.start, middle)), rows(market, Window(middle, YESTERDAY.end))
        assert Counter(row["orderId"] for row in first + second) == Counter(order.id for order in generated())


def test_a_window_longer_than_the_marketplace_allows_is_read_in_pieces(market):
    window = Window(NOW - timedelta(days=40), NOW)

    found = Counter(str(row["orderId"]) for row in rows(market, window))

    assert found == Counter(str(order.id) for order in generated(window))
    calls = market.http.get("/admin/requests").json()
    assert len({re.search(r"modified_from=(\d+)", call["query"])[1] for call in calls}) == 2


def test_a_window_without_end_is_refused(market):
    with pytest.raises(ConfigurationError, match="before it begins"):
        rows(market, Window(NOW, NOW))


def test_failures_that_pass_lose_and_double_nothing(market):
    for action in ({"kind": "status", "status": 503}, {"kind": "cut_after"}, {"kind": "truncate"}):
        market.http.post("/admin/faults", json={"path": "orders", "skip": 1, "times": 1, "action": action})

    assert [row["orderId"] for row in rows(market, page_size=50)] == [order.id for order in generated()]
    faults = [call["fault"] for call in market.http.get("/admin/requests").json()]
    assert set(faults) == {None, "status", "cut_after", "truncate"}


def test_too_many_calls_wait_as_long_as_they_are_told(market):
    market.http.put("/admin/rate_limit", json={"per_second": 2})

    assert len(rows(market, Window(NOW - DAY / 4, NOW), page_size=20)) == len(generated(Window(NOW - DAY / 4, NOW)))
    assert 429 in [call["status"] for call in market.http.get("/admin/requests").json()]


def test_a_wrong_key_is_named_as_such(market):
    with pytest.raises(ConfigurationError, match="credentials"):
        rows(market, key="wrong")


def test_a_connection_without_a_key_is_refused():
    with pytest.raises(ConfigurationError, match="connection kervan"):
        CONNECTOR(channel(), ChannelConnection("https://market.example"))


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="carrier_codes"):
        command(carrier_codes={})


@pytest.mark.parametrize("kind", COMMANDS)
def test_it_has_every_command(kind):
    made = CONNECTOR(channel(), ChannelConnection("https://market.example", password="key"))

    assert isinstance(made.command(kind), kind)


@pytest.mark.parametrize("body", ["[]", '{"orders": null}', '{"items": []}'])
def test_an_answer_without_orders_is_not_taken_for_an_empty_window(market, body):
    market.http.post("/admin/faults", json={"action": {"kind": "status", "status": 200, "body": body}})

    with pytest.raises(ContractError):
        rows(market)


def test_a_cursor_that_stands_still_ends_the_reading(market):
    body = '{"orders": [{"orderId": 1}], "next": "0-1-1-0"}'
    market.http.post("/admin/faults", json={"action": {"kind": "status", "status": 200, "body": body}})

    with pytest.raises(ContractError, match="cursor"):
        rows(market)


def test_one_order_is_read_by_its_key(market):
    order = generated(fault=None)[3]

    assert by_key(market, str(order.id)) == loads(dumps(order.body))
    assert by_key(market, "1") is None
    assert by_key(market, "no-id-0123456789abcdef") is None
    assert command().can_get_by_key()


def test_each_unit_is_an_item_of_its_own():
    order = raw(where=lambda body: any(line["quantity"] > 2 for line in body["lines"]))

    items = dto(order).order_item

    assert [item.remote_id for item in items] == [
        f"{line['lineId']}/{number}" for line in order["lines"] for number in range(1, line["quantity"] + 1)
    ]
    for line in order["lines"]:
        own = [item for item in items if item.line == line["lineId"]]
        assert {item.product for item in own} == {line["sku"]}
        assert sum(item.price - item.discount_amount for item in own) == line["total"]


def test_money_is_exact_from_wire_to_dto():
    for order in (loads(dumps(order.body)) for order in generated(fault=None)):
        made, totals = dto(order), order["totals"]
        assert made.order.amount == Decimal(totals["payable"])
        assert sum(item.price for item in made.order_item) == totals["goods"]
        assert sum(item.discount_amount for item in made.order_item) == made.order.discount_amount == totals["discount"]


@given(st.decimals(0, 10**7, places=2), st.integers(1, 60), st.sampled_from(["0.01", "1", "0.001"]))
def test_a_shared_amount_loses_nothing_and_no_unit_gets_much_more_than_another(amount, units, unit):
    shares = allotted(amount, units, Decimal(unit))

    assert sum(shares) == amount
    assert len(shares) == units
    assert max(shares) - min(shares) < 2 * Decimal(unit)


def test_people_and_places_arrive_where_they_belong():
    order = raw("other_invoice_address")
    made = dto(order).order

    assert (made.customer.channel_code, made.customer.email) == (
        str(order["buyer"]["buyerId"]),
        order["buyer"]["email"],
    )
    for address, theirs in (
        (made.shipping_address, order["deliverTo"]),
        (made.billing_address, order["invoiceTo"]),
    ):
        assert (address.country, address.city, address.township, address.district, address.line) == (
            theirs["countryCode"], theirs["province"], theirs["township"], theirs["neighbourhood"], theirs["street"],
        )  # fmt: skip
        assert address.email == made.customer.email
    assert made.shipping_address != made.billing_address


def test_a_company_is_billed_as_a_company():
    order = raw(where=lambda body: body["invoiceTo"]["company"])
    company = order["invoiceTo"]["company"]
    made = dto(order).order

    assert (made.billing_address.company_name, made.billing_address.tax_office, made.billing_address.tax_no) == (
        company["name"], company["taxOffice"], company["taxNo"],
    )  # fmt: skip
    assert made.billing_address.e_bill_taxpayer == company["eInvoice"]
    assert made.shipping_address.company_name is None


def test_times_keep_their_zone():
    order = raw()
    made = dto(order).order

    assert made.created_at == datetime.fromisoformat(order["placedAt"])
    assert made.created_at.utcoffset() == timedelta(hours=3)
    assert made.modified_at == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=order["changedAtMs"])
    assert made.delivery_range["end"] == datetime.fromisoformat(order["deliverBy"]["to"])


def test_gifts_and_notes_are_handed_over_and_cut_where_they_are_too_long():
    short, long = raw(where=lambda body: body["gift"]["note"]), raw("long_free_text")
    assert (dto(short).order.has_gift_box, dto(short).order.gift_box_note) == (True, short["gift"]["note"])

    with collected_cuts() as cuts:
        made = dto(long).order

    assert (len(made.gift_box_note), len(made.notes)) == (160, 320)
    assert {cut.field for cut in cuts} == {"gift_box_note", "notes"}


def test_letters_are_left_as_they_are():
    for fault in ("emoji", "combining_characters", "dotless_i"):
        order = raw(fault)
        assert dto(order).order.customer.first_name == order["buyer"]["name"]


def test_carriers_and_numbers_are_translated_as_configured():
    order = raw(where=lambda body: body["carrier"]["code"] == "ptt")

    assert dto(order).order.cargo_company == "ptt"
    made = dto(order, carriers={"ptt": "PTT01"}, number_prefix="K-").order
    assert (made.cargo_company, made.number) == ("PTT01", f"K-{order['orderNumber']}")


def test_one_kurus_a_line_is_tolerated_and_no_more():
    order = raw("off_by_one_unit")
    assert refusal(order) is None

    order["totals"]["payable"] = str(Decimal(order["totals"]["payable"]) + len(order["lines"]) * Decimal("0.01"))

    assert refusal(order).reason is Reason.TOTALS_MISMATCH


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda order: order.pop("buyer"), Reason.FIELD_MISSING),
        (lambda order: order.update(lines=None), Reason.RECORD_MALFORMED),
        (lambda order: order.update(deliverTo="İstanbul"), Reason.RECORD_MALFORMED),
        (lambda order: order.update(changedAtMs="yesterday"), Reason.RECORD_MALFORMED),
        (lambda order: order["lines"][0].update(quantity=0), Reason.FIELD_MALFORMED),
        (lambda order: order["lines"][0].update(quantity=Decimal("1.5")), Reason.FIELD_MALFORMED),
        (lambda order: order["lines"][0].update(quantity=10**9), Reason.FIELD_MALFORMED),
        (lambda order: order["lines"][0].update(discount="NaN"), Reason.MONEY_MALFORMED),
        (lambda order: order["lines"][0].update(discount=None), Reason.MONEY_MALFORMED),
        (lambda order: order["lines"][0].update(discount=Decimal("-1.00")), Reason.MONEY_NEGATIVE),
        (lambda order: order["lines"][0].update(sku=None), Reason.FIELD_MALFORMED),
        (lambda order: order.update(currency="XYZ"), Reason.FIELD_MALFORMED),
        (lambda order: order["totals"].update(shipping="x"), Reason.MONEY_MALFORMED),
    ],
)
def test_an_order_of_another_shape_is_refused_by_name(change, reason):
    order = raw()
    change(order)

    assert refusal(order).reason is reason


def test_a_refusal_names_nobody():
    for fault in ("email_malformed", "phone_malformed", "date_malformed"):
        order = raw(fault)
        text = str(refusal(order)) + repr(refusal(order))
        assert order["buyer"]["surname"] not in text
        assert "kime.ait" not in text


def test_the_mapping_leaves_the_record_as_it_came():
    order = raw()
    before = dumps(order)

    order_dto(order, MarketplaceSettings())

    assert dumps(order) == before
