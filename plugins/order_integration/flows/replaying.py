"""What people do with records that wait: list them, have them tried again, close them with a note.

Replay is parking: every run of a flow begins with what is parked, read from the channel again by its key. Nothing else
ever pushes. The object in quarantine stays open until that run has found out what becomes of it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from order_integration.errors import ConfigurationError
from order_integration.flows import INBOUND
from order_integration.staging import OPEN, REPLAYED, Ended, Places, Staging, key_digest, moment_of

REPLAY = "replay"  # the reason of what is parked to be tried again
QUARANTINE, PARKED = "quarantine", "parked"

Row = dict[str, Any]


class What(StrEnum):
    """What of a flow's quarantine is to be tried again."""

    ONE_KEY = "one key"
    REASON = "reason"
    ALL = "all"


class Fate(StrEnum):
    """What became of a record that was to be tried again."""

    PASSED = "passed"
    FAILED_AGAIN = "failed again"
    WAITS = "waits"  # the run could not finish it, or what it needs is not there: the next one begins with it
    NOT_TRIED = "not tried yet"
    GONE = "gone at the channel"
    CANCELLED = "cancelled at the channel"
    CLOSED = "closed by hand"
    EXPIRED = "expired"


ENDS = {
    Ended.SUPERSEDED: Fate.PASSED,
    Ended.GONE_AT_CHANNEL: Fate.GONE,
    Ended.CANCELLED_AT_CHANNEL: Fate.CANCELLED,
    Ended.RESOLVED: Fate.CLOSED,
    Ended.EXPIRED: Fate.EXPIRED,
}


@dataclass(frozen=True)
class Entry:
    """One object of quarantine or of what is parked. `row` holds the raw record, which names people."""

    channel: str
    flow: str
    place: str
    row: Row

    @property
    def key(self) -> str:
        """The channel's own id."""
        return str(self.row["key"])

    def as_row(self) -> Row:
        """All of it but the record: ids, codes, times, our own sentences."""
        return {
            "channel": self.channel,
            "flow": self.flow,
            "place": self.place,
            "digest": key_digest(self.key),
            **{name: value for name, value in self.row.items() if name not in {"record", "dto"}},
        }


@dataclass(frozen=True)
class Search:
    """What to look for; what is empty matches all."""

    channels: tuple[str, ...] = ()
    flows: tuple[str, ...] = ()
    places: tuple[str, ...] = (QUARANTINE,)
    reason: str = ""
    older_than: timedelta | None = None  # since it was first seen
    closed: bool = False  # instead of what is open


def known_channels(staging: Staging) -> list[str]:
    """Channels that anything waits of, or waited, configured or not."""
    return sorted({*staging.names(QUARANTINE), *staging.names(PARKED)})


def listed(staging: Staging, search: Search, now: datetime) -> list[Entry]:
    """What waits, or waited, the oldest first."""
    found = [entry for entry in _entries(staging, search) if _matches(entry.row, search, now)]
    return sorted(found, key=lambda entry: (str(entry.row["first_seen"]), entry.key))


def found(staging: Staging, name: str, search: Search) -> list[Entry]:
    """Everything that is known of a key, which may be given by its digest; open or closed."""
    entries = []
    for channel, flow, places in _places(staging, search):
        for place in search.places:
            row = getattr(places, place).find(name)
            entries += [Entry(channel, flow, place, row)] if row else []
    return entries


def counts(staging: Staging, search: Search, now: datetime) -> list[Row]:
    """Open ones per channel, flow, place and reason, with when the oldest was first seen."""
    return grouped(listed(staging, search, now))


def grouped(entries: Iterable[Entry]) -> list[Row]:
    """How many there are of each kind."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for entry in entries:
        groups[entry.channel, entry.flow, entry.place, str(entry.row["reason"])].append(str(entry.row["first_seen"]))
    names = ("channel", "flow", "place", "reason")
    return [
        {**dict(zip(names, group, strict=True)), "count": len(seen), "oldest": min(seen)}
        for group, seen in sorted(groups.items())
    ]


def selected(staging: Staging, channel: str, flow: str, what: What, *, key: str = "", reason: str = "") -> list[Row]:
    """What of a flow's quarantine is meant, the oldest first.

    Raises ConfigurationError for a choice that is not complete, or a key that does not wait there.
    """
    if what is What.REASON and not reason:
        raise ConfigurationError("choose a reason, or replay one key, or all")
    places = Places.of(staging, channel, flow)
    if what is What.ONE_KEY:
        if not key.strip():
            raise ConfigurationError("give the key, or its digest, of the record to be tried again")
        row = places.quarantine.find(key.strip())
        if row is None or row["state"] != OPEN:
            how = f"it was closed as {row['state']}" if row else "list what is: order_integration.quarantine list"
            raise ConfigurationError(f"no such key is open in the quarantine of {flow} of {channel}: {how}")
        return [row]
    rows = places.quarantine.open_keys().values()
    return sorted(
        (row for row in rows if what is What.ALL or row["reason"] == reason), key=lambda row: str(row["first_seen"])
    )


def park(places: Places, keys: Iterable[str], *, run: str, by: str, note: str, now: datetime) -> list[str]:
    """Have the next run of the flow begin with these; returns those that still were in quarantine.

    As old as they were: whatever a run reads later than that decides.
    """
    parked = []
    for key in keys:
        row = places.quarantine.get(key)
        if row is None or row["state"] != OPEN:
            continue
        content = {
            "reason": REPLAY,
            "field": row.get("field", ""),
            "sentence": "to be tried again",
            "record": row.get("record"),
            "read_at": moment_of(row),
        }
        places.parked.ask(key, content, run=run, now=now.isoformat())
        places.quarantine.replayed(key, {"at": now.isoformat(), "by": by, "note": note})
        parked.append(key)
    return parked


def resolve(places: Places, key: str, *, by: str, note: str, now: datetime) -> bool:
    """Close it in both places: key, reason and note stay, the payload goes. False: it waits in neither."""
    moment = now.isoformat()
    return places.close(key, Ended.RESOLVED, now=moment, read_at=moment, note=note, by=by)


def became(places: Places, key: str, since: str) -> Row:
    """What became of a record that was parked for replay at `since`: its fate, and why where it is not over."""
    row, waits = places.quarantine.get(key), places.parked.get(key)
    known = {"key": key, "digest": key_digest(key)}
    if row is None:  # forgotten by housekeeping, a year after its end
        return {**known, "fate": Fate.CLOSED.value}
    if row["state"] != OPEN:
        return {**known, "fate": ENDS[Ended(row["state"])].value}
    fate, why = Fate.NOT_TRIED, row
    if waits and waits["state"] == OPEN:
        fate, why = (Fate.NOT_TRIED, row) if waits["reason"] == REPLAY else (Fate.WAITS, waits)
    elif str(row["last_seen"]) > since:
        fate = Fate.FAILED_AGAIN
    return {**known, "fate": fate.value, **{name: why.get(name, "") for name in ("reason", "field", "sentence")}}


def replayed(staging: Staging, search: Search, now: datetime) -> list[Row]:
    """What became of all that was ever to be tried again, the latest first."""
    rows = []
    for channel, flow, places in _places(staging, search):
        for row in (*places.quarantine.open_keys().values(), *places.quarantine.closed_rows()):
            if REPLAYED in row and _matches(row, search, now):
                told = {"channel": channel, "flow": flow, **row[REPLAYED]}
                rows.append({**told, **became(places, str(row["key"]), str(row[REPLAYED]["at"]))})
    return sorted(rows, key=lambda row: str(row["at"]), reverse=True)


def _places(staging: Staging, search: Search) -> Iterator[tuple[str, str, Places]]:
    for channel in search.channels or known_channels(staging):
        for flow in search.flows or INBOUND:
            yield channel, flow, Places.of(staging, channel, flow)


def _entries(staging: Staging, search: Search) -> Iterator[Entry]:
    for channel, flow, places in _places(staging, search):
        for place in search.places:
            waiting = getattr(places, place)
            rows = waiting.closed_rows() if search.closed else waiting.open_keys().values()
            yield from (Entry(channel, flow, place, row) for row in rows)


def _matches(row: Row, search: Search, now: datetime) -> bool:
    if search.reason and row["reason"] != search.reason:
        return False
    return search.older_than is None or now - datetime.fromisoformat(row["first_seen"]) > search.older_than
