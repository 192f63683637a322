"""Orders: created once, found again after a lost answer, compared with what was created."""

from decimal import Decimal
from typing import Any

import pytest

from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import Reason, RecordError, UnknownOutcomeError
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.customers import Addresses, Customers
from order_integration.omnitron.integration_actions import Link
from order_integration.omnitron.lookups import Lookups
from order_integration.omnitron.orders import Created, Orders
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask
from tests.shelf import NOON, address, item, order


def dto(key: str = "1", **own: Any) -> ChannelCreateOrderDto:
    return ChannelCreateOrderDto.model_validate(order(key, **own)["dto"])


async def room(omnitron: Omnitron, run: str = "r1") -> Orders:
    lookups = Lookups(omnitron)
    return Orders(omnitron, lookups, Customers(omnitron), Addresses(omnitron, lookups), await omnitron.catalog(1), run)


def creating(*dtos: ChannelCreateOrderDto, run: str = "r1") -> Any:
    async def work(omnitron: Omnitron) -> list[Created]:
        orders = await room(omnitron, run)
        await orders.lookups.read_products(unit.product for one in dtos for unit in one.order_item)
        return [await orders.create(one, NOON) for one in dtos]

    return work


def numbers(back_office: BackOffice) -> list[str]:
    return [row["number"] for row in back_office.rows("orders")]


def test_an_order_arrives_as_it_is(ask: Ask, back_office: BackOffice) -> None:
    own = {
        "notes": "Kapıya bırakın 🎁",
        "gift_box_note": "İyi ki doğdun",
        "has_gift_box": True,
        "remote_addr": "198.51.100.7",
        "language_code": "tr",
        "tracking_number": "T-1",
        "shipping_option_slug": "same-day",
    }
    unit = item("1", price="49.90", retail_price="60.00", attributes={"engraving": "A"}, parent="P")
    read = dto(items=[unit], amount="54.90", discount_amount="5.00", extra_field={"raw": {"a": [1]}}, **own)

    [created] = ask(creating(read))

    assert created.by_this_run
    [row] = back_office.rows("orders")
    assert {name: row[name] for name in own} == own
    assert (row["pk"], row["amount"], row["discount_amount"]) == (created.pk, "54.90", "5.00")
    assert row["date_placed"] == "2026-01-05T09:00:00.000000Z"
    assert (row["extra_field"]["id"], row["extra_field"]["raw"]) == ("1", {"a": [1]})
    [unit_row] = back_office.rows("order_items", order=row["pk"])
    assert (unit_row["price"], unit_row["retail_price"], unit_row["parent"]) == ("49.90", "60.00", "P")
    assert (unit_row["price_list"], unit_row["stock_list"], unit_row["status"]) == (1, 1, "400")
    assert (unit_row["attributes"], unit_row["extra_field"]) == ({"engraving": "A"}, {"id": "1-1/1"})


def test_an_item_s_own_lists_win_over_the_catalog_s(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(catalogs=[{"id": 2, "name": "b", "price_list": 5, "stock_list": 6}])

    ask(creating(dto(items=[item("1", price_list=5, stock_list=6)])))

    [unit] = back_office.rows("order_items")
    assert (unit["price_list"], unit["stock_list"]) == (5, 6)


@pytest.mark.defect("O20")
def test_an_id_in_the_free_data_does_not_replace_the_order_s(ask: Ask, back_office: BackOffice) -> None:
    ask(creating(dto(extra_field={"id": "another"}, items=[item("1", extra_field={"id": "another"})])))

    assert back_office.rows("orders")[0]["extra_field"]["id"] == "1"
    assert back_office.rows("order_items")[0]["extra_field"]["id"] == "1-1/1"


@pytest.mark.parametrize("amount", ["60", "60.0", "60.0000", "6E+1"])
def test_money_arrives_with_no_more_digits_than_it_has(ask: Ask, back_office: BackOffice, amount: str) -> None:
    unit = item("1", price=str(Decimal(amount) - 10), tax_rate="20.000")

    ask(creating(dto(amount=amount, items=[unit])))

    assert back_office.rows("orders")[0]["amount"] == "60.00"


@pytest.mark.defect("O5")
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_creates_one_order_that_this_run_reports(ask: Ask, back_office: BackOffice, kind: str) -> None:
    back_office.fault("POST", "/create_orders/", kind)

    [created] = ask(creating(dto()))

    assert created.by_this_run
    assert created.pk == back_office.rows("orders")[0]["pk"]
    assert numbers(back_office) == ["N1"]


def test_a_later_try_of_the_run_reports_what_an_earlier_one_created(ask: Ask, back_office: BackOffice) -> None:
    ask(creating(dto()))

    [created] = ask(creating(dto()))

    assert created.by_this_run
    assert numbers(back_office) == ["N1"]


@pytest.mark.parametrize("as_list", [False, True])
def test_an_order_of_another_run_is_found_and_not_claimed(ask: Ask, back_office: BackOffice, *, as_list: bool) -> None:
    back_office.switch(duplicates_as_400_list=as_list)
    [first] = ask(creating(dto()))

    [found] = ask(creating(dto(), run="r2"))

    assert (found.pk, found.by_this_run) == (first.pk, False)


@pytest.mark.parametrize("as_list", [False, True])
def test_a_number_of_another_order_is_taken(ask: Ask, back_office: BackOffice, *, as_list: bool) -> None:
    back_office.switch(duplicates_as_400_list=as_list)
    ask(creating(dto("1", number="N")))

    with pytest.raises(RecordError) as caught:
        ask(creating(dto("2", number="N")))

    assert (caught.value.reason, caught.value.field) == (Reason.NUMBER_TAKEN, "order.number")
    assert numbers(back_office) == ["N"]


def test_the_same_number_in_another_channel_is_free(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(products=[{"channel": 2, "remote_id": "SKU-1", "sku": "SKU-1"}])
    ask(creating(dto()))

    [created] = ask(creating(dto()), channel=2)

    assert created.by_this_run


def test_answers_that_stay_lost_without_an_order_are_for_the_next_try(ask: Ask, back_office: BackOffice) -> None:
    back_office.fault("POST", "/create_orders/", "cut_before", times=9)

    with pytest.raises(UnknownOutcomeError):
        ask(creating(dto()))
    assert numbers(back_office) == []


@pytest.mark.parametrize(
    ("own", "reason", "field"),
    [
        ({"cargo_company": "aras"}, Reason.CARRIER_UNKNOWN, "order.cargo_company"),
        ({"shipping_address": address(city="Atlantis")}, Reason.CITY_UNKNOWN, "shipping_address.city"),
        ({"billing_address": address(country="XX")}, Reason.COUNTRY_UNKNOWN, "billing_address.country"),
        ({"items": [item("1", product="SKU-9")]}, Reason.PRODUCT_UNKNOWN, "order_item.0.product"),
    ],
)
def test_an_order_that_cannot_be_created_leaves_no_customer_behind(
    ask: Ask, back_office: BackOffice, own: dict[str, Any], reason: Reason, field: str
) -> None:
    with pytest.raises(RecordError) as caught:
        ask(creating(dto(**own)))

    assert (caught.value.reason, caught.value.field) == (reason, field)
    assert back_office.rows("customers") == []


def test_what_omnitron_refuses_names_no_value(ask: Ask, back_office: BackOffice) -> None:
    with pytest.raises(RecordError) as caught:
        ask(creating(dto(remote_addr="not-an-ip-of-ayse")))

    assert (caught.value.reason, caught.value.field) == (Reason.REFUSED, "order")
    assert "ayse" not in str(caught.value)


# Links ---------------------------------------------------------------------------------------------------------------


def test_links_name_the_order_and_each_of_its_items(ask: Ask, back_office: BackOffice) -> None:
    units = [item("1", 1, 1), item("1", 1, 2), item("1", 2, 1)]

    async def work(omnitron: Omnitron) -> list[Link]:
        orders = await room(omnitron)
        await orders.lookups.read_products(["SKU-1"])
        created = await orders.create(dto(items=units, amount="160.00"), NOON)
        return await orders.links(created.row, answered=created.answered)

    links = ask(work)

    [row] = back_office.rows("orders")
    assert links[0] == Link("order", row["pk"], "1", row["modified_date"])
    assert [(link.content_type, link.remote_id) for link in links[1:]] == [
        ("orderitem", "1-1/1"),
        ("orderitem", "1-1/2"),
        ("orderitem", "1-2/1"),
    ]


def test_orders_are_read_many_at_once(ask: Ask, back_office: BackOffice) -> None:
    created = ask(creating(*(dto(str(number)) for number in range(55))))
    back_office.delete("/admin/requests")

    async def work(omnitron: Omnitron) -> set[int]:
        return set(await (await room(omnitron)).by_pk([*(one.pk for one in created), 987654]))

    assert ask(work) == {one.pk for one in created}
    assert len(back_office.calls("GET", "/orders/")) == 2


# What may not change -------------------------------------------------------------------------------------------------


def checking(read: ChannelCreateOrderDto) -> Any:
    async def work(omnitron: Omnitron) -> None:
        orders = await room(omnitron, "r2")
        row = await orders.by_number("N1")
        assert row is not None
        await orders.check_same(row, read)

    return work


@pytest.mark.parametrize(
    "same",
    [
        dto(),
        dto(status="500"),
        dto(minutes=90),
        dto(buyer="fatma", notes="new"),
        dto(amount="60"),
        dto(items=[item("1", status="500", tracking_number="T")]),
    ],
)
def test_news_that_may_change_are_no_conflict(ask: Ask, same: ChannelCreateOrderDto) -> None:
    ask(creating(dto()))

    ask(checking(same))


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (dto(number="N2"), "order.number"),
        (dto(currency="EUR", items=[item("1", price_currency="EUR")]), "order.currency"),
        (dto(amount="60.01"), "order.amount"),
        (dto(items=[item("1", product="SKU-2")]), "order_item"),
        (dto(items=[item("1", price="25"), item("1", 2, price="25")]), "order_item"),
        (dto(items=[item("1", unit=2)]), "order_item"),
    ],
)
def test_what_may_not_change_is_a_conflict_that_names_the_field(
    ask: Ask, other: ChannelCreateOrderDto, field: str
) -> None:
    ask(creating(dto()))

    with pytest.raises(RecordError) as caught:
        ask(checking(other))
    assert (caught.value.reason, caught.value.field) == (Reason.CONFLICT, field)


def by_another_client(back_office: BackOffice, **extra: Any) -> None:
    """As if the order had been imported by somebody else: without our fingerprint."""
    [row] = back_office.rows("orders")
    back_office.patch(f"/admin/orders/{row['pk']}", json={"extra_field": {"id": "1", **extra}}).raise_for_status()


def test_an_order_of_another_client_is_compared_by_its_items(ask: Ask, back_office: BackOffice) -> None:
    ask(creating(dto()))
    by_another_client(back_office)

    ask(checking(dto()))
    with pytest.raises(RecordError) as caught:
        ask(checking(dto(items=[item("1", unit=2)])))
    assert caught.value.reason is Reason.CONFLICT


@pytest.mark.parametrize("ours", ["text", 5, [], ["fingerprint"], None, {"fingerprint": None}])
def test_what_others_write_under_our_key_stops_nobody(ask: Ask, back_office: BackOffice, ours: Any) -> None:
    ask(creating(dto()))
    by_another_client(back_office, order_integration=ours)

    ask(checking(dto()))
    [found] = ask(creating(dto(), run="r2"))
    assert not found.by_this_run


def test_an_order_without_the_channel_s_id_is_not_taken_for_ours(ask: Ask, back_office: BackOffice) -> None:
    ask(creating(dto()))
    [row] = back_office.rows("orders")
    back_office.patch(f"/admin/orders/{row['pk']}", json={"extra_field": {}}).raise_for_status()

    with pytest.raises(RecordError) as caught:
        ask(creating(dto(), run="r2"))
    assert caught.value.reason is Reason.NUMBER_TAKEN
