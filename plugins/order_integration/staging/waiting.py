"""Records that wait: in quarantine, or parked."""

import re
from dataclasses import dataclass
from enum import StrEnum

from order_integration.exact_json import dumps, loads
from order_integration.staging.area import Row, Staging, key_digest

OPEN = "open"  # the state of an object that waits; else how it ended
TOLD = "told"  # in an object that waits: its report is written
TOLD_ON = "told_on"  # the same: the batch request that its report hangs on
REPLAYED = "replayed"  # in an object of the quarantine: when and by whom it was parked for replay last
ASKED = "asked"  # in an object that is parked: when somebody wanted it tried again
KEPT = ("first_seen", "first_run", TOLD, TOLD_ON)  # as long as it waits
DIGEST = re.compile(r"[0-9a-f]{24}")


class Ended(StrEnum):
    """Why a key waits no longer. What is `open` has none of these."""

    SUPERSEDED = "superseded"  # it passed, or waits elsewhere
    GONE_AT_CHANNEL = "gone_at_channel"
    CANCELLED_AT_CHANNEL = "cancelled_at_channel"  # cancelled while it waited: never created
    RESOLVED = "resolved"  # by a person, with a note
    EXPIRED = "expired"


def moment_of(row: Row) -> str:
    """When what waits, or what closed it, was read from the channel: ISO 8601 in UTC, so that texts compare."""
    return str(row.get("read_at") or row.get("closed") or row["last_seen"])


@dataclass(frozen=True)
class Waiting:
    """Records that wait, one object per key: those in quarantine, or those parked."""

    staging: Staging
    folder: str
    other_reason_is_news: bool

    @classmethod
    def quarantine(cls, staging: Staging, channel: str, flow: str) -> "Waiting":
        """Records that can't be used as they are."""
        return cls(staging, f"quarantine/{channel}/{flow}", other_reason_is_news=True)

    @classmethod
    def parked(cls, staging: Staging, channel: str, flow: str) -> "Waiting":
        """Records that need something that is not there yet, or that failed in the last try.

        One may have another reason in each run, and still has to be told when it has waited for long.
        """
        return cls(staging, f"parked/{channel}/{flow}", other_reason_is_news=False)

    def get(self, key: str) -> Row | None:
        """What is known of a key."""
        return self._read(key_digest(key))

    def find(self, name: str) -> Row | None:
        """The same by the key or by its digest, which is what stands in logs and reports."""
        return self.get(name) or (self._read(name) if DIGEST.fullmatch(name) else None)

    def put(self, key: str, row: Row, *, run: str, now: str) -> Row:
        """Keep or renew a key's object, and return it; `first_run` brought it here, or a reason that is news.

        What a person resolved stays resolved for as long as its reason is the same.
        """
        known = self.get(key)
        is_known = known is not None and known["state"] == OPEN
        if known and self.other_reason_is_news:
            same = known.get("reason") == row.get("reason")
            is_known &= same
            if same and known["state"] == Ended.RESOLVED:
                seen = {**known, "last_seen": now}
                self.staging.write(self._closed(key), dumps(seen).encode())
                return seen
        since = {name: known[name] for name in KEPT if name in known} if known and is_known else {}
        if known and known["state"] == OPEN and REPLAYED in known:
            since[REPLAYED] = known[REPLAYED]
        content = {"first_seen": now, "first_run": run, **since, **row, "key": key, "state": OPEN, "last_seen": now}
        self.staging.write(self._path(key), dumps(content).encode())
        return content

    def ask(self, key: str, row: Row, *, run: str, now: str) -> None:
        """Have the next run try it. What is open already stays as it is, with its own reason and record."""
        known = self.get(key)
        if known is None or known["state"] != OPEN:
            self.put(key, {**row, ASKED: now}, run=run, now=now)
        else:
            self._note(key, {ASKED: now})

    def told_on(self, key: str, batch: int) -> int:
        """The batch request that its report hangs on: `batch`, or the one of an earlier try, whose answer was lost.

        On another one the report would stand there twice.
        """
        known = self.get(key) or {}
        if TOLD_ON not in known:
            self._note(key, {TOLD_ON: batch})
        return int(known.get(TOLD_ON, batch))

    def told(self, key: str) -> None:
        """The merchant has read of it: no later run, and no later try, needs to report it again."""
        self._note(key, {TOLD: True})

    def replayed(self, key: str, row: Row) -> None:
        """It was parked to be tried again: when, by whom, why."""
        self._note(key, {REPLAYED: row})

    def _note(self, key: str, more: Row) -> None:
        known = self.get(key)
        if known is not None and known["state"] == OPEN:
            self.staging.write(self._path(key), dumps({**known, **more}).encode())

    def close(self, key: str, state: str, *, now: str, read_at: str, **more: str) -> bool:
        """The key needs to wait no longer; key and reason stay, the payload goes. False: it did not wait, or is newer.

        `read_at`: of what closes it. `more`: what else is to be known of it, a person's note, say.
        """
        known = self.get(key)
        if known is None or known["state"] != OPEN or moment_of(known) > read_at:
            return False
        kept = {name: value for name, value in known.items() if name not in {"record", "dto"}}
        closed = {**kept, **more, "state": str(state), "closed": now, "read_at": read_at}
        self.staging.write(self._closed(key), dumps(closed).encode())
        self.staging.remove(self._path(key))
        return True

    def open_keys(self) -> dict[str, Row]:
        """All that still wait, by key."""
        return {row["key"]: row for row in self._all(self.folder) if row["state"] == OPEN}

    def closed_rows(self) -> list[Row]:
        """What waits no longer, until `housekeeping` forgets it."""
        return self._all(self.closed_folder)

    @property
    def closed_folder(self) -> str:
        """Apart, because every run reads all that are open."""
        return f"{self.folder}/closed"

    def _all(self, folder: str) -> list[Row]:
        names = (name for name in self.staging.names(folder) if name.endswith(".json"))
        found = (self.staging.read(f"{folder}/{name}") for name in names)
        return [loads(content) for content in found if content]

    def _read(self, digest: str) -> Row | None:
        content = self.staging.read(f"{self.folder}/{digest}.json")
        content = content or self.staging.read(f"{self.closed_folder}/{digest}.json")
        return loads(content) if content else None

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key_digest(key)}.json"

    def _closed(self, key: str) -> str:
        return f"{self.closed_folder}/{key_digest(key)}.json"


@dataclass(frozen=True)
class Places:
    """Both places in which a record of a flow and channel can wait."""

    quarantine: Waiting
    parked: Waiting

    @classmethod
    def of(cls, staging: Staging, channel: str, flow: str) -> "Places":
        """Of one flow and channel."""
        return cls(Waiting.quarantine(staging, channel, flow), Waiting.parked(staging, channel, flow))

    def close(self, key: str, state: str, *, now: str, read_at: str, **more: str) -> bool:
        """In both, but for what was read after `read_at`. False: it waited in neither."""
        closed = [place.close(key, state, now=now, read_at=read_at, **more) for place in (self.quarantine, self.parked)]
        return any(closed)

    def has_waited(self, key: str) -> bool:
        """Whether it waits, or does not any more because the channel had cancelled it meanwhile."""
        return any(row["state"] in {OPEN, Ended.CANCELLED_AT_CHANNEL} for row in self._rows(key))

    def was_cancelled_at_channel(self, key: str, since: str = "") -> bool:
        """Whether it waits no longer because the channel had cancelled it meanwhile, as was read after `since`."""
        closed = [row for row in self._rows(key) if row["state"] == Ended.CANCELLED_AT_CHANNEL]
        return any(moment_of(row) > since for row in closed)

    def _rows(self, key: str) -> list[Row]:
        rows = [place.get(key) for place in (self.quarantine, self.parked)]
        return [row for row in rows if row]
