"""What a request body may hold, field by field, and what is said about the fields that are wrong.

One declaration serves the check and ``/openapi.json``.
"""

import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from sandbox.omnitron.database import Database, iso
from sandbox.omnitron.errors import ApiError

REQUIRED = "This field is required."
NOT_NULL = "This field may not be null."
NOT_BLANK = "This field may not be blank."
MONEY_DIGITS = 12
INT_LIMIT = 2**63
MIN_YEAR = 1000  # strftime writes earlier ones with fewer digits, which breaks text order
EMAIL = re.compile(r"[^@\s\"(),:;<>\[\]\\]+@[^@\s.]+(\.[^@\s.]+)+", re.ASCII)


class FieldError(ValueError):
    """A value is refused; the text says why."""


@dataclass(frozen=True)
class Field:
    """One field of a body. ``default`` is taken on creation where nothing is sent."""

    kind: str = "text"
    required: bool = False
    null: bool = False
    blank: bool = True
    max: int | None = None
    min: int | None = None
    choices: tuple[str, ...] = ()
    ref: str | None = None
    default: Any = None

    def clean(self, value: Any, db: Database) -> Any:
        if value is None:
            if self.null:
                return None
            raise FieldError(NOT_NULL)
        cleaned = KINDS[self.kind](self, value)
        if self.ref and cleaned is not None and not db.exists(self.ref, cleaned):
            raise FieldError(f'Invalid pk "{cleaned}" - object does not exist.')
        return cleaned

    def schema(self) -> dict[str, Any]:
        described: dict[str, Any] = dict(SCHEMAS[self.kind])
        if self.max and described.get("type") == "string":
            described["maxLength"] = self.max
        if self.min is not None:
            described["minimum"] = self.min
        if self.choices:
            described["enum"] = list(self.choices)
        return {"anyOf": [described, {"type": "null"}]} if self.null and described else described


Fields = Mapping[str, Field]


def clean(fields: Fields, body: Mapping[str, Any], db: Database, *, partial: bool = False) -> dict[str, Any]:
    """The known fields of a body, checked; where ``partial``, only those that were sent. Unknown ones are ignored."""
    cleaned, errors = attempt(fields, body, db, partial=partial)
    if errors:
        raise ApiError(400, {**errors, "code": "invalid"})
    return cleaned


def attempt(
    fields: Fields, body: Mapping[str, Any], db: Database, *, partial: bool = False
) -> tuple[dict[str, Any], dict[str, list[str]]]:
    cleaned: dict[str, Any] = {}
    errors: dict[str, list[str]] = {}
    for name, field in fields.items():
        if name in body:
            try:
                cleaned[name] = field.clean(body[name], db)
            except FieldError as error:
                errors[name] = [str(error)]
        elif field.required and not partial:
            errors[name] = [REQUIRED]
        elif not partial:
            cleaned[name] = field.default
    return cleaned, errors


def body_schema(fields: Fields, *, partial: bool = False) -> dict[str, Any]:
    required = [] if partial else [name for name, field in fields.items() if field.required]
    properties = {name: field.schema() for name, field in fields.items()}
    return {"type": "object", "properties": properties, **({"required": required} if required else {})}


def _text(field: Field, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError("Not a valid string.")
    text = str(value).strip()
    if not text and not field.blank:
        raise FieldError(NOT_BLANK)
    if field.max and len(text) > field.max:
        raise FieldError(f"Ensure this field has no more than {field.max} characters.")
    return text


def _email(field: Field, value: Any) -> str:
    text = _text(field, value)
    if not EMAIL.fullmatch(text):
        raise FieldError("Enter a valid email address.")
    return text


def _address(field: Field, value: Any) -> str | None:
    text = _text(field, value)
    try:
        return str(ipaddress.ip_address(text)) if text else None
    except ValueError:
        raise FieldError("Enter a valid IPv4 or IPv6 address.") from None


def _choice(field: Field, value: Any) -> str | None:
    if value == "" and field.blank:
        return None if field.default is None else str(field.default)
    if not isinstance(value, str | int) or isinstance(value, bool) or str(value) not in field.choices:
        raise FieldError(f'"{value}" is not a valid choice.')
    return str(value)


def whole(value: Any) -> int:
    """A whole number that fits a column, from a JSON value or a query string."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise FieldError("A valid integer is required.")
    if isinstance(value, str) and not re.fullmatch(r"\s*[+-]?[0-9]{1,19}\s*", value):
        raise FieldError("A valid integer is required.")
    if isinstance(value, float) and not value.is_integer():
        raise FieldError("A valid integer is required.")
    number = int(value)
    if not -INT_LIMIT <= number < INT_LIMIT:
        raise FieldError("A valid integer is required.")
    return number


def _int(field: Field, value: Any) -> int:
    number = whole(value)
    if field.min is not None and number < field.min:
        raise FieldError(f"Ensure this value is greater than or equal to {field.min}.")
    return number


def _bool(_field: Field, value: Any) -> bool:
    return truth(value)


def truth(value: Any) -> bool:
    """Python, JavaScript and SQL spell it differently; Django takes them all."""
    text = str(value).strip().lower() if isinstance(value, bool | int | str) else ""
    if text in {"true", "1", "t", "yes", "on"}:
        return True
    if text in {"false", "0", "f", "no", "off"}:
        return False
    raise FieldError("Must be a valid boolean.")


def _money(_field: Field, value: Any) -> str:
    """Two decimals, exactly: more digits are refused, never rounded."""
    if isinstance(value, bool) or not isinstance(value, str | int | float) or len(str(value)) > 64:
        raise FieldError("A valid number is required.")
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        raise FieldError("A valid number is required.") from None
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int):
        raise FieldError("A valid number is required.")
    if exponent < -2:
        raise FieldError("Ensure that there are no more than 2 decimal places.")
    if number.adjusted() + 1 > MONEY_DIGITS - 2:
        raise FieldError(f"Ensure that there are no more than {MONEY_DIGITS} digits in total.")
    return str(abs(number) if number.is_zero() else number) if exponent == -2 else f"{number:.2f}"


def _object(_field: Field, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise FieldError(f'Expected a dictionary of items but got type "{type(value).__name__}".')
    return value


def _list(_field: Field, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise FieldError(f'Expected a list of items but got type "{type(value).__name__}".')
    return value


def _ints(field: Field, value: Any) -> list[int]:
    return [whole(item) for item in _list(field, value)]


def moment(value: Any) -> str:
    """A time in Omnitron's form; one without a zone is read as UTC, as the server's own zone is."""
    try:
        read = datetime.fromisoformat(value.strip())
        utc = (read.replace(tzinfo=UTC) if read.tzinfo is None else read).astimezone(UTC)
        if utc.year >= MIN_YEAR:
            return iso(utc)
    except (ValueError, OverflowError, TypeError, AttributeError):
        pass
    text = "Datetime has wrong format. Use one of these formats instead: YYYY-MM-DDThh:mm[:ss[.uuuuuu]][+HH:MM|Z]."
    raise FieldError(text)


def _moment(field: Field, value: Any) -> str | None:
    return None if value == "" and field.null else moment(value)


def _day(_field: Field, value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (ValueError, TypeError):
        raise FieldError("Date has wrong format. Use one of these formats instead: YYYY-MM-DD.") from None


def _any(_field: Field, value: Any) -> Any:
    return value


KINDS: dict[str, Callable[[Field, Any], Any]] = {
    "text": _text, "email": _email, "ip": _address, "choice": _choice, "int": _int, "bool": _bool, "money": _money,
    "object": _object, "list": _list, "ints": _ints, "date": _moment, "day": _day, "any": _any,
}  # fmt: skip
SCHEMAS: dict[str, dict[str, Any]] = {
    "text": {"type": "string"}, "email": {"type": "string", "format": "email"}, "ip": {"type": "string"},
    "choice": {"type": "string"}, "int": {"type": "integer"}, "bool": {"type": "boolean"},
    "money": {"type": "string", "pattern": r"^-?\d{1,10}(\.\d{1,2})?$"}, "object": {"type": "object"},
    "list": {"type": "array", "items": {}}, "ints": {"type": "array", "items": {"type": "integer"}},
    "date": {"type": "string", "format": "date-time"}, "day": {"type": "string", "format": "date"}, "any": {},
}  # fmt: skip
