"""Write-ahead notes: what goes to a channel is written down before it is sent, and what it answered, as soon as it did.

A try that is killed in between leaves its notes behind. A later one asks the channel what became of them, so that a
channel that can be asked (`find_submission`) gets nothing twice.

::

    <staging>/submissions/<channel>/<flow>/<digest of the reference>.json
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from order_integration.exact_json import dumps, loads
from order_integration.flows.outbound import Sending, Sent
from order_integration.staging import Staging, key_digest

_NOT_FOR_CHANNEL = "/0"
_NO_BATCH = 0


@dataclass(frozen=True)
class Note:
    """One submission: `sents` are its objects as they went, and later with what the channel said of them at once.

    Its deadline is counted from `since`, however often it is taken over into another batch request: from when it went
    to the channel, and anew only from a deadline at which the channel still worked on it.
    """

    reference: str
    batch: int  # the batch request that will say what became of it
    sents: tuple[Sent, ...]
    feed_ids: tuple[str, ...] = ()
    is_answered: bool = False
    since: str = ""

    @classmethod
    def of_page(cls, local_batch_id: str, number: int, batch: int, sents: Sequence[Sent]) -> "Note":
        """The `number`-th submission of a batch request, from 1; it goes now."""
        return cls(f"{local_batch_id}/{number}", batch, tuple(sents), since=datetime.now(UTC).isoformat())

    @classmethod
    def not_sent(cls, local_batch_id: str, batch: int, sents: Sequence[Sent]) -> "Note":
        """Objects that failed before the channel had anything to do with them."""
        return cls(f"{local_batch_id}{_NOT_FOR_CHANNEL}", batch, tuple(sents), is_answered=True)

    @property
    def is_for_channel(self) -> bool:
        """Whether the channel can know of it."""
        return not self.reference.endswith(_NOT_FOR_CHANNEL)

    def left_over(self, sents: Sequence[Sent], since: str) -> "Note":
        """What its batch request ended without, for the next one to take over."""
        return replace(self, sents=tuple(sents), batch=_NO_BATCH, since=since)


@dataclass(frozen=True)
class Notes:
    """The notes of one flow and channel."""

    staging: Staging
    folder: str

    @classmethod
    def of_flow(cls, sending: Sending) -> "Notes":
        """Those of a flow that sends."""
        return cls.of(sending.batches.staging, sending.channel.name, sending.flow)

    @classmethod
    def of(cls, staging: Staging, channel: str, flow: str) -> "Notes":
        """Those of a flow, for whoever only reads them."""
        return cls(staging, f"submissions/{channel}/{flow}")

    def write(self, note: Note) -> None:
        """Keep a note, or renew it."""
        row = {
            "reference": note.reference,
            "batch": note.batch,
            "sents": [sent.as_row() for sent in note.sents],
            "feed_ids": list(note.feed_ids),
            "is_answered": note.is_answered,
            "since": note.since,
        }
        self.staging.write(self._path(note.reference), dumps(row).encode())

    def all(self) -> list[Note]:
        """All of them."""
        found = (self.staging.read(f"{self.folder}/{name}") for name in self.staging.names(self.folder))
        rows = (loads(content) for content in found if content)
        return [
            Note(
                row["reference"],
                int(row["batch"]),
                tuple(Sent.from_row(sent) for sent in row["sents"]),
                tuple(row["feed_ids"]),
                row["is_answered"],
                row["since"],
            )
            for row in rows
        ]

    def of_batch(self, batch: int) -> list[Note]:
        """Those whose end a batch request says."""
        return [note for note in self.all() if note.batch == batch]

    def drop(self, note: Note) -> None:
        """Nobody needs it any more."""
        self.staging.remove(self._path(note.reference))

    def forget(self, batch: int) -> None:
        """The batch request has said how it ended; what the channel never answered is still to be asked for."""
        for note in self.of_batch(batch):
            if note.is_answered:
                self.drop(note)

    def _path(self, reference: str) -> str:
        return f"{self.folder}/{key_digest(reference)}.json"
