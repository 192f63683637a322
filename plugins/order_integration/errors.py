"""What can go wrong, by what the caller should do about it.

::

    IntegrationError
    ├── ConfigurationError   a setting is wrong: stop before the first write; trying again changes nothing
    ├── RetriableError       it may pass: try again, not before `retry_after`
    │   ├── UnknownOutcomeError  a write was sent and its answer lost: look before repeating it
    │   └── LockedError      another batch request holds the lock: wait for it
    ├── RecordError          this record can't be used: quarantine it, go on with the others
    ├── RefusedError         the server understood the request and refused it: the caller knows what that means
    └── ContractError        the other side, or our own staging, is not what we rely on: stop, a person must look

Errors carry ids and codes, never payloads: their text ends up in logs.
"""

import re
from enum import StrEnum

# What a terminal or a log reads as more than a letter: a record's text could forge a line of a log.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]+")
CODE = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
FIELD = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")  # of a name that somebody gave a field; a value may stand there, too


class Reason(StrEnum):
    """Why a record was quarantined; stable codes that reports, tables and alerts can be grouped by."""

    RECORD_MALFORMED = "record_malformed"
    FIELD_MISSING = "field_missing"
    FIELD_MALFORMED = "field_malformed"
    TEXT_TOO_LONG = "text_too_long"
    EMAIL_MISSING = "email_missing"
    EMAIL_MALFORMED = "email_malformed"
    PHONE_MISSING = "phone_missing"
    PHONE_MALFORMED = "phone_malformed"
    ITEMS_EMPTY = "items_empty"
    MONEY_NEGATIVE = "money_negative"
    MONEY_MALFORMED = "money_malformed"
    TOTALS_MISMATCH = "totals_mismatch"
    DATE_NAIVE = "date_naive"
    DATE_MALFORMED = "date_malformed"
    PRODUCT_UNKNOWN = "product_unknown"
    PRODUCT_AMBIGUOUS = "product_ambiguous"
    CARRIER_UNKNOWN = "carrier_unknown"
    COUNTRY_UNKNOWN = "country_unknown"
    CITY_UNKNOWN = "city_unknown"
    TOWNSHIP_UNKNOWN = "township_unknown"
    DISTRICT_UNKNOWN = "district_unknown"
    RETAIL_STORE_UNKNOWN = "retail_store_unknown"
    CUSTOMER_AMBIGUOUS = "customer_ambiguous"
    ORDER_UNKNOWN = "order_unknown"
    ITEM_UNKNOWN = "item_unknown"
    REASON_UNMAPPED = "reason_unmapped"
    CANCEL_WAITING = "cancel_waiting"
    AMBIGUOUS = "ambiguous"
    CONFLICT = "conflict"
    NUMBER_TAKEN = "number_taken"
    REFUSED = "refused"


class IntegrationError(Exception):
    """Base of all errors of this package; `sentence` is for people, `ids` for whoever searches the logs."""

    def __init__(self, sentence: str, **ids: object) -> None:
        self.sentence = CONTROL.sub(" ", sentence)
        self.ids = {name: value for name, value in ids.items() if value is not None}
        super().__init__(self.sentence)

    def __str__(self) -> str:
        ids = ", ".join(f"{name}={CONTROL.sub(' ', str(value))}" for name, value in self.ids.items())
        return f"{self.sentence} ({ids})" if ids else self.sentence


class ConfigurationError(IntegrationError):
    """A setting is wrong; the sentence names it and says what to do."""


class RetriableError(IntegrationError):
    """The same call may succeed later, in `retry_after` seconds at the earliest where the server said so."""

    def __init__(self, sentence: str, *, retry_after: float | None = None, **ids: object) -> None:
        super().__init__(sentence, **ids)
        self.retry_after = retry_after


class UnknownOutcomeError(RetriableError):
    """A write was sent, but whether it was carried out is not known. `timed_out`: the server may still be at it."""

    def __init__(
        self, sentence: str, *, retry_after: float | None = None, timed_out: bool = False, **ids: object
    ) -> None:
        super().__init__(sentence, retry_after=retry_after, **ids)
        self.timed_out = timed_out


class UnfinishedError(RetriableError):
    """Some records failed, and the others are done: it says little of how the other side does."""


class LockedError(RetriableError):
    """A batch request of the same content type is open; `ids` names it."""


class RecordError(IntegrationError):
    """One record can't be used: `reason` is the code, `field` the place in the record."""

    def __init__(self, reason: Reason, field: str, sentence: str, **ids: object) -> None:
        super().__init__(sentence, **ids)
        self.reason = reason
        self.field = field


class RefusedError(IntegrationError):
    """A definite 4xx answer. `body` may hold a person's data, so it is not part of the text."""

    def __init__(self, sentence: str, *, status: int, body: object = None, **ids: object) -> None:
        super().__init__(sentence, status=status, **ids)
        self.status = status
        self.body = body

    @property
    def code(self) -> str:
        """The server's machine-readable code, or an empty text; what is not shaped like one may be about people."""
        code = str(self.body.get("code") or "") if isinstance(self.body, dict) else ""
        return code if CODE.fullmatch(code) else ""

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the fields that the server complained about (never their values)."""
        return tuple(sorted(name for name in _named(self.body) if name not in {"code", "detail"}))

    def messages(self) -> list[str]:
        """`non_field_errors` and `detail`, which servers write as a text or as a list of texts."""
        found = [self.body.get(name) for name in ("non_field_errors", "detail")] if isinstance(self.body, dict) else []
        return [str(text) for value in found if value for text in (value if isinstance(value, list) else [value])]


def _named(body: object, above: str = "") -> list[str]:
    """`order.remote_addr` of `{"order": {"remote_addr": [...]}}`."""
    if not isinstance(body, dict):
        return [above] if above else []
    steps = {key: key if FIELD.fullmatch(str(key)) else "?" for key in body}
    return [name for key, step in steps.items() for name in _named(body[key], f"{above}.{step}" if above else step)]


class ContractError(IntegrationError):
    """The other side (or our own staging) broke what this package relies on; a person must look."""
