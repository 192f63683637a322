"""A Medusa order as the DTO: money, units, people and places, from recorded answers."""

import copy
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from pydantic import ValidationError

from order_integration.channels.medusa.money import exact, rounded, split_line
from order_integration.dto import allotted
from order_integration.errors import Reason, RecordError
from tests.channels.medusa_kit import (
    CANCELLED,
    LUMP_SUM,
    REGISTERED,
    TAX_INCLUSIVE,
    normalized,
    recorded,
    recorded_order,
)

KURUS = Decimal("0.01")


def unrounded(order, name):
    return Decimal(order.extra_field["unrounded"][name])


# Money ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", recorded(), ids=lambda order: order["display_id"])
def test_every_line_is_rounded_once_and_its_units_add_up_to_it(order):
    items = normalized(order).order_item
    for line in order["items"]:
        units = [item for item in items if item.line == line["id"]]
        gross, paid = (rounded(exact(line, name), KURUS) for name in ("original_total", "total"))
        assert len(units) == line["quantity"]
        assert sum(unit.price for unit in units) == gross
        assert sum(unit.price - unit.discount_amount for unit in units) == paid
        assert max(unit.price for unit in units) - min(unit.price for unit in units) <= KURUS


@pytest.mark.parametrize("order", recorded(), ids=lambda order: order["display_id"])
def test_the_amount_is_what_the_rounded_lines_and_shipping_come_to(order):
    dto = normalized(order)
    header, items = dto.order, dto.order_item
    assert header.amount == sum(item.price for item in items) - header.discount_amount + header.shipping_amount
    assert header.discount_amount == sum(item.discount_amount for item in items)
    assert abs(header.amount - exact(order, "total")) <= KURUS * (len(order["items"]) + 1) / 2


def test_the_unrounded_figures_stay_in_the_extra_field():
    dto = normalized(recorded_order(LUMP_SUM))
    assert unrounded(dto.order, "total") == Decimal("1119.5795119914885")
    assert dto.order.amount == Decimal("1119.57")
    line = recorded_order(LUMP_SUM)["items"][0]
    item = next(item for item in dto.order_item if item.line == line["id"])
    assert unrounded(item, "total") == Decimal(line["raw_total"]["value"])


def test_a_price_that_includes_the_tax_is_not_taxed_again():
    order = recorded_order(TAX_INCLUSIVE)
    assert all(line["is_tax_inclusive"] for line in order["items"])
    prices = {item.line: item.price for item in normalized(order).order_item}
    assert prices == {line["id"]: exact(line, "unit_price") for line in order["items"]}


@pytest.mark.parametrize(
    ("amount", "expected"),
    [
        ("1.005", "1.01"),
        ("1.0049", "1.00"),
        ("1.004999999999997", "1.01"),  # Medusa's noise below a half
        ("1.005000000000003", "1.01"),
        ("1.00499", "1.00"),
    ],
)
def test_a_half_goes_up_even_where_the_figure_is_a_hair_below_it(amount, expected):
    assert rounded(Decimal(amount), KURUS) == Decimal(expected)


def test_a_currency_without_minor_unit_is_rounded_to_whole_units():
    order = recorded_order(LUMP_SUM) | {"currency_code": "jpy"}
    assert all(item.price % 1 == 0 for item in normalized(order).order_item)


@pytest.mark.parametrize("units", [1, 2, 3, 7, 11])
@pytest.mark.parametrize("before", ["0", "0.01", "0.02", "10.00", "99.99"])
def test_no_unit_is_discounted_below_nothing(before, units):
    for after in ("0", "0.01", before):
        line = {"original_total": Decimal(before), "total": min(Decimal(after), Decimal(before))}
        shares = split_line(line, units, KURUS)
        assert all(0 <= share.discount <= share.price for share in shares)


def test_what_does_not_come_out_even_goes_to_the_first_units():
    assert allotted(Decimal("10.01"), 3, KURUS) == [Decimal("3.34"), Decimal("3.34"), Decimal("3.33")]


def test_a_total_that_the_lines_do_not_explain_is_refused():
    order = recorded_order(REGISTERED)
    order["total"] -= 100  # a credit, say
    with pytest.raises(RecordError) as error:
        normalized(order)
    assert error.value.reason is Reason.TOTALS_MISMATCH


# Items ----------------------------------------------------------------------------------------------------------------


def test_every_unit_has_an_id_of_its_own_that_begins_with_its_line():
    order = recorded_order(LUMP_SUM)
    ids = [item.remote_id for item in normalized(order).order_item]
    expected = [f"{line['id']}/{n + 1}" for line in order["items"] for n in range(int(line["quantity"]))]
    assert sorted(ids) == sorted(expected)
    assert {item.product for item in normalized(order).order_item} == {line["variant_id"] for line in order["items"]}


def test_items_come_in_the_same_order_whatever_medusa_lists_first():
    order = recorded_order(LUMP_SUM)
    turned = order | {"items": order["items"][::-1]}
    assert normalized(order) == normalized(turned)


def test_tax_rates_that_apply_together_add_up():
    order = recorded_order(LUMP_SUM)
    order["items"][0]["tax_lines"].append({"rate": Decimal("0.5")})
    rates = {item.line: item.tax_rate for item in normalized(order).order_item}
    assert rates[order["items"][0]["id"]] == Decimal("10.5")


@pytest.mark.parametrize("quantity", [Decimal("1.5"), -1, 10**9])
def test_a_quantity_that_is_no_number_of_units_is_refused(quantity):
    order = recorded_order(LUMP_SUM)
    order["items"][0] |= {"quantity": quantity, "raw_quantity": None}
    with pytest.raises(RecordError, match="units") as error:
        normalized(order)
    assert error.value.field == "items.quantity"


def test_a_line_that_was_taken_back_has_no_items():
    order = recorded_order(LUMP_SUM)
    gone = order["items"][0]
    order["total"] -= exact(gone, "total")
    nothing = dict.fromkeys(("quantity", "original_total", "discount_total", "total", "tax_total"), 0)
    gone |= nothing | {f"raw_{name}": None for name in nothing}
    assert gone["id"] not in {item.line for item in normalized(order).order_item}


# People and places ----------------------------------------------------------------------------------------------------


def test_a_guest_is_named_by_the_address():
    order = recorded_order(LUMP_SUM)
    assert order["customer"]["first_name"] is None
    customer = normalized(order).order.customer
    assert (customer.first_name, customer.last_name) == ("Natalia", "Gülen")
    assert customer.channel_code == order["customer"]["id"]


def test_who_has_an_account_is_named_by_it():
    order = recorded_order(REGISTERED)
    order["shipping_address"]["first_name"] = "Komşu"
    dto = normalized(order).order
    assert (dto.customer.first_name, dto.shipping_address.first_name) == ("Dilara", "Komşu")


def test_province_is_the_city_and_city_the_township():
    order = recorded_order(LUMP_SUM)
    address = normalized(order).order.shipping_address
    assert (address.country, address.city, address.township) == ("TR", "Bursa", "Nilüfer")


def test_without_a_province_the_city_is_the_city():
    order = recorded_order(LUMP_SUM)
    order["shipping_address"] |= {"province": None, "city": "Berlin"}
    address = normalized(order).order.shipping_address
    assert (address.city, address.township) == ("Berlin", None)


def test_the_bill_may_go_elsewhere_and_goes_home_when_nobody_says():
    order = recorded_order(REGISTERED)
    dto = normalized(order).order
    assert dto.billing_address.company_name == order["billing_address"]["company"]
    assert dto.billing_address.line != dto.shipping_address.line
    order["billing_address"] = None
    dto = normalized(order).order
    assert dto.billing_address == dto.shipping_address


def test_a_missing_phone_comes_from_the_account_and_then_from_the_other_address():
    order = recorded_order(REGISTERED)
    order["shipping_address"]["phone"] = None
    order["customer"]["phone"] = "+90 555 000 11 11"
    assert normalized(order).order.shipping_address.phone_number == "+90 555 000 11 11"
    order["customer"]["phone"] = " "
    assert normalized(order).order.shipping_address.phone_number == order["billing_address"]["phone"]


def test_no_phone_anywhere_is_said_with_its_reason():
    order = recorded_order(LUMP_SUM)
    for holder in ("customer", "shipping_address", "billing_address"):
        order[holder]["phone"] = None
    with pytest.raises(ValidationError) as error:
        normalized(order)
    assert {one["type"] for one in error.value.errors()} == {Reason.PHONE_MISSING}


# The header -----------------------------------------------------------------------------------------------------------


def test_the_number_is_the_prefix_and_the_display_id():
    assert normalized(recorded_order(REGISTERED)).order.number == "MD-3"


def test_the_carrier_is_the_options_and_otherwise_the_default():
    order = recorded_order(REGISTERED)
    order["shipping_methods"][0]["name"] = "Yurtiçi Kargo"
    assert normalized(order).order.cargo_company == "yurtici"
    order["shipping_methods"][0]["name"] = "Kurye"
    assert normalized(order).order.cargo_company == "aras"


def test_an_option_without_a_carrier_is_refused_by_its_name():
    order = recorded_order(REGISTERED)
    order["shipping_methods"][0]["name"] = "Kurye"
    with pytest.raises(RecordError, match="Kurye") as error:
        normalized(order, default_carrier="")
    assert error.value.reason is Reason.CARRIER_UNKNOWN


def test_the_way_back_of_a_return_is_no_part_of_the_shipping():
    order = recorded_order(REGISTERED)
    back = copy.deepcopy(order["shipping_methods"][0])
    back["detail"]["return_id"] = "return_1"
    before = normalized(order)
    order["shipping_methods"].append(back)
    assert normalized(order) == before


def test_times_have_a_zone():
    order = recorded_order(REGISTERED)
    dto = normalized(order).order
    assert dto.created_at == datetime.fromisoformat(order["created_at"])
    assert dto.created_at.utcoffset() == timedelta(0)


def test_a_cancelled_order_is_an_order_too():
    order = recorded_order(CANCELLED)
    assert order["status"] == "canceled"
    assert normalized(order).order.extra_field["status"] == "canceled"


@pytest.mark.parametrize("name", ["items", "currency_code", "total", "shipping_methods", "created_at", "email"])
def test_what_is_missing_is_named(name):
    order = recorded_order(REGISTERED)
    del order[name]
    with pytest.raises(RecordError) as error:
        normalized(order)
    assert (error.value.reason, error.value.field) == (Reason.FIELD_MISSING, name)


@pytest.mark.parametrize(
    "garbage", [None, [], "order", {"currency_code": "try", "items": "none"}, {"currency_code": "try", "items": [None]}]
)
def test_what_is_no_order_is_a_bad_record_and_no_crash(garbage):
    with pytest.raises(RecordError):
        normalized(garbage)
