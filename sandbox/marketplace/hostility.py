"""A marketplace at its worst: what its lists do to a reader, by chance, and the same each time for one seed.

* **Late**: an entry shows up in a list up to `lag_ms` after its time, some up to `late_ms`; by its id it is there at
  once.
* **Twice**: an entry stands twice in a page, or again at the top of the next one; or beside it an older version.
* **Strange**: fields that nobody documented; states and types that did not exist when the reader was written.
* **Moved**: between two pages somebody else modifies orders and claims, some that were read and some that were not.
* **Faults**: a share of all calls fails, in the ways of `sandbox.storms`.

Orders that are two rows of one plan (`kinds.PAIRS`) are never late nor moved: which of them is right depends on who
sees both.
"""

import copy
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from sandbox.marketplace.kinds import PAIRS
from sandbox.storms import WAYS, storm

Json = dict[str, Any]

# The key that the seller's program has is right, so that a 401 would be for a person; all else may pass by itself.
WAYS_OF_A_MARKETPLACE = tuple(name for name in WAYS if name != "401")
OLD = "an older version"  # stands where only the older of two versions has it: it shall arrive nowhere
NEW_UNIT_STATE, NEW_ORDER_STATE, NEW_CLAIM_STATE, NEW_CLAIM_TYPE = "AT_HUB", "ON_HOLD", "UNDER_REVIEW", "EXCHANGE"
TOLD_OF_UNITS = ("SHIPPED", "DELIVERED")


@dataclass(frozen=True)
class Settings:
    """How bad it is: shares of entries, pages and calls."""

    seed: int = 1
    late: float = 0.2
    lag_ms: int = 120_000  # what the marketplace promises
    late_ms: int = 600_000  # what it does to a quarter of the late ones: no more than a reader's windows overlap
    twice: float = 0.1
    strange: float = 0.1
    moved: float = 0.3
    faults: float = 0.1
    slow_seconds: float = 2.0

    def __post_init__(self) -> None:
        for name in ("late", "twice", "strange", "moved", "faults"):
            share = getattr(self, name)
            if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
                raise ValueError(f"{name} is a share from 0 to 1")

    def rules(self) -> list[Json]:
        """For the middleware."""
        return storm(self.faults, seconds=self.slow_seconds, ways=WAYS_OF_A_MARKETPLACE) if self.faults else []


@dataclass
class Hostility:
    """The settings at work, and how often each of them struck."""

    settings: Settings = field(default_factory=Settings)
    struck: Counter[str] = field(default_factory=Counter)

    def chance(self, *what: object) -> float:
        """From 0 to 1; the same for the same seed and thing, in whatever order one asks."""
        text = ":".join(map(str, (self.settings.seed, *what)))
        return int.from_bytes(blake2b(text.encode(), digest_size=8).digest()) / 2**64

    def late_by(self, key: int, modified_ms: int) -> int:
        """Milliseconds until the lists have an entry that was modified then."""
        said = self.settings
        if self.chance("late", key, modified_ms) >= said.late:
            return 0
        much = self.chance("very late", key, modified_ms) < 0.25
        return int(self.chance("by", key, modified_ms) * (said.late_ms if much else said.lag_ms))

    def entries(self, kind: str, found: Iterable[Json], before: Json | None = None) -> list[Json]:
        """A page as it is shown. `before`: the entry that the page before ended with."""
        shown: list[Json] = []
        if before and self._strikes("again on the next page", self.settings.twice, kind, before):
            shown.append(before)
        for entry in found:
            now = self._strange(kind, entry)
            shown.append(now)
            if self._strikes("twice in a page", self.settings.twice / 2, kind, entry):
                shown.append(now)
            if self._strikes("with an older version", self.settings.twice / 2, kind, entry):
                shown.insert(len(shown) - int(self.chance("place", *_version(kind, entry)) * 2), OLDER[kind](now))
        return shown

    def moves(self, *where: object) -> bool:
        """Whether somebody else is at it after this page."""
        return self.chance("moved", *where) < self.settings.moved

    def _strikes(self, name: str, share: float, kind: str, entry: Json) -> bool:
        strikes = self.chance(name, *_version(kind, entry)) < share
        self.struck[name] += strikes
        return strikes

    def _strange(self, kind: str, entry: Json) -> Json:
        if self._strikes("unknown fields", self.settings.strange, kind, entry):
            entry = {**entry, "loyalty": {"tier": "gold", "points": [1, 2, 3]}, "": None, "orderIdV2": "x"}
        known = UNKNOWN[kind](entry) if kind in UNKNOWN else None
        if known and self._strikes("unknown states", self.settings.strange, kind, entry):
            return known
        return entry


def _version(kind: str, entry: Json) -> tuple[object, ...]:
    return kind, entry[IDS[kind]], entry["changedAtMs"]


def _older_order(entry: Json) -> Json:
    """Before it had the parcels that it has."""
    older = copy.deepcopy(entry)
    older.update(changedAtMs=entry["changedAtMs"] - 1, note=OLD)
    for line in _lines(older):
        line["trackingNo"] = OLD
        for unit in line.get("units", []):
            unit.update(trackingNo=OLD, invoiceNo=OLD)
    return older


def _older_claim(entry: Json) -> Json:
    return {**entry, "changedAtMs": entry["changedAtMs"] - 1, "note": OLD}


def _older_cancellation(entry: Json) -> Json:
    return {**entry, "changedAtMs": entry["changedAtMs"] - 1}


def _unknown_of_order(entry: Json) -> Json | None:
    """A unit that is on its way is somewhere that has no name yet."""
    strange = copy.deepcopy(entry)
    strange["state"] = NEW_ORDER_STATE
    for line in _lines(strange):
        for unit in line.get("units", []):
            if unit["state"] in TOLD_OF_UNITS:
                unit["state"] = NEW_UNIT_STATE
    return strange


def _unknown_of_claim(entry: Json) -> Json | None:
    if entry["state"] != "WAITING":
        return None
    if entry["claimId"] % 2:
        return {**entry, "state": NEW_CLAIM_STATE}
    return {**entry, "type": NEW_CLAIM_TYPE}


def _lines(order: Json) -> list[Json]:
    return order["lines"] if isinstance(order["lines"], list) else []


IDS = {"orders": "orderId", "claims": "claimId", "cancellations": "cancellationId"}
OLDER: dict[str, Callable[[Json], Json]] = {
    "orders": _older_order, "claims": _older_claim, "cancellations": _older_cancellation,
}  # fmt: skip
UNKNOWN: dict[str, Callable[[Json], Json | None]] = {"orders": _unknown_of_order, "claims": _unknown_of_claim}
NOT_LATE = ", ".join(f"'{kind}'" for kind in PAIRS)
