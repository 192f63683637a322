"""What of an order, its items and its buyer reaches Omnitron, field by field, and what may be missing."""

from typing import Any

import pytest

from order_integration.dto import ChannelCreateOrderDto
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask
from tests.omnitron.test_orders import creating
from tests.shelf import address, customer, item, order

OPTIONAL = (
    "gift_box_note", "notes", "shipping_option_slug", "carrier_shipping_code", "tracking_number", "remote_addr",
    "language_code", "delivery_type", "delivery_range",
)  # fmt: skip
OF_AN_ITEM = (
    "carrier_shipping_code", "tracking_number", "invoice_number", "invoice_date", "delivered_date",
    "estimated_delivery_date", "parent", "status",
)  # fmt: skip
OF_AN_ADDRESS = ("title", "postcode", "notes", "company_name", "tax_office", "tax_no", "identity_number", "district")


def dto(**own: Any) -> ChannelCreateOrderDto:
    return ChannelCreateOrderDto.model_validate(order("1", **own)["dto"])


@pytest.mark.defect("O8")
def test_an_optional_text_that_is_nothing_drops_no_order(ask: Ask, back_office: BackOffice) -> None:
    unit = item("1", **dict.fromkeys(OF_AN_ITEM))
    where = address("1", **dict.fromkeys(OF_AN_ADDRESS))

    ask(creating(dto(items=[unit], shipping_address=where, billing_address=where, **dict.fromkeys(OPTIONAL))))

    assert len(back_office.rows("orders")) == len(back_office.rows("order_items")) == 1


@pytest.mark.defect("O11", "O12")
def test_an_item_s_dates_and_invoice_arrive_each_in_its_field(ask: Ask, back_office: BackOffice) -> None:
    said = {
        "invoice_number": "INV-1",
        "invoice_date": "2026-01-06T10:00:00+03:00",
        "delivered_date": "2026-01-08T12:00:00+03:00",
        "estimated_delivery_date": "2026-01-09T12:00:00+03:00",
    }

    ask(creating(dto(items=[item("1", **said)])))

    [row] = back_office.rows("order_items")
    assert row["invoice_number"] == "INV-1"
    assert row["invoice_date"].startswith("2026-01-06T07:00:00")
    assert row["delivered_date"].startswith("2026-01-08T09:00:00")
    assert row["estimated_delivery_date"].startswith("2026-01-09T09:00:00")


@pytest.mark.defect("O13")
@pytest.mark.parametrize("client_type", ["ios", "default"])
def test_where_an_order_was_placed_from_is_the_channel_s_word(
    ask: Ask, back_office: BackOffice, client_type: str
) -> None:
    ask(creating(dto(client_type=client_type)))

    assert [row["client_type"] for row in back_office.rows("orders")] == [client_type]


@pytest.mark.defect("O14")
@pytest.mark.parametrize("placed", ["2026-01-05T12:00:00+03:00", "2026-01-05T09:00:00Z", "2026-01-04T22:00:00-11:00"])
def test_the_moment_of_an_order_is_the_same_in_any_zone(ask: Ask, back_office: BackOffice, placed: str) -> None:
    ask(creating(dto(created_at=placed)))

    assert [row["date_placed"] for row in back_office.rows("orders")] == ["2026-01-05T09:00:00.000000Z"]


@pytest.mark.defect("O15")
@pytest.mark.parametrize("is_active", [True, False])
def test_a_customer_is_as_active_as_the_channel_says(ask: Ask, back_office: BackOffice, *, is_active: bool) -> None:
    ask(creating(dto(customer=customer("1", is_active=is_active))))

    assert [row["is_active"] for row in back_office.rows("customers")] == [is_active]


@pytest.mark.defect("O20", "K2")
def test_what_a_connector_handed_over_is_not_changed(ask: Ask) -> None:
    own = {"extra_field": {"campaign": "spring"}, "items": [item("1", extra_field={"gift": True})]}
    given = dto(**own)

    ask(creating(given))

    assert given == dto(**own)
