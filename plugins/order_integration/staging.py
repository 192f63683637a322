"""What one task hands to the next, what waits, and which batch requests are ours: files under one fsspec URL.

People's data is in here and nowhere else, so a local staging folder is readable by its owner only. Files are NDJSON,
compressed. Each attempt of a task writes into a folder of its own and publishes its URL; nothing half written is read.

::

    <staging>/runs/<channel>/<flow>/<run>/<task>-<map index>-<try>/*.ndjson.gz
    <staging>/quarantine/<channel>/<flow>/<key>.json     records that can't be used as they are, one file a key;
                                                         what waits no longer is in its folder `closed/`
    <staging>/parked/<channel>/<flow>/<key>.json         records that wait for something, one file a key
    <staging>/batches/<channel>/<flow>/<pk>.json         batch requests of ours that have not ended yet
    <staging>/links/<channel>/<flow>/<run>….json         links that have to be written
    <staging>/begun/<channel>/<flow>/<key>.json          writes that may have been carried out, one file a key
    <staging>/made/<channel>/<flow>/<pk>.json            which key an object was made of
    <staging>/said/<channel>/<flow>/<key>.json           what the channel said last of an object, one file a key
"""

import gzip
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from order_integration.errors import ContractError
from order_integration.exact_json import dumps, loads

URL_VARIABLE = "ORDER_INTEGRATION_STAGING"

Row = dict[str, Any]

TOLD = "told"  # in an object that waits: its report is written
STILL_OWED = "still"  # the file of links that a settle could not write, beside those of its fellows
KEPT = ("first_seen", "first_run", TOLD)  # as long as it waits


def moment_of(row: Row) -> str:
    """When what waits, or what closed it, was read from the channel: ISO 8601 in UTC, so that texts compare."""
    return str(row.get("read_at") or row.get("closed") or row["last_seen"])


def key_digest(key: str) -> str:
    """A name for a key that is safe in a path, in a report and in a log."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()[:24]


@dataclass(frozen=True)
class Staging:
    """One staging area. Everything below goes through its four operations."""

    url: str

    def __post_init__(self) -> None:
        fs, root = fsspec.core.url_to_fs(self.url)
        object.__setattr__(self, "_fs", fs)
        object.__setattr__(self, "_root", root.rstrip("/"))

    def write(self, path: str, content: bytes) -> None:
        """Whole or not at all."""
        full = f"{self._root}/{path}"  # type: ignore[attr-defined]
        if isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            _write_local(Path(full), content)
        else:
            self._fs.pipe_file(full, content)  # type: ignore[attr-defined]

    def read(self, path: str) -> bytes | None:
        """The content, or None where there is no such file."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{path}"))  # type: ignore[attr-defined]
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder, sorted; a folder that is not there is empty."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=False)  # type: ignore[attr-defined]
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, path: str) -> None:
        """Forget a file; one that is not there is forgotten already."""
        try:
            self._fs.rm_file(f"{self._root}/{path}")  # type: ignore[attr-defined]
        except FileNotFoundError:
            return

    def purge(self, folder: str, older_than: datetime) -> int:
        """Remove the files below a folder that were written before a moment; returns how many."""
        found = self._fs.find(f"{self._root}/{folder}")  # type: ignore[attr-defined]
        old = [path for path in found if _zoned(self._fs.modified(path)) < older_than]  # type: ignore[attr-defined]
        for path in old:
            self._fs.rm_file(path)  # type: ignore[attr-defined]
        if isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            _remove_empty(Path(f"{self._root}/{folder}"))  # type: ignore[attr-defined]
        return len(old)


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _remove_empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):  # not empty, or another task has just made it
                path.rmdir()


def _write_local(path: Path, content: bytes) -> None:
    for folder in [*reversed(path.parents)]:  # `parents=True` would make those above with everybody's rights
        if not folder.exists():
            folder.mkdir(mode=0o700, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    draft.replace(path)


@dataclass(frozen=True)
class Folder:
    """What one attempt of a task leaves behind; `path` is what XCom carries."""

    staging: Staging
    path: str

    @classmethod
    def of_attempt(cls, staging: Staging, channel: str, flow: str, run: str, task: str) -> "Folder":
        """`run` (any characters) and `task` (with map index and try) name the attempt."""
        return cls(staging, f"runs/{channel}/{flow}/{key_digest(run)}/{task}")

    def write(self, name: str, rows: Iterable[Row]) -> int:
        """Write an NDJSON file; returns the number of rows."""
        lines = [dumps(row) for row in rows]
        self.staging.write(f"{self.path}/{name}.ndjson.gz", gzip.compress("\n".join(lines).encode(), 3, mtime=0))
        return len(lines)

    def earlier(self, task: str) -> "list[Folder]":
        """What other attempts of this run left under names that begin with `task`."""
        run = self.path.rpartition("/")[0]
        found = (Folder(self.staging, f"{run}/{name}") for name in self.staging.names(run) if name.startswith(task))
        return [folder for folder in found if folder.path != self.path]

    def names(self) -> list[str]:
        """The files, without their ending."""
        return [name.removesuffix(".ndjson.gz") for name in self.staging.names(self.path)]

    def read(self, name: str) -> Iterator[Row]:
        """The rows of a file.

        Raises ContractError when the file is gone.
        """
        content = self.staging.read(f"{self.path}/{name}.ndjson.gz")
        if content is None:
            raise ContractError("staging expired: clear the run from its fetch task", file=f"{self.path}/{name}")
        text = gzip.decompress(content).decode()
        return (loads(line) for line in text.split("\n") if line)


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


@dataclass(frozen=True)
class OpenBatches:
    """Batch requests of ours that have not ended: written before anything else is done with one."""

    staging: Staging
    channel: str
    flow: str

    def register(self, pk: int, owner: Row) -> None:
        """`owner`: dag, run, task, map index, try."""
        self.staging.write(self._path(pk), dumps({**owner, "pk": pk}).encode())

    def ended(self, pk: int) -> None:
        """Forget one that has ended."""
        self.staging.remove(self._path(pk))

    def all(self) -> list[Row]:
        """All that are registered, as they were."""
        folder = f"batches/{self.channel}/{self.flow}"
        found = (self.staging.read(f"{folder}/{name}") for name in self.staging.names(folder))
        return [loads(content) for content in found if content]

    def _path(self, pk: int) -> str:
        return f"batches/{self.channel}/{self.flow}/{pk}.json"


@dataclass(frozen=True)
class OwedLinks:
    """Links of objects that are in Omnitron already, until they are written: a run may die before.

    One file an attempt of push or settle, so that nobody writes over what somebody else owes, or said before.
    """

    staging: Staging
    channel: str
    flow: str

    def owe(self, name: str, links: list[Row]) -> None:
        """What a task has to link; said again under the same name, it replaces what was said before."""
        if links:
            self.staging.write(f"{self._folder}/{name}.json", dumps(links).encode())

    def all(self) -> dict[str, list[Row]]:
        """What has to be linked, by the file that says so."""
        found = {name: self.staging.read(f"{self._folder}/{name}") for name in self.staging.names(self._folder)}
        return {name: loads(content) for name, content in found.items() if content}

    def written(self, names: Iterable[str], *, but: Sequence[Row] = ()) -> None:
        """What these files say is written, but for some links; what was owed meanwhile stays."""
        self.owe(STILL_OWED, list(but))
        for name in names:
            if not (but and name == f"{STILL_OWED}.json"):
                self.staging.remove(f"{self._folder}/{name}")

    @property
    def _folder(self) -> str:
        return f"links/{self.channel}/{self.flow}"


@dataclass(frozen=True)
class Begun:
    """Writes that must not be repeated blindly: noted before they are sent, until their outcome is staged.

    A note that is found later tells that the write may have been carried out, and since when. It names nobody.
    """

    staging: Staging
    channel: str
    flow: str

    def begin(self, key: str, row: Row) -> Row:
        """Note a write, or another try of it; returns the note."""
        content = {**row, "key": key}
        self.staging.write(self._path(key), dumps(content).encode())
        return content

    def get(self, key: str) -> Row | None:
        """The note of a write whose outcome is not known."""
        content = self.staging.read(self._path(key))
        return loads(content) if content else None

    def end(self, key: str) -> None:
        """The outcome is staged, or it is sure that nothing was written."""
        self.staging.remove(self._path(key))

    def made(self, key: str, pk: int) -> None:
        """Keep what was made of a key, for a time (DAG `housekeeping`): nothing in Omnitron says it.

        One file an object, so that only those that are asked for are ever read.
        """
        self.staging.write(self._made(pk), dumps({"key": key_digest(key)}).encode())

    def made_of(self, pk: int) -> str:
        """The digest of the key that an object was made of; empty where nobody knows (any more)."""
        content = self.staging.read(self._made(pk))
        return str(loads(content)["key"]) if content else ""

    def all(self) -> list[Row]:
        """All notes, by whichever run."""
        found = (self.staging.read(f"{self._folder}/{name}") for name in self.staging.names(self._folder))
        return [loads(content) for content in found if content]

    def _path(self, key: str) -> str:
        return f"{self._folder}/{key_digest(key)}.json"

    def _made(self, pk: int) -> str:
        return f"made/{self.channel}/{self.flow}/{pk}.json"

    @property
    def _folder(self) -> str:
        return f"begun/{self.channel}/{self.flow}"


@dataclass(frozen=True)
class Said:
    """What a channel said last: only where its word changes may it replace what a merchant corrected since.

    No more than a memory. Without it a channel's word counts as if it were new.
    """

    staging: Staging
    channel: str
    flow: str

    def get(self, key: str) -> Row:
        """What was said of an object; empty where nothing is known."""
        content = self.staging.read(self._path(key))
        return loads(content) if content else {}

    def put(self, key: str, row: Row) -> None:
        """Remember instead of what was known."""
        self.staging.write(self._path(key), dumps(row).encode())

    def _path(self, key: str) -> str:
        return f"said/{self.channel}/{self.flow}/{key_digest(key)}.json"
