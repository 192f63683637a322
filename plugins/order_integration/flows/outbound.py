"""What the flows from Omnitron to a channel share: one batch request a run, and one outcome an object.

A job is opened by its first commit, and ends whatever happens: with a result for each object, accepted by the channel
(which may take hours), or badly. What can't even be ended stays registered, and the sweeper ends it.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from order_integration.channels.registry import ChannelConfig
from order_integration.dto import FailedReasonType
from order_integration.errors import IntegrationError, LockedError, RefusedError
from order_integration.omnitron.batch_requests import (
    Batch,
    BatchRequests,
    BatchState,
    BatchStatus,
    is_held_by_channel,
)
from order_integration.omnitron.client import Omnitron, slices
from order_integration.omnitron.integration_actions import Link
from order_integration.staging import Folder, OpenBatches

PAGE = 100  # objects of one commit, and of one submission
LOCK_WAITS = (1.0, 2.0, 4.0)  # seconds between commits that are refused; after them the task waits without a slot
OUTCOMES = "outcomes"
CHECKED = "checked"  # in a registration: the folder of whoever is about to end a job that the channel accepted
BAD_REQUEST = 400

log = logging.getLogger(__name__)
Row = dict[str, Any]


class State(StrEnum):
    """Where an object stands at the end of a task."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    LEFT_OUT = "left_out"  # changed since it was read: it is offered again, as it is now
    HANDED_OVER = "handed_over"  # the channel works on it
    WAITING = "waiting"  # not sent: it stays due


@dataclass(frozen=True)
class Sent:
    """What became of one object that was due. `key` names it in reports; `message` is the channel's, for them alone."""

    key: str
    pk: int
    version_date: str
    remote_id: str = ""
    number: str = ""
    state: State = State.WAITING
    failed_reason_type: FailedReasonType | None = None
    message: str = ""
    technical: bool = False  # failed for no reason of its own: the run turns red

    def succeeded(self) -> "Sent":
        """The channel took it."""
        return replace(self, state=State.SUCCEEDED, failed_reason_type=None, message="", technical=False)

    def failed(self, reason: FailedReasonType, message: str, *, technical: bool = False) -> "Sent":
        """It is offered again, as often as the channel's settings in Omnitron say."""
        return replace(self, state=State.FAILED, failed_reason_type=reason, message=message, technical=technical)

    def moved(self, state: State) -> "Sent":
        """Neither well nor badly, yet."""
        return replace(self, state=state)

    def link(self, content_type: str) -> Link:
        """As a batch request names it: with the link's own remote id, whatever the channel's answer carried."""
        reason = self.failed_reason_type.value if self.failed_reason_type else None
        return Link(content_type, self.pk, self.remote_id, self.version_date, reason)

    def as_row(self) -> Row:
        """For staging."""
        return asdict(self)

    @classmethod
    def from_row(cls, row: Row) -> "Sent":
        """From staging."""
        reason = FailedReasonType(row["failed_reason_type"]) if row["failed_reason_type"] else None
        return cls(**{**row, "state": State(row["state"]), "failed_reason_type": reason})


@dataclass(frozen=True)
class How:
    """How a try is to send."""

    is_sync: bool = True
    last_try: bool = True


@dataclass(frozen=True)
class Sending:
    """What one attempt of an outbound task works with, and who it is."""

    omnitron: Omnitron
    flow: str
    channel: ChannelConfig
    content_type: str
    batches: OpenBatches
    folder: Folder  # of this attempt
    owner: Row  # dag, run, task, map index, try, ready (what it sends): who opens the batch requests
    now: datetime  # of this try, zoned
    lock_waits: Sequence[float] = LOCK_WAITS

    @property
    def requests(self) -> BatchRequests:
        """Batch requests of the channel."""
        return BatchRequests(self.omnitron)

    def links(self, sents: Iterable[Sent]) -> list[Link]:
        """Objects of a batch request."""
        return [sent.link(self.content_type) for sent in sents]

    def keep(self, sents: Iterable[Sent]) -> None:
        """Leave the outcomes of this attempt in its folder."""
        keep(self.folder, sents)


def keep(folder: Folder, sents: Iterable[Sent]) -> None:
    """Stage outcomes."""
    folder.write(OUTCOMES, (sent.as_row() for sent in sents))


def kept(folder: Folder) -> list[Sent]:
    """Outcomes that an attempt left."""
    return [Sent.from_row(row) for row in folder.read(OUTCOMES)]


# a job --------------------------------------------------------------------------------------------------------------


@dataclass
class Job:
    """The batch request of a run. Nothing is opened before there is something to commit."""

    sending: Sending
    batch: Batch | None = None
    committed: dict[int, Sent] = field(default_factory=dict)
    is_over: bool = False

    async def open(self) -> Batch:
        """The batch request, registered before anything else is done with it."""
        if self.batch is None:
            self.batch = await self.sending.requests.create()
            self._register(self.batch)
        return self.batch

    async def commit(self, sents: Sequence[Sent]) -> list[Sent]:
        """Hand objects over, a page at a time; a further commit adds some. Returns those that Omnitron refuses, failed.

        Raises LockedError while another batch request is in the way, after a few short waits.
        """
        batch, refused = await self.open(), list[Sent]()
        for some in slices(sents, PAGE):
            refused += await self._commit_some(batch, some)
        return refused

    async def done(self, sents: Sequence[Sent]) -> None:
        """End it with a result for each object. `sents`: all of the run, those that were never committed among them."""
        self.sending.keep(sents)  # first: a try that is killed in between finds them
        if self.batch is not None:
            mine = [sent for sent in sents if sent.pk in self.committed]
            await self.sending.requests.done(self.batch.pk, self.sending.links(mine))
        self.is_over = True

    async def accepted(self, sents: Sequence[Sent], feed_ids: Sequence[str], at: datetime) -> None:
        """The channel works on it; the batch request stays open, and registered, until it says how it ended."""
        batch = await self.open()
        self.sending.keep(sents)
        self._register(batch, accepted_at=at.isoformat())
        await self.sending.requests.sent_to_remote(batch.pk, feed_ids)
        self.is_over = True

    async def close(self) -> None:
        """End it badly unless it has ended."""
        if self.batch is None or self.is_over:
            return
        failed = [
            sent.failed(FailedReasonType.CHANNEL_APP, "not finished") if sent.failed_reason_type is None else sent
            for sent in self.committed.values()
        ]
        if await ended_badly(self.sending, self.batch.pk, failed):
            self.sending.batches.ended(self.batch.pk)

    def _register(self, batch: Batch, **more: str) -> None:
        # The folder tells a retry what this try was about to say when it was killed.
        own = {"local_batch_id": batch.local_batch_id, "folder": self.sending.folder.path}
        self.sending.batches.register(batch.pk, {**self.sending.owner, **own, **more})

    async def _commit_some(self, batch: Batch, some: Sequence[Sent]) -> list[Sent]:
        """One that can't be committed is found by halves, and stops no other."""
        try:
            await self._commit(batch, some)
        except RefusedError as error:
            if error.status != BAD_REQUEST:  # not the objects were refused, but the batch request
                raise
            if len(some) == 1:
                log.warning("Omnitron refuses to commit %s %d: %s", self.sending.content_type, some[0].pk, error)
                text = "Omnitron refuses to commit it"
                return [some[0].failed(FailedReasonType.CHANNEL_APP, text, technical=True)]
            middle = len(some) // 2
            return [*await self._commit_some(batch, some[:middle]), *await self._commit_some(batch, some[middle:])]
        self.committed |= {sent.pk: sent for sent in some}
        return []

    async def _commit(self, batch: Batch, some: Sequence[Sent]) -> None:
        links = [replace(link, failed_reason_type=None) for link in self.sending.links(some)]
        for wait in (*self.sending.lock_waits, None):
            try:
                await self.sending.requests.commit(batch, self.sending.content_type, links)
            except LockedError as error:
                if wait is None or is_held_by_channel(error):
                    raise
                await asyncio.sleep(wait)
            else:
                return


@asynccontextmanager
async def job(sending: Sending) -> AsyncIterator[Job]:
    """A job that has ended, or is the channel's, when this is left.

    What ended well stays registered until the run is settled: a retry of a killed try learns from it that all is said.
    """
    opened = Job(sending)
    try:
        yield opened
    finally:
        await opened.close()


async def ended_badly(sending: Sending, pk: int, sents: Sequence[Sent] = ()) -> bool:
    """On the way out of an error, which is the one to be seen; false: it is still open."""
    try:
        await sending.requests.fail(pk, sending.links(sents))
    except IntegrationError as error:
        log.warning("batch request %d could not be ended: %s", pk, error)
        return False
    return True


# what earlier tries and runs left behind ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Left:
    """A batch request that an earlier try of this run brought to its end, or to the channel, before it was killed."""

    batch: BatchState
    owner: Row

    @property
    def folder(self) -> str:
        """Where that try left its outcomes."""
        return str(self.owner["folder"])


async def end_left_over(sending: Sending) -> Left | None:
    """End what earlier tries and runs of this flow left open, except what the channel accepted.

    The flow's tasks run one at a time, so what is registered when one starts is nobody's. Returns what this run's own
    earlier try had finished.
    """
    found: Left | None = None
    for owner in sending.batches.all():
        pk = int(owner["pk"])
        batch = await sending.requests.read(pk)
        if batch and _is_same(owner, sending.owner) and (batch.is_accepted or batch.status is BatchStatus.DONE):
            found = Left(batch, owner)
        elif batch is None or batch.is_over:  # None: of another Omnitron, or from before it was restored
            sending.batches.ended(pk)
        elif not batch.is_accepted:
            log.warning("batch request %d was left open by an earlier try; it is ended", pk)
            await sending.requests.fail(pk)
            sending.batches.ended(pk)
    return found


def _is_same(owner: Row, mine: Row) -> bool:
    """The same run about the same objects; after a Clear from fetch they are others."""
    return "folder" in owner and (owner["run"], owner.get("ready")) == (mine["run"], mine.get("ready"))
