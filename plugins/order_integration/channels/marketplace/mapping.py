"""A marketplace order as the DTO: one item per unit, money to the last digit."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from order_integration.channels.commands import bad_record
from order_integration.channels.marketplace.settings import MarketplaceSettings
from order_integration.channels.marketplace.units import quantity_of, unit_id
from order_integration.dto import (
    AddressDto,
    ChannelCreateOrderDto,
    ChannelOrderDto,
    CustomerDto,
    OrderItemDto,
    allotted,
    minor_unit,
)
from order_integration.errors import Reason

Row = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def order_dto(order: Row, settings: MarketplaceSettings) -> ChannelCreateOrderDto:
    """The whole order.

    Raises RecordError or pydantic's ValidationError for what Omnitron can't take; KeyError, TypeError and their like
    for what is not an order at all.
    """
    items = [item for line in order["lines"] for item in _units(line, order["currency"])]
    return ChannelCreateOrderDto(order=_header(order, settings), order_item=items)


def moment(milliseconds: int) -> datetime:
    """Milliseconds since 1970 as a time, exactly."""
    return EPOCH + timedelta(milliseconds=milliseconds)


def _header(order: Row, settings: MarketplaceSettings) -> ChannelOrderDto:
    buyer, totals, gift, promised = order["buyer"], order["totals"], order.get("gift") or {}, order.get("deliverBy")
    carrier = order["carrier"]["code"]
    return ChannelOrderDto(
        remote_id=str(order["orderId"]),
        number=f"{settings.number_prefix}{order['orderNumber']}",
        customer=_customer(buyer),
        shipping_address=_address(order["deliverTo"], buyer),
        billing_address=_address(order.get("invoiceTo") or order["deliverTo"], buyer),
        currency=order["currency"],
        amount=totals["payable"],
        discount_amount=totals["discount"],
        shipping_amount=totals["shipping"],
        shipping_tax_rate=totals["shippingVatRate"],
        cargo_company=settings.carriers.get(carrier, carrier),
        created_at=order["placedAt"],
        modified_at=moment(order["changedAtMs"]),
        delivery_type=order.get("speed"),
        tracking_number=order.get("trackingNo"),
        carrier_shipping_code=order.get("parcelCode"),
        remote_addr=order.get("clientIp"),
        has_gift_box=bool(gift.get("wrap")),
        gift_box_note=gift.get("note"),
        language_code=order.get("language"),
        notes=order.get("note"),
        delivery_range={"start": promised["from"], "end": promised["to"]} if promised else None,
        extra_field={"state": order.get("state")},
    )


def _customer(buyer: Row) -> CustomerDto:
    return CustomerDto(
        email=buyer["email"],
        first_name=buyer["name"],
        last_name=buyer["surname"],
        channel_code=str(buyer["buyerId"]),
        phone_number=buyer["phone"],
    )


def _address(address: Row, buyer: Row) -> AddressDto:
    """An address has no e-mail of its own, and not always a phone."""
    company = address.get("company") or {}
    return AddressDto(
        email=buyer["email"],
        phone_number=address.get("phone") or buyer["phone"],
        first_name=address["name"],
        last_name=address["surname"],
        country=address["countryCode"],
        city=address["province"],
        township=address.get("township"),
        district=address.get("neighbourhood"),
        line=address["street"],
        title=address.get("label"),
        postcode=address.get("postcode"),
        identity_number=address.get("identityNo"),
        company_name=company.get("name"),
        tax_office=company.get("taxOffice"),
        tax_no=company.get("taxNo"),
        e_bill_taxpayer=bool(company.get("eInvoice")),
    )


def _units(line: Row, currency: str) -> Iterator[OrderItemDto]:
    """A line's units, each an item of its own: they are shipped, cancelled and returned one by one."""
    units = quantity_of(line["quantity"])
    for number, discount in enumerate(allotted(_money(line["discount"]), units, minor_unit(currency)), start=1):
        yield OrderItemDto(
            remote_id=unit_id(line["lineId"], number),
            product=line["sku"],
            price_currency=currency,
            price=line["unitPrice"],
            discount_amount=discount,
            retail_price=line["listPrice"],
            tax_rate=line["vatRate"],
            tracking_number=line.get("trackingNo"),
            extra_field={"line": line["lineId"], "units": units, "barcode": line.get("barcode")},
        )


def _money(value: Any) -> Decimal:
    try:
        amount = Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        amount = Decimal("NaN")
    if not amount.is_finite() or isinstance(value, float):
        raise bad_record("lines.discount", "not an exact decimal number", Reason.MONEY_MALFORMED)
    return amount
