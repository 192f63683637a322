"""What reconciliation says: a finding for each order on which the channel and Omnitron do not simply agree."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from order_integration.channels.commands import Record, Window
from order_integration.errors import CONTROL

ROWS_IN_LOG = 50

Row = dict[str, Any]


class Kind(StrEnum):
    """Where an order stands; the first four are differences."""

    MISSING = "missing"  # the channel has it, Omnitron does not
    EXTRA = "extra"  # Omnitron has it, the channel does not know it
    DIFFERENT = "different"
    TWICE = "twice"  # several orders of Omnitron have one id of the channel
    WAITING = "waiting"  # in quarantine, parked, or closed with a reason: somebody knows
    ON_ITS_WAY = "on_its_way"  # a flow is about to tell the other side
    NOT_JUDGED = "not_judged"  # it changed just now, or the channel can't be asked


DIFFERENCES = (Kind.MISSING, Kind.EXTRA, Kind.DIFFERENT, Kind.TWICE)


class What(StrEnum):
    """What of an order differs."""

    STATUS = "status"
    AMOUNT = "amount"
    CURRENCY = "currency"
    NUMBER = "number"
    ITEMS = "items"
    LINK = "link"  # it is there, but not linked with the channel's id


@dataclass(frozen=True)
class Finding:
    """One order. Ids, codes and amounts alone: nothing of it tells who anybody is."""

    key: str  # the channel's id; empty where Omnitron's order has none
    kind: Kind
    number: str = ""
    pks: tuple[int, ...] = ()  # Omnitron's
    what: tuple[What, ...] = ()
    channel: str = ""  # what differs, as the channel says it
    omnitron: str = ""
    reason: str = ""  # why it waits, is on its way, or is not judged
    record: Record | None = field(default=None, repr=False, compare=False)  # only where it can't be read by its key

    def as_row(self) -> Row:
        """For the report; `what` is one text, so that the row fits in a table."""
        row = asdict(replace(self, record=None))
        del row["record"]
        return {**row, "kind": self.kind.value, "what": ", ".join(self.what), "pks": list(self.pks)}

    @classmethod
    def from_row(cls, row: Row) -> "Finding":
        """From a report."""
        what = tuple(What(one) for one in row["what"].split(", ") if one)
        return cls(**{**row, "kind": Kind(row["kind"]), "what": what, "pks": tuple(row["pks"])})

    @property
    def is_fetched(self) -> bool:
        """Whether a run of `fetch_orders` mends it: it creates what is missing, and links what it finds."""
        return self.kind is Kind.MISSING or (self.kind is Kind.DIFFERENT and self.what == (What.LINK,))

    @property
    def identity(self) -> tuple[str, ...]:
        """What makes it the same difference in two reports."""
        return (self.kind.value, self.key, ", ".join(self.what), ",".join(map(str, self.pks)))


@dataclass
class Reconciliation:
    """All findings, one an order, and how many orders were looked at."""

    window: Window
    compared: int = 0
    findings: list[Finding] = field(default_factory=list)
    keys: frozenset[str] = frozenset()  # the channel's ids of all that was looked at

    def of(self, *kinds: Kind) -> list[Finding]:
        """The findings of these kinds."""
        return [one for one in self.findings if one.kind in kinds]

    def counts(self) -> dict[str, int]:
        """For XCom, logs and metrics."""
        found = Counter(one.kind for one in self.findings)
        return {
            "compared": self.compared,
            "agreed": self.compared - len(self.findings),
            **{kind.value: found[kind] for kind in Kind},
        }


def news(found: Iterable[Finding], before: Iterable[Finding]) -> list[Finding]:
    """Differences that nobody was told of yet (`before`: was): an old one shall alarm nobody every day."""
    known = {one.identity for one in before}
    return [one for one in found if one.kind in DIFFERENCES and one.identity not in known]


def lasting(told: Iterable[Finding], result: Reconciliation) -> list[Finding]:
    """Of what was told, what is there still, or was not looked at: what is over is news when it comes again."""
    found = {one.identity for one in result.findings}
    return [one for one in told if one.key not in result.keys or one.identity in found]


def summary(found: Iterable[Finding]) -> str:
    """`2 missing, 1 different (status)`."""
    counted = Counter((DIFFERENCES.index(one.kind), ", ".join(one.what)) for one in found)
    return ", ".join(
        f"{count} {DIFFERENCES[kind]}" + f" ({what})" * bool(what) for (kind, what), count in sorted(counted.items())
    )


def as_table(counts: Mapping[str, int], found: Iterable[Finding]) -> str:
    """For the log: counts, what waits by reason, and the first rows, differences before all else."""
    kinds = list(Kind)
    rows = sorted(found, key=lambda one: (kinds.index(one.kind), one.key))
    lines = [f"  {name.replace('_', ' '):<18}{count:>8}" for name, count in counts.items()]
    reasons = Counter(one.reason for one in rows if one.kind is Kind.WAITING)
    lines += [f"    waiting: {reason:<24}{count:>4}" for reason, count in sorted(reasons.items())]
    lines += [f"  {_line(one)}" for one in rows[:ROWS_IN_LOG]]
    if len(rows) > ROWS_IN_LOG:
        lines.append(f"  … and {len(rows) - ROWS_IN_LOG} more: see the report")
    return "\n".join(lines)


def _line(one: Finding) -> str:
    parts = [one.kind.value, one.key or "(no id)", one.number, ", ".join(one.what)]
    if one.channel or one.omnitron:
        parts.append(f"{one.channel} at the channel, {one.omnitron} in Omnitron")
    return CONTROL.sub(" ", "  ".join(part for part in (*parts, one.reason) if part))
