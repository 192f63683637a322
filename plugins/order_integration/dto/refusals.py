"""From pydantic's list of what is wrong to the one reason that a record is quarantined for."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from order_integration.errors import FIELD, Reason, RecordError

# A field that is missing altogether never reaches its validator; these say what its absence means.
ABSENT = {"email": Reason.EMAIL_MISSING, "phone_number": Reason.PHONE_MISSING, "order_item": Reason.ITEMS_EMPTY}
KNOWN = frozenset(Reason)


def _reason(error: ErrorDetails) -> Reason:
    kind, name = error["type"], str(error["loc"][-1]) if error["loc"] else ""
    if kind in KNOWN:
        return Reason(kind)
    if kind == "missing":
        return ABSENT.get(name, Reason.FIELD_MISSING)
    if kind == "string_too_long":
        return Reason.TEXT_TOO_LONG
    if kind == "string_too_short":
        return Reason.FIELD_MISSING
    if kind == "timezone_aware":
        return Reason.DATE_NAIVE
    return Reason.DATE_MALFORMED if kind.startswith("datetime") else Reason.FIELD_MALFORMED


def record_error(error: ValidationError, **ids: object) -> RecordError:
    """The first problem gives reason and field, the sentence tells of all. No value of the record is in it."""
    found = [(_place(error.title, one), _reason(one), one["msg"]) for one in error.errors(include_input=False)]
    field, reason, _ = found[0]
    return RecordError(reason, field, "; ".join(f"{place}: {said}" for place, _, said in found), **ids)


def _place(title: str, error: ErrorDetails) -> str:
    return (error.get("ctx") or {}).get("field") or ".".join([title, *map(_step, error["loc"])])


def _step(of: int | str) -> str:
    """A key of a mapping, or a field that nobody knows, is the channel's text."""
    return str(of) if isinstance(of, int) or FIELD.fullmatch(of) else "?"
