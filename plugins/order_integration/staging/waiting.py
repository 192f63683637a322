"""Records that wait: in quarantine, or parked."""

from dataclasses import dataclass

from order_integration.exact_json import dumps, loads
from order_integration.staging.area import Row, Staging, key_digest

TOLD = "told"  # in an object that waits: its report is written
KEPT = ("first_seen", "first_run", TOLD)  # as long as it waits


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
        content = self.staging.read(self._path(key)) or self.staging.read(self._closed(key))
        return loads(content) if content else None

    def put(self, key: str, row: Row, *, run: str, now: str) -> Row:
        """Keep or renew a key's object, and return it; `first_run` brought it here, or a reason that is news."""
        known = self.get(key)
        is_known = known is not None and known["state"] == "open"
        if known and self.other_reason_is_news:
            is_known &= known.get("reason") == row.get("reason")
        since = {name: known[name] for name in KEPT if name in known} if known and is_known else {}
        content = {"first_seen": now, "first_run": run, **since, **row, "key": key, "state": "open", "last_seen": now}
        self.staging.write(self._path(key), dumps(content).encode())
        return content

    def told(self, key: str) -> None:
        """The merchant has read of it: no later run, and no later try, needs to report it again."""
        known = self.get(key)
        if known is not None and known["state"] == "open":
            self.staging.write(self._path(key), dumps({**known, TOLD: True}).encode())

    def close(self, key: str, state: str, *, now: str, read_at: str) -> None:
        """The key needs to wait no longer; key and reason stay, the payload goes. `read_at`: of what closes it."""
        known = self.get(key)
        if known is not None and known["state"] == "open":
            kept = {name: value for name, value in known.items() if name not in {"record", "dto"}}
            closed = {**kept, "state": state, "closed": now, "read_at": read_at}
            self.staging.write(self._closed(key), dumps(closed).encode())
            self.staging.remove(self._path(key))

    def open_keys(self) -> dict[str, Row]:
        """All that still wait, by key."""
        names = (name for name in self.staging.names(self.folder) if name.endswith(".json"))
        found = (self.staging.read(f"{self.folder}/{name}") for name in names)
        rows = [loads(content) for content in found if content]
        return {row["key"]: row for row in rows if row["state"] == "open"}

    def _path(self, key: str) -> str:
        return f"{self.folder}/{key_digest(key)}.json"

    def _closed(self, key: str) -> str:
        """Apart, because every run reads all that are open."""
        return f"{self.folder}/closed/{key_digest(key)}.json"
