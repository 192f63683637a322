"""A Medusa order as the DTO: one item per unit, people from the account or from the address."""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from order_integration.channels.commands import bad_record
from order_integration.channels.medusa.money import exact, rounded, split_line
from order_integration.channels.medusa.settings import MedusaSettings
from order_integration.channels.medusa.units import quantity, unit_id
from order_integration.dto import (
    AddressDto,
    ChannelCreateOrderDto,
    ChannelOrderDto,
    CustomerDto,
    OrderItemDto,
    minor_unit,
)
from order_integration.errors import Reason

Row = dict[str, Any]

LINE_FIGURES = ("original_total", "discount_total", "total", "tax_total")


def order_dto(order: Row, settings: MedusaSettings) -> ChannelCreateOrderDto:
    """The whole order.

    Raises RecordError or pydantic's ValidationError for what Omnitron can't take; KeyError, TypeError and their like
    for what is not an order at all.
    """
    currency = str(order["currency_code"])
    unit = minor_unit(currency)
    lines = sorted(order["items"], key=lambda line: str(line["id"]))  # Medusa's own order changes from call to call
    items = [item for line in lines for item in _units(line, currency, unit)]
    methods = [method for method in order["shipping_methods"] if not _is_of_a_return(method)]
    shipping = sum((rounded(exact(method, "total"), unit) for method in methods), Decimal(0))
    discount = sum((item.discount_amount for item in items), Decimal(0))
    amount = sum((item.price for item in items), Decimal(0)) - discount + shipping
    _agree(amount, exact(order, "total"), unit * (len(lines) + len(methods)))
    shipping_address, billing_address = _addresses(order)
    header = ChannelOrderDto(
        remote_id=order["id"],
        number=f"{settings.number_prefix}{order['display_id']}",
        customer=_customer(order, shipping_address),
        shipping_address=shipping_address,
        billing_address=billing_address,
        currency=currency,
        amount=amount,
        discount_amount=discount,
        shipping_amount=shipping,
        shipping_tax_rate=_tax_rate(methods[0]) if methods else Decimal(0),
        cargo_company=_carrier(methods, settings),
        created_at=order["created_at"],
        modified_at=order["updated_at"],
        language_code=order.get("locale"),
        extra_field={
            "display_id": order["display_id"],
            "status": order["status"],
            "shipping_option": methods[0]["name"] if methods else None,
            "unrounded": {
                "total": _text(exact(order, "total")),
                "shipping_total": _text(sum((exact(method, "total") for method in methods), Decimal(0))),
            },
        },
    )
    return ChannelCreateOrderDto(order=header, order_item=items)


def _units(line: Row, currency: str, unit: Decimal) -> Iterator[OrderItemDto]:
    """A line's units, each an item of its own: they are shipped, cancelled and returned one by one."""
    units = quantity(line)
    unrounded = {name: _text(exact(line, name)) for name in LINE_FIGURES}
    for number, share in enumerate(split_line(line, units, unit) if units else (), start=1):
        yield OrderItemDto(
            remote_id=unit_id(str(line["id"]), number),
            product=line["variant_id"],
            price_currency=currency,
            price=share.price,
            discount_amount=share.discount,
            retail_price=share.price,
            tax_rate=_tax_rate(line),
            extra_field={
                "line": line["id"],
                "units": units,
                "sku": line.get("variant_sku"),
                "unrounded": {**unrounded, "unit_price": _text(exact(line, "unit_price"))},
            },
        )


def _agree(amount: Decimal, total: Decimal, tolerance: Decimal) -> None:
    """What we rounded must come to what Medusa says, or there is something in the order that we don't know of."""
    if abs(amount - total) > tolerance:
        sentence = "the lines and the shipping do not add up to Medusa's total"
        raise bad_record("total", sentence, Reason.TOTALS_MISMATCH)


def _is_of_a_return(method: Row) -> bool:
    """What comes back later has a shipping method in the order, too, and no part in what the order cost."""
    detail = method.get("detail") or {}
    return any(detail.get(name) for name in ("return_id", "exchange_id", "claim_id"))


def _tax_rate(row: Row) -> Decimal:
    """Percent; rates that apply together add up."""
    return sum((exact(line, "rate") for line in row["tax_lines"]), Decimal(0))


def _carrier(methods: list[Row], settings: MedusaSettings) -> str:
    option = str(methods[0]["name"]) if methods else ""
    carrier = settings.carriers.get(option, settings.default_carrier)
    if not carrier:
        sentence = f"no carrier for the shipping option {option!r}: add it to carriers, or set default_carrier"
        raise bad_record("shipping_methods.name", sentence, Reason.CARRIER_UNKNOWN)
    return carrier


def _addresses(order: Row) -> tuple[AddressDto, AddressDto]:
    """Where to and whom to bill; either stands in for the other."""
    shipping = order["shipping_address"] or order["billing_address"]
    billing = order["billing_address"] or shipping
    if not shipping:
        raise bad_record("shipping_address", "the order has no address", Reason.FIELD_MISSING)
    return _address(shipping, order, billing), _address(billing, order, shipping)


def _address(address: Row, order: Row, other: Row) -> AddressDto:
    """An address; what it lacks comes from the buyer's account, then from the order's other address."""
    buyer = order.get("customer") or {}
    city, township = address.get("province"), address.get("city")
    return AddressDto(
        email=_first(order["email"], buyer.get("email")),
        phone_number=_first(address.get("phone"), buyer.get("phone"), other.get("phone")),
        first_name=_first(address.get("first_name"), buyer.get("first_name"), other.get("first_name")),
        last_name=_first(address.get("last_name"), buyer.get("last_name"), other.get("last_name")),
        country=_first(address.get("country_code")).upper(),
        # Without a province there is one name only, and that is the city.
        city=_first(city, township),
        township=_first(township) or None if _first(city) else None,
        line=" ".join(part for part in (_first(address.get("address_1")), _first(address.get("address_2"))) if part),
        postcode=_first(address.get("postal_code")) or None,
        company_name=_first(address.get("company")) or None,
    )


def _customer(order: Row, address: AddressDto) -> CustomerDto:
    """The account; a guest has one, too, but with no name in it."""
    buyer = order.get("customer") or {}
    return CustomerDto(
        email=address.email,
        first_name=_first(buyer.get("first_name"), address.first_name),
        last_name=_first(buyer.get("last_name"), address.last_name),
        channel_code=_first(buyer.get("id"), address.email),
        phone_number=_first(buyer.get("phone"), address.phone_number),
    )


def _first(*values: object) -> str:
    """The first that says something."""
    return next((value.strip() for value in values if isinstance(value, str) and value.strip()), "")


def _text(amount: Decimal) -> str:
    """Plain digits: 1E+3 would be right and unreadable."""
    return f"{amount:f}"
