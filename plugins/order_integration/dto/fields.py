"""The kinds of field that the DTOs are made of: exact money, zoned times, checked texts, and who may see them."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any

import phonenumbers
from babel.numbers import get_currency_precision, list_currencies
from email_validator import EmailNotValidError, validate_email
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    field_validator,
)
from pydantic_core import PydanticCustomError

from order_integration.errors import Reason

# Omnitron is a Turkish product: a number without a country prefix is read as a Turkish one.
HOME_REGION = "TR"
YEARS = range(2000, 2100)  # of an order; year 1 is what a marketplace writes for "no date"

MASK = "***"


class Personal:
    """Marks a field that tells who somebody is; whatever prints a DTO asks the type (`masked`)."""


def problem(reason: Reason, sentence: str, field: str = "") -> PydanticCustomError:
    """A refusal whose code is already the quarantine's reason; `field` where the validator sees more than one."""
    return PydanticCustomError(reason.value, sentence, {"field": field} if field else None)


# Free text is cut, with a report --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cut:
    """A free text that was longer than Omnitron takes."""

    field: str
    length: int
    limit: int


_cuts: ContextVar[list[Cut] | None] = ContextVar("cuts", default=None)


@contextmanager
def collected_cuts() -> Iterator[list[Cut]]:
    """Free texts validated in here are cut to their limit, and what was cut is in the list."""
    cuts: list[Cut] = []
    token = _cuts.set(cuts)
    try:
        yield cuts
    finally:
        _cuts.reset(token)


def _cut_to(limit: int) -> Callable[[str, Any], str]:
    def cut(value: str, info: Any) -> str:
        if len(value) <= limit:
            return value
        cuts = _cuts.get()
        if cuts is None:  # nobody would hear of it
            raise problem(Reason.TEXT_TOO_LONG, f"longer than {limit} characters")
        cuts.append(Cut(str(info.field_name), len(value), limit))
        return value[:limit]

    return cut


def cut_at(limit: int) -> AfterValidator:
    """Free text for people: cut at `limit` characters where somebody collects the cuts."""
    return AfterValidator(_cut_to(limit))


def at_most(limit: int) -> StringConstraints:
    """A text that means something to a machine or a courier: longer is refused, never cut."""
    return StringConstraints(max_length=limit)


def required(limit: int) -> StringConstraints:
    """The same, and not empty. Omnitron takes blanks off its ends, so that it would not be found again with them."""
    return StringConstraints(min_length=1, max_length=limit, strip_whitespace=True)


Id = Annotated[str, required(255)]


# Money and rates ------------------------------------------------------------------------------------------------------


MOST_PLACES = 28  # behind it: 1e-999999999 written out would fill the memory
MOST_DIGITS = 18  # before the point: no amount has more, and `decimal` calculates exactly with 28 in all


def _exact(value: object) -> Decimal:
    """A float has lost its digits before it got here, so it is refused like any other non-number."""
    is_number = isinstance(value, str | int | Decimal) and not isinstance(value, bool) and "_" not in str(value)
    try:
        number = Decimal(value) if is_number else None  # type: ignore[arg-type]
    except InvalidOperation:
        number = None
    if number is None or not number.is_finite() or number.adjusted() >= MOST_DIGITS or _places(number) > MOST_PLACES:
        raise problem(Reason.MONEY_MALFORMED, "not an exact decimal number")
    if number < 0:
        raise problem(Reason.MONEY_NEGATIVE, "negative")
    return number.copy_abs()  # nothing is nothing: -0 is 0


def _places(number: Decimal) -> int:
    return -int(number.as_tuple().exponent)  # of a finite number


Money = Annotated[Decimal, BeforeValidator(_exact)]
Rate = Annotated[Decimal, BeforeValidator(_exact)]  # percent


@lru_cache(maxsize=64)
def minor_unit(currency: str) -> Decimal:
    """The smallest amount of a currency: 0.01 for `try`, 1 for `jpy` (CLDR's digits, by babel)."""
    return Decimal(1).scaleb(-get_currency_precision(currency.upper()))


def allotted(amount: Decimal, units: int, unit: Decimal) -> list[Decimal]:
    """An amount over equal units, to the currency's smallest unit; what doesn't come out even goes to the first ones.

    Digits below the smallest unit stay with the first, so that the sum always is the amount.
    """
    whole, fraction = divmod(amount, unit)
    share, rest = divmod(int(whole), units)
    shares = [(share + (place < rest)) * unit for place in range(units)]
    return [shares[0] + fraction, *shares[1:]]


def _currency(value: object) -> str:
    code = str(value).upper()
    if code not in list_currencies():
        raise problem(Reason.FIELD_MALFORMED, "not an ISO currency code")
    return code.lower()


Currency = Annotated[str, BeforeValidator(_currency)]


# People ---------------------------------------------------------------------------------------------------------------


def _email(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise problem(Reason.EMAIL_MISSING, "no e-mail address")
    try:
        validate_email(value, check_deliverability=False)
    except EmailNotValidError:  # its text quotes the address
        raise problem(Reason.EMAIL_MALFORMED, "not an e-mail address") from None
    return value


def _phone(value: object) -> str:
    if value is None or (isinstance(value, str) and not value.strip()):
        raise problem(Reason.PHONE_MISSING, "no phone number")
    try:
        possible = phonenumbers.is_possible_number(phonenumbers.parse(str(value), HOME_REGION))
    except phonenumbers.NumberParseException:
        possible = False
    if not possible or not re.fullmatch(r"[\d+()./\- ]+", str(value)):
        raise problem(Reason.PHONE_MALFORMED, "not a phone number")
    return str(value)


Email = Annotated[str, BeforeValidator(_email), Field(max_length=254), Personal()]
Phone = Annotated[str, BeforeValidator(_phone), Field(max_length=128), Personal()]
Name = Annotated[str, StringConstraints(max_length=255), Personal()]


# Times ----------------------------------------------------------------------------------------------------------------


def _written_out(value: object) -> object:
    """A bare number may be seconds or milliseconds; that is the connector's to know."""
    if isinstance(value, datetime) or (isinstance(value, str) and re.match(r"\d{4}-\d{2}-\d{2}", value)):
        return value
    raise problem(Reason.DATE_MALFORMED, "not a date and time in ISO 8601")


def _in_our_time(value: datetime) -> datetime:
    if value.year not in YEARS:
        raise problem(Reason.DATE_MALFORMED, f"not between the years {YEARS.start} and {YEARS.stop - 1}")
    return value


ZonedDatetime = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_in_our_time)]


ExtraField = Annotated[dict[str, Any], Personal()]  # free data: nobody can promise that it names no one


class Dto(BaseModel):
    """Base of all DTOs: what is not known is refused, and neither repr nor an error shows a person's data."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, str_strip_whitespace=False, frozen=True)

    @field_validator("*")
    @classmethod
    def _has_whole_letters(cls, value: Any) -> Any:
        """Half a character (a lone surrogate) can stand in JSON, but no file, wire or database takes it."""
        try:
            if isinstance(value, str):
                value.encode()
            elif isinstance(value, dict | list):
                json.dumps(value, ensure_ascii=False, default=str, skipkeys=True).encode()
        except UnicodeEncodeError:
            raise problem(Reason.FIELD_MALFORMED, "holds half a character") from None
        return value

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        yield from masked(self, deep=False).items()


def masked(dto: BaseModel, *, deep: bool = True) -> dict[str, Any]:
    """The DTO's fields with `***` in place of everything that is marked as personal and is not empty."""
    return {name: _masked_value(dto, name, deep=deep) for name in type(dto).model_fields}


def _masked_value(dto: BaseModel, name: str, *, deep: bool) -> Any:
    value = getattr(dto, name)
    if any(isinstance(mark, Personal) for mark in type(dto).model_fields[name].metadata):
        return MASK if value else value
    if not deep:
        return value
    return _plain(value)


def _plain(value: Any) -> Any:
    """As JSON has it: reports are staged and sent."""
    if isinstance(value, BaseModel):
        return masked(value)
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {name: _plain(one) for name, one in value.items()}
    return value.isoformat() if isinstance(value, datetime) else value
