"""A raw record as it may be shown: its structure, ids, codes, times and amounts, and nothing that names anybody.

The channel's payload has no types that could be asked. So a value is shown only where the name of its field and its own
shape both say that it is harmless, and nothing above it is about a person. All else is `***`.
"""

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import BaseModel

from order_integration.dto import (
    AddressDto,
    CancellationRequestDto,
    CancelOrderDto,
    ChannelOrderDto,
    ChannelUpdateOrderItemDto,
    CustomerDto,
    OrderItemDto,
)
from order_integration.dto.fields import MASK, Personal

DTOS: tuple[type[BaseModel], ...] = (
    ChannelOrderDto,
    OrderItemDto,
    CustomerDto,
    AddressDto,
    CancelOrderDto,
    CancellationRequestDto,
    ChannelUpdateOrderItemDto,
)
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")  # of lineId, line_id, changedAtMs
FIELD = re.compile(r"[A-Za-z_][\w-]{0,63}", re.ASCII)  # else the name may itself be a value
# In or below a field with one of these words in its name, everything is about a person, or may be.
PERSONAL = frozenset((
    "account", "address", "adres", "attribute", "billing", "birth", "buyer", "card", "comment", "contact", "coupon",
    "customer", "deliver", "delivery", "device", "email", "extra", "gender", "gift", "gsm", "holder", "iban",
    "identity", "invoice", "ip", "kimlik", "location", "mail", "member", "message", "metadata", "mobile", "name",
    "national", "note", "owner", "party", "passport", "payer", "person", "phone", "post", "postal", "promotion",
    "receiver", "recipient", "sender", "shopper", "street", "surname", "tax", "tckn", "tel", "token", "tracking",
    "user", "vat", "vkn", "voucher", "zip",
))  # fmt: skip
OF_AMOUNTS = frozenset(("tax", "vat"))  # a tax number is a person's, the sum of a tax is not
IDS = frozenset(("id", "ids", "code", "sku", "barcode", "status", "state", "type", "kind", "currency", "reference"))
NUMBERS = frozenset((
    "amount", "total", "subtotal", "price", "quantity", "qty", "rate", "payable", "discount", "shipping", "units",
    "count", "goods",
))  # fmt: skip
TIMES = frozenset(("at", "ms", "date"))
NAMED = frozenset(("number", "order_number", "display_id", "unit", "unit_numbers"))
TOKEN = re.compile(r"[\w.|/:#-]{1,64}")
AMOUNT = re.compile(r"-?\d{1,12}([.,]\d{1,6})?")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}([T ][\d:.]+([+-]\d{2}:?\d{2}|Z)?)?|\d{10,13}")


def shown(record: Any) -> Any:
    """The record with `***` in place of what may tell who somebody is."""
    return _shown(record, "")


def _shown(value: Any, name: str) -> Any:
    if isinstance(value, dict):
        return {_name(key): _shown(one, key) if _is_harmless(key) else _hidden(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_shown(one, name) for one in value]
    if value is None or isinstance(value, bool):
        return value
    return value if _may_be_seen(name, value) else MASK


def _hidden(value: Any) -> Any:
    """Structure alone."""
    if isinstance(value, dict):
        return {_name(key): _hidden(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_hidden(one) for one in value]
    return value if value is None or value == "" else MASK


def _is_harmless(name: str) -> bool:
    """Nothing in the name says that a person's data is in or below it."""
    words = _words(name)
    about = PERSONAL & set(words)
    if about and words[-1] in NUMBERS:
        about -= OF_AMOUNTS
    return not about and _squeezed(name) not in _MARKED


def _may_be_seen(name: str, value: object) -> bool:
    words = _words(name)
    last = words[-1] if words else ""
    is_number = isinstance(value, int | float | Decimal)
    text = str(value)
    if "_".join(words) in NAMED or last in IDS:
        return bool(TOKEN.fullmatch(text))
    if last in NUMBERS:
        return is_number or bool(AMOUNT.fullmatch(text))
    return last in TIMES and bool(MOMENT.fullmatch(text))


def _name(name: str) -> str:
    return name if FIELD.fullmatch(name) else MASK


def _words(name: str) -> list[str]:
    return [word.lower() for word in WORD.findall(name)]


def _squeezed(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _marked() -> Iterator[str]:
    """What our own DTOs mark as personal, by whichever way a channel writes such a name."""
    for dto in DTOS:
        for name, field in dto.model_fields.items():
            if any(isinstance(mark, Personal) for mark in field.metadata):
                yield _squeezed(name)


_MARKED = frozenset(_marked())
