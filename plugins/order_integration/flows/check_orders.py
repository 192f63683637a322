"""Flow 3: what became of a job that the channel accepted. Asked for often, and ended once, by whoever finds it decided.

The channel's verdict is read where the batch request is ended, never carried there. At the deadline a job ends without
one: its orders are offered again.
"""

import logging
from collections.abc import Awaitable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from order_integration.channels.commands import ChannelCommand, CheckOrders
from order_integration.dto import FailedReasonType, FeedState, FeedVerdict, OrderBatchRequestResponseDto
from order_integration.errors import ConfigurationError, ContractError, RefusedError, RetriableError
from order_integration.flows.answers import matched, told, unanswered
from order_integration.flows.outbound import BAD_REQUEST, CHECKED, Sending, Sent, State, kept
from order_integration.flows.outbound_settling import report_batch, without_people
from order_integration.flows.submissions import Note, Notes
from order_integration.flows.submitting import order_rows
from order_integration.omnitron.batch_requests import BatchState, BatchStatus
from order_integration.staging import Folder

JOB_FAILED = "job_failed"
JOB_FORGOTTEN = "job_forgotten"
REFUSED = "results_refused"

log = logging.getLogger(__name__)
Verdicts = dict[str, FeedVerdict]
C = TypeVar("C", bound=ChannelCommand)


class Commands(Protocol):
    """All that is needed of a connector."""

    def command(self, kind: type[C]) -> C:
        """The command of a kind."""


@dataclass(frozen=True)
class Unopened:
    """In place of a connector that can't be opened: whoever needs it hears why. What needs no channel goes on."""

    error: Exception

    def command(self, kind: type[C]) -> C:  # noqa: ARG002
        """There is none."""
        raise self.error


@dataclass(frozen=True)
class Checked:
    """A job that has ended, with its orders; `trouble`: why it ended badly."""

    pk: int
    status: BatchStatus
    sents: list[Sent]
    trouble: str = ""


async def check(sending: Sending, connector: Commands, pk: int, deadline: datetime | None) -> Checked | None:
    """Ask the channel, and end the batch request if it has decided, or the deadline has passed. None: not yet.

    Raises ContractError where there is no such batch request, or it was never handed over.
    """
    batch = await sending.requests.read(pk)
    if batch is None:
        raise ContractError("Omnitron has no such batch request any more", batch=pk)
    if batch.is_over:
        return _said_before(sending, batch)
    if not batch.is_accepted:
        raise ContractError(f"a batch request is {batch.status}, and was never handed over", batch=pk)
    notes = Notes.of_flow(sending).of_batch(pk)
    feed_ids = feeds_of(batch, notes)
    is_late = deadline is not None and sending.now >= deadline
    verdicts = await _asked(connector, feed_ids, is_late=is_late)
    if not is_late and not (feed_ids and all(verdict.is_decided for verdict in verdicts.values())):
        log.info("batch request %d: %s", pk, _counts(verdicts.values()))
        if batch.status is BatchStatus.SENT_TO_REMOTE:
            await sending.requests.ongoing(pk)
        return None
    return await _end(sending, batch, [*notes, await _not_noted(sending, batch, notes)], verdicts)


def feeds_of(batch: BatchState, notes: Iterable[Note]) -> list[str]:
    """All feeds of a job: `remote_batch_id` holds no more than fit."""
    return list(dict.fromkeys([*batch.feed_ids, *(feed_id for note in notes for feed_id in note.feed_ids)]))


async def verdicts_on(connector: Commands, feed_ids: Sequence[str]) -> Verdicts:
    """The channel's verdict on each feed; it does not know those that it says nothing about."""
    command = connector.command(CheckOrders)  # type: ignore[type-abstract]
    said = {verdict.feed_id: verdict for verdict in await command.run(list(feed_ids))} if feed_ids else {}
    return {one: said.get(one) or FeedVerdict(feed_id=one, state=FeedState.UNKNOWN) for one in feed_ids}


async def _asked(connector: Commands, feed_ids: Sequence[str], *, is_late: bool) -> Verdicts:
    """A channel that does not answer has not decided; behind the deadline, whatever it raises prolongs no wait."""
    try:
        return await verdicts_on(connector, feed_ids)
    except Exception as error:  # whatever a connector raises; its text may hold a person's data
        if not is_late and not isinstance(error, RetriableError):
            raise
        said = error if isinstance(error, ConfigurationError) else type(error).__name__
        log.warning("the channel gave no verdict: %s", said)
        return {one: FeedVerdict(feed_id=one, state=FeedState.UNKNOWN) for one in feed_ids}


async def _end(sending: Sending, batch: BatchState, notes: Sequence[Note], verdicts: Verdicts) -> Checked:
    sents = [sent for note in notes for sent in _of_note(note, verdicts)]
    nothing_done = not any(verdict.state is FeedState.DONE for verdict in verdicts.values())
    is_bad = nothing_done and not any(sent.state is State.SUCCEEDED for sent in sents)
    sending.keep(sents)
    owner = next((row for row in sending.batches.all() if int(row["pk"]) == batch.pk), None)
    if owner:  # a try that is killed in between finds what this one was about to say
        sending.batches.register(batch.pk, {**owner, CHECKED: sending.folder.path})
    for note in notes:  # written before the end: who is killed in between has them sent once all the same
        if left := _left_over(sending, note, verdicts):
            Notes.of_flow(sending).write(left)
    status, trouble = BatchStatus.FAIL if is_bad else BatchStatus.DONE, ""
    if is_bad:
        reason, trouble = _trouble(batch, verdicts)
        await report_batch(sending, batch, reason, trouble)
    if not await _said(sending, batch, status, sents):
        status, trouble = BatchStatus.FAIL, f"batch request {batch.pk}: Omnitron refuses its results"
        sents = [sent.failed(FailedReasonType.CHANNEL_APP, trouble, technical=True) for sent in sents]
        sending.keep(sents)
        await report_batch(sending, batch, REFUSED, trouble)
        await sending.requests.fail(batch.pk)
    Notes.of_flow(sending).forget(batch.pk)
    log.info("batch request %d ended in %s: %s", batch.pk, status, _counts(verdicts.values()))
    return Checked(batch.pk, status, sents, trouble)


async def _said(sending: Sending, batch: BatchState, status: BatchStatus, sents: Sequence[Sent]) -> bool:
    """End it with a result for each order; one that is gone since it was committed stops no other."""
    end = sending.requests.done if status is BatchStatus.DONE else sending.requests.fail
    if await _taken(end(batch.pk, sending.links(sents))):
        return True
    known = await order_rows(sending.omnitron, (sent.pk for sent in sents))
    return await _taken(end(batch.pk, sending.links(sent for sent in sents if sent.pk in known)))


async def _taken(end: Awaitable[None]) -> bool:
    try:
        await end
    except RefusedError as error:
        if error.status != BAD_REQUEST:
            raise
        log.warning("Omnitron refuses results: %s", error)
        return False
    return True


def _left_over(sending: Sending, note: Note, verdicts: Verdicts) -> Note | None:
    """What the next run takes over instead of sending it again: orders of a job that still runs, or has time left."""
    mine = [verdicts[feed_id] for feed_id in note.feed_ids]
    runs = any(verdict.state is FeedState.RUNNING for verdict in mine)
    is_late = not note.since or sending.now >= datetime.fromisoformat(note.since) + sending.channel.feed_deadline
    if all(verdict.is_decided for verdict in mine) or (is_late and not runs):
        return None
    found = matched(note.sents, _results(verdicts))
    undecided = [sent for sent in _waited(note) if sent.pk not in found]
    return note.left_over(undecided, sending.now.isoformat() if runs else note.since) if undecided else None


def _waited(note: Note) -> list[Sent]:
    return [sent for sent in note.sents if sent.state not in {State.SUCCEEDED, State.FAILED}]


def _results(verdicts: Verdicts) -> list[OrderBatchRequestResponseDto]:
    return [result for verdict in verdicts.values() for result in verdict.results]


def _of_note(note: Note, verdicts: Verdicts) -> list[Sent]:
    """What the channel had said at once stays; the rest is as its feeds say."""
    waited = _waited(note)
    otherwise = {sent.pk: _without_result(sent, note, verdicts) for sent in waited}
    ended = {sent.pk: sent for sent in told(waited, _results(verdicts), otherwise)}
    return [ended.get(sent.pk, sent) for sent in note.sents]


def _without_result(sent: Sent, note: Note, verdicts: Verdicts) -> Sent:
    mine = [verdicts[feed_id] for feed_id in note.feed_ids]
    if not all(verdict.is_decided for verdict in mine):
        text = "the channel did not say in time what became of its job"
        return sent.failed(FailedReasonType.REMOTE, text, technical=True)
    for verdict in mine:
        if verdict.state is FeedState.FAILED:
            return sent.failed(FailedReasonType.REMOTE, verdict.message or "the channel's job failed as a whole")
    return unanswered(sent)


async def _not_noted(sending: Sending, batch: BatchState, notes: Iterable[Note]) -> Note:
    """Staging is gone, or the job is not ours: Omnitron knows which orders it processes."""
    known = {sent.pk for note in notes for sent in note.sents}
    found = await sending.requests.objects(batch.local_batch_id, sending.content_type)
    rows = [row for row in found if int(row["object_id"]) not in known]
    orders = await order_rows(sending.omnitron, (int(row["object_id"]) for row in rows))
    sents = []
    for row in rows:
        pk, remote_id = int(row["object_id"]), str(row.get("remote_id") or "")
        number = str(orders.get(pk, {}).get("number") or "")
        sents.append(Sent(remote_id or number or str(pk), pk, str(row["version_date"]), remote_id, number))
    return Note(batch.local_batch_id, batch.pk, tuple(sents), batch.feed_ids, is_answered=True)


def _trouble(batch: BatchState, verdicts: Verdicts) -> tuple[str, str]:
    failed = [verdict for verdict in verdicts.values() if verdict.state is FeedState.FAILED]
    if verdicts and len(failed) == len(verdicts):
        said = "; ".join(dict.fromkeys(verdict.message for verdict in failed if verdict.message))
        why = without_people(said) or "no reason given"
        return JOB_FAILED, f"batch request {batch.pk}: the channel's job failed as a whole: {why}"
    return JOB_FORGOTTEN, f"batch request {batch.pk}: the channel did not say in time what became of its job"


def _said_before(sending: Sending, batch: BatchState) -> Checked:
    """It has ended: by an earlier try that was killed then, or by a person."""
    owner = next((row for row in sending.batches.all() if int(row["pk"]) == batch.pk), {})
    if CHECKED in owner:
        Notes.of_flow(sending).forget(batch.pk)
        sents = kept(Folder(sending.batches.staging, owner[CHECKED]))
    else:
        sents = [_as_ended(row, batch.status) for row in batch.objects if row["content_type"] == sending.content_type]
    trouble = f"batch request {batch.pk} ended in fail" if batch.status is BatchStatus.FAIL else ""
    return Checked(batch.pk, batch.status, sents, trouble)


def _as_ended(row: dict[str, Any], status: BatchStatus) -> Sent:
    pk, remote_id = int(row["pk"]), str(row.get("remote_id") or "")
    sent = Sent(remote_id or str(pk), pk, str(row.get("version_date") or ""), remote_id)
    if status is BatchStatus.DONE and not row.get("failed_reason_type"):
        return sent.succeeded()
    reason = FailedReasonType(row.get("failed_reason_type") or FailedReasonType.CHANNEL_APP)
    return sent.failed(reason, "see the earlier reports of its batch request")


def _counts(verdicts: Iterable[FeedVerdict]) -> str:
    found = [verdict.state for verdict in verdicts]
    return ", ".join(f"{found.count(state)} {state}" for state in FeedState if state in found) or "no feeds"
