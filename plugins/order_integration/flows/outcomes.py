"""What became of every record, and whether it all adds up."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from order_integration.errors import Reason, RecordError
from order_integration.omnitron.integration_actions import Link
from order_integration.omnitron.lookups import LocationError

Row = dict[str, Any]


class Result(StrEnum):
    """One of these per distinct key and run."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    ALREADY_THERE = "already_there"
    SEEN_BEFORE = "seen_before"  # already there, and only read again because windows overlap
    CANCELLED_AT_CHANNEL = "cancelled_at_channel"  # while it waited: there is nothing to create any more
    QUARANTINED = "quarantined"
    PARKED = "parked"
    FAILED = "failed"  # may pass at the next try; parked after the last one


# A record with one of these needs to wait no longer.
SETTLED = frozenset(set(Result) - {Result.QUARANTINED, Result.PARKED, Result.FAILED})

# A record with one of these is fine, but what it is about is not there yet: parked, and the run stays green.
WAITS_FOR = frozenset({Reason.ORDER_UNKNOWN, Reason.ITEM_UNKNOWN, Reason.CANCEL_WAITING})


@dataclass(frozen=True)
class Outcome:
    """What became of one record. Texts name fields and codes, never values."""

    key: str
    result: Result
    reason: str = ""
    field: str = ""
    sentence: str = ""
    links: tuple[Link, ...] = ()
    cuts: tuple[Row, ...] = ()
    location: Row | None = None  # an unmapped place: level, name, parents
    masked: Row | None = None  # the record without anybody's data, for the report
    failed: bool = False  # parked because the last try failed
    retry_after: float | None = None  # seconds; the server named a time

    @classmethod
    def quarantined(cls, key: str, error: RecordError, **more: Any) -> "Outcome":
        """A record that can't be used."""
        location = None
        if isinstance(error, LocationError):
            location = {"level": error.level, "name": error.name, "parents": error.parents}
        sentence = error.sentence
        return cls(key, Result.QUARANTINED, error.reason, error.field, sentence, location=location, **more)

    def as_row(self) -> Row:
        """For staging."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Row) -> "Outcome":
        """From staging."""
        links = tuple(Link(**link) for link in row["links"])
        return cls(**{**row, "result": Result(row["result"]), "links": links, "cuts": tuple(row["cuts"])})


@dataclass
class Balance:
    """A run in numbers: rows = distinct + duplicates, and every distinct key has exactly one result."""

    rows: int = 0
    duplicates: int = 0
    distinct: int = 0
    results: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    new_in_quarantine: int = 0
    failed: int = 0
    links_refused: int = 0
    gone_left: int = 0  # parked keys that the channel has no more, too many at once to be closed

    def count(self, outcomes: Iterable[Outcome]) -> None:
        """Add outcomes, one per key."""
        for outcome in outcomes:
            self.results[outcome.result] += 1
            self.failed += outcome.failed or outcome.result is Result.FAILED
            if outcome.result is Result.QUARANTINED:
                self.reasons[outcome.reason] += 1

    @property
    def holds(self) -> bool:
        """Whether nothing is missing and nothing is counted twice."""
        return self.rows == self.distinct + self.duplicates and self.distinct == sum(self.results.values())

    def as_row(self) -> Row:
        """The table's row, for XCom, logs and metrics: counts alone."""
        counts = {result.value: self.results.get(result, 0) for result in Result if result is not Result.FAILED}
        return {
            "rows": self.rows,
            "duplicates": self.duplicates,
            "distinct": self.distinct,
            **counts,
            "failed": self.failed,
            "new_in_quarantine": self.new_in_quarantine,
            "reasons": dict(sorted(self.reasons.items())),
            "balance": self.holds,
        }


def as_table(rows: Mapping[str, Any]) -> str:
    """The run's table for the log."""
    lines = [
        f"  {name.replace('_', ' '):<18}{value:>8}"
        for name, value in rows.items()
        if name not in {"reasons", "balance"}
    ]
    lines += [f"    {reason:<20}{count:>4}" for reason, count in rows["reasons"].items()]
    lines.append(f"  balance {'holds' if rows['balance'] else 'DOES NOT HOLD'}")
    return "\n".join(lines)
