"""What a task notes before it writes somewhere else, because it may be killed in between."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from order_integration.exact_json import dumps, loads
from order_integration.staging.area import Row, Staging, key_digest

STILL_OWED = "still"  # the file of links that a settle could not write, beside those of its fellows


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


@dataclass(frozen=True)
class Fresh:
    """How far a flow is settled: one note a flow, written by its settle, which runs once at a time."""

    staging: Staging
    channel: str
    flow: str

    def get(self) -> Row:
        """Empty where nothing was settled yet."""
        content = self.staging.read(self._path)
        return loads(content) if content else {}

    def put(self, row: Row) -> None:
        """Instead of what was known."""
        self.staging.write(self._path, dumps(row).encode())

    @property
    def watched(self) -> "Fresh":
        """What watching this flow found: the DAG `watch_channels` has a note of its own."""
        return Fresh(self.staging, self.channel, f"{self.flow}.watched")

    @property
    def _path(self) -> str:
        return f"fresh/{self.channel}/{self.flow}.json"
