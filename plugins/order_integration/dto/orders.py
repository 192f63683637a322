"""Orders as a channel hands them over; names as in the public channel-app guide.

Lengths are Omnitron's. What is longer is quarantined (`at_most`), or cut with a report where the field is free text for
people (`cut_at`): notes, gift note, address title and notes. An address line is not free text: a parcel follows it.
"""

import json
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from typing import Annotated, Self

from pydantic import Field, model_validator

from order_integration.dto.fields import (
    Currency,
    Dto,
    Email,
    ExtraField,
    Id,
    Money,
    Name,
    Personal,
    Phone,
    Rate,
    ZonedDatetime,
    at_most,
    cut_at,
    minor_unit,
    problem,
    required,
)
from order_integration.errors import Reason

# Between a line's id and the number of the unit in it: every unit of a line is an order item of its own.
UNIT_SEPARATOR = "/"
# A line of more units is a mistake, and would become as many order items.
UNITS_AT_MOST = 10_000


class CustomerDto(Dto):
    """The buyer. `channel_code` is the channel's own customer code, unique in the channel."""

    email: Email
    first_name: Name
    last_name: Name
    channel_code: Annotated[str, required(64), Personal()]  # of a guest it may be the e-mail address
    phone_number: Annotated[Phone | None, Personal()] = None
    is_active: bool = True
    extra_field: ExtraField = Field(default_factory=dict)


class AddressDto(Dto):
    """Where to, or whom to bill. Country is a code or a name; city, township and district are names."""

    email: Email
    phone_number: Phone
    first_name: Name
    last_name: Name
    country: Id
    city: Id
    line: Annotated[str, required(255), Personal()]
    title: Annotated[Annotated[str, cut_at(128)] | None, Personal()] = None
    township: Annotated[str, at_most(255)] | None = None
    district: Annotated[str, at_most(255)] | None = None
    postcode: Annotated[Annotated[str, at_most(64)] | None, Personal()] = None
    notes: Annotated[Annotated[str, cut_at(512)] | None, Personal()] = None
    company_name: Annotated[Annotated[str, at_most(255)] | None, Personal()] = None
    tax_office: Annotated[Annotated[str, at_most(64)] | None, Personal()] = None
    tax_no: Annotated[Annotated[str, at_most(20)] | None, Personal()] = None
    identity_number: Annotated[Annotated[str, at_most(64)] | None, Personal()] = None
    e_bill_taxpayer: bool = False
    remote_id: Annotated[str, at_most(255)] | None = None
    retail_store: Annotated[str, at_most(255)] | None = None
    is_active: bool = True
    extra_field: ExtraField = Field(default_factory=dict)


class OrderItemDto(Dto):
    """One unit of a line. `product` is the channel's product id, `price` what one unit costs, taxes included."""

    remote_id: Id
    product: Id
    price_currency: Currency
    price: Money
    tax_rate: Rate
    status: Annotated[str, at_most(3)] | None = None
    price_list: int | None = None
    stock_list: int | None = None
    tracking_number: Annotated[str, at_most(256)] | None = None
    invoice_number: Annotated[str, at_most(128)] | None = None
    invoice_date: ZonedDatetime | None = None
    carrier_shipping_code: Annotated[str, at_most(256)] | None = None
    discount_amount: Money = Decimal(0)
    retail_price: Money = Decimal(0)
    attributes: ExtraField = Field(default_factory=dict)
    attributes_kwargs: ExtraField = Field(default_factory=dict)
    parent: Annotated[str, at_most(255)] | None = None
    delivered_date: ZonedDatetime | None = None
    estimated_delivery_date: ZonedDatetime | None = None
    extra_field: ExtraField = Field(default_factory=dict)

    @property
    def line(self) -> str:
        """The channel's line that this unit belongs to."""
        return str(self.remote_id).partition(UNIT_SEPARATOR)[0]


class ChannelOrderDto(Dto):
    """An order's header. `amount` is what the buyer pays: units − discount + shipping."""

    remote_id: Id
    number: Annotated[str, required(128)]
    customer: CustomerDto
    shipping_address: AddressDto
    billing_address: AddressDto
    currency: Currency
    amount: Money
    shipping_amount: Money
    shipping_tax_rate: Rate
    cargo_company: Id
    created_at: ZonedDatetime
    modified_at: ZonedDatetime | None = None
    extra_field: ExtraField = Field(default_factory=dict)
    channel: int | None = None
    delivery_type: Annotated[str, at_most(64)] | None = None
    discount_amount: Money = Decimal(0)
    net_shipping_amount: Money = Decimal(0)
    tracking_number: Annotated[str, at_most(256)] | None = None
    carrier_shipping_code: Annotated[str, at_most(256)] | None = None
    remote_addr: Annotated[Annotated[str, at_most(64)] | None, Personal()] = None
    has_gift_box: bool = False
    gift_box_note: Annotated[Annotated[str, cut_at(160)] | None, Personal()] = None
    client_type: Annotated[str, at_most(64)] = "default"
    language_code: Annotated[str, at_most(16)] | None = None
    notes: Annotated[Annotated[str, cut_at(320)] | None, Personal()] = None
    delivery_range: dict[str, ZonedDatetime] | None = None
    shipping_option_slug: Annotated[str, at_most(128)] | None = None
    status: Annotated[str, at_most(3)] | None = None


class ChannelCreateOrderDto(Dto):
    """An order and its items, one per unit. Its money adds up, to one minor unit a line."""

    order: ChannelOrderDto
    order_item: list[OrderItemDto]

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        if not self.order_item:
            raise problem(Reason.ITEMS_EMPTY, "an order without items can't be shipped", "order_item")
        if any(item.price_currency != self.order.currency for item in self.order_item):
            raise problem(Reason.FIELD_MALFORMED, "differs from the order's currency", "order_item.price_currency")
        unit = minor_unit(self.order.currency)
        for name, amount in self._amounts():
            if amount % unit:
                raise problem(Reason.MONEY_MALFORMED, "more digits than the currency has; round once", name)
        lines = {item.line for item in self.order_item}
        if abs(self.order.amount - self._total()) > unit * len(lines):
            raise problem(Reason.TOTALS_MISMATCH, "not items - discount_amount + shipping_amount", "order.amount")
        return self

    def _amounts(self) -> Iterator[tuple[str, Decimal]]:
        for name in ("amount", "shipping_amount", "discount_amount", "net_shipping_amount"):
            yield f"order.{name}", getattr(self.order, name)
        for item in self.order_item:
            for name in ("price", "discount_amount", "retail_price"):
                yield f"order_item.{name}", getattr(item, name)

    def _total(self) -> Decimal:
        """The order's discount includes that of its items; a connector may give either or both."""
        on_items = sum((item.discount_amount for item in self.order_item), Decimal(0))
        discount = max(self.order.discount_amount, on_items)
        return sum((item.price for item in self.order_item), Decimal(0)) - discount + self.order.shipping_amount

    def fingerprint(self) -> str:
        """A digest of what may not change after creation: number, currency, amount, items."""
        order = self.order
        items = sorted([item.remote_id, item.product, f"{item.price.normalize():f}"] for item in self.order_item)
        # JSON, because an id may hold any character that could be put between two of them.
        content = json.dumps([order.number, order.currency, f"{order.amount.normalize():f}", items])
        return sha256(content.encode()).hexdigest()[:32]
