"""Pages of orders on their way to a channel: each is looked at again, committed, noted, sent, and its answer noted."""

import logging
import traceback
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from order_integration.channels.commands import SendUpdatedOrders
from order_integration.channels.steps import run_step
from order_integration.dto import FailedReasonType, Submission, Submitted, UpdatedOrderDto
from order_integration.errors import ConfigurationError, IntegrationError, LockedError, RetriableError
from order_integration.flows.answers import handed_over, told
from order_integration.flows.outbound import PAGE, How, Job, Sending, Sent, State
from order_integration.flows.submissions import Note, Notes
from order_integration.omnitron.batch_requests import REMOTE_ID_LENGTH
from order_integration.omnitron.client import Omnitron, id_of, in_lists, slices
from order_integration.omnitron.integration_actions import IntegrationActions

log = logging.getLogger(__name__)
Row = dict[str, Any]
Due = tuple[Sent, UpdatedOrderDto]


@dataclass
class Submitting:
    """What one try sends."""

    sending: Sending
    job: Job
    notes: Notes
    command: SendUpdatedOrders
    how: How
    outcomes: dict[int, Sent] = field(default_factory=dict)
    feed_ids: list[str] = field(default_factory=list)
    since: list[str] = field(default_factory=list)  # of what the feeds are about
    pages: int = 0
    longest: int = 0  # characters that the feed ids of one page took

    async def all(self, due: Sequence[Due], unmapped: Sequence[Sent]) -> Row:
        """Everything that is due, and what earlier tries left without an end. Returns what the sensor waits for."""
        everything = [*unmapped, *(sent for sent, _ in due)]
        self.outcomes = {sent.pk: sent for sent in everything}
        again = await self._resolve()
        taken = set(self.job.committed)
        await self._set_apart([sent for sent in unmapped if sent.pk not in taken])
        async for reference, page in self._pages([one for one in due if one[0].pk not in taken], again):
            await self._send(reference, page)
        return await self._end()

    async def _resolve(self) -> list[Note]:
        """What earlier tries sent without living to see its end: what the channel knows of it is taken over.

        Returns the notes of what never arrived.
        """
        lost = []
        for note in self.notes.all():
            found = note if note.is_answered else await self._found(note)
            if not note.is_for_channel:
                self.notes.drop(note)
            elif found is None:
                lost.append(note)
            else:
                log.info("submission %s is known to the channel: it is not sent again", note.reference)
                refused = await self.job.commit(found.sents)
                batch = await self.job.open()
                taken = tuple(sent for sent in found.sents if sent.pk in self.job.committed)
                self._take(replace(found, batch=batch.pk, sents=taken))
                self._fail(refused)
        return lost

    async def _found(self, note: Note) -> Note | None:
        if not self.command.can_find_submission():
            return None
        submitted = await run_step(self.command.find_submission, note.reference)
        return _answered(note, submitted) if submitted else None

    async def _set_apart(self, unmapped: Sequence[Sent]) -> None:
        """Orders that no channel can be told of: Omnitron is."""
        if due := await self._due(unmapped):
            self._fail(await self.job.commit(due))
            batch = await self.job.open()
            committed = [sent for sent in due if sent.pk in self.job.committed]
            self.notes.write(Note.not_sent(batch.local_batch_id, batch.pk, committed))

    async def _pages(self, due: Sequence[Due], lost: Sequence[Note]) -> AsyncIterator[tuple[str, list[Due]]]:
        """What never arrived goes under its own reference, as long as it is the same; the rest in new pages."""
        left = {sent.pk: (sent, dto) for sent, dto in due}
        for note in lost:
            same = [left[sent.pk] for sent in note.sents if left.get(sent.pk, (None,))[0] == sent]
            if len(same) == len(note.sents) == len(fresh := await self._unchanged(same)):
                for sent in note.sents:
                    del left[sent.pk]
                yield note.reference, fresh
            else:
                self.notes.drop(note)
        for some in slices(left.values(), PAGE):
            if not self._has_room():
                log.info("%d orders wait for the next run: remote_batch_id holds no more feed ids", len(some))
            elif fresh := await self._unchanged(some):
                yield "", fresh

    def _has_room(self) -> bool:
        return len(",".join(self.feed_ids)) + 1 + self.longest <= REMOTE_ID_LENGTH

    async def _unchanged(self, some: Sequence[Due]) -> list[Due]:
        """Orders that are as they were read; what changed since is offered again, as it is then."""
        due = {sent.pk for sent in await self._due([sent for sent, _ in some])}
        now = await order_rows(self.sending.omnitron, due)
        fresh = []
        for sent, dto in some:
            if sent.pk in now and _moment(now[sent.pk]["modified_date"]) == _moment(sent.version_date):
                fresh.append((sent, dto))
            else:
                self._leave_out(sent)
        return fresh

    async def _due(self, sents: Sequence[Sent]) -> list[Sent]:
        """Without those that a later run has told the channel: this one was cleared, or its task waited for long."""
        known = await IntegrationActions(self.sending.omnitron).by_object(
            self.sending.content_type, [sent.pk for sent in sents]
        )
        due = [sent for sent in sents if not _is_told(sent, known.get(sent.pk, {}))]
        for sent in set(sents).difference(due):
            self._leave_out(sent)
        return due

    def _leave_out(self, sent: Sent) -> None:
        self.outcomes[sent.pk] = sent.moved(State.LEFT_OUT)

    async def _send(self, reference: str, page: Sequence[Due]) -> None:
        self._fail(await self.job.commit([sent for sent, _ in page]))
        page = [one for one in page if one[0].pk in self.job.committed]
        if not page:
            return
        sents = [sent for sent, _ in page]
        batch = await self.job.open()
        self.pages += 1
        note = Note.of_page(batch.local_batch_id, self.pages, batch.pk, sents)
        note = replace(note, reference=reference or note.reference)
        self.notes.write(note)
        submission = Submission(reference=note.reference, orders=[dto for _, dto in page], is_sync=self.how.is_sync)
        try:
            submitted = await self.command.run(submission)
        except (ConfigurationError, LockedError):
            raise
        except Exception as error:  # whatever a connector raises is this page's, and stops no other
            if isinstance(error, RetriableError) and not self.how.last_try:
                raise
            # Nothing is known of these orders; their note stays, and the next run asks the channel for it.
            log.error("submission %s got no answer: %s", note.reference, _named(error))  # noqa: TRY400 - may hold a payload
            text = f"the channel gave no answer: {type(error).__name__}"
            self._fail(sent.failed(FailedReasonType.CHANNEL_APP, text, technical=True) for sent in sents)
        else:
            self._take(_answered(note, submitted))

    def _fail(self, sents: Iterable[Sent]) -> None:
        self.outcomes |= {sent.pk: sent for sent in sents}

    def _take(self, note: Note) -> None:
        """An answer, of now or of an earlier try."""
        self.notes.write(note)
        self.outcomes |= {sent.pk: sent for sent in note.sents}
        self.feed_ids += note.feed_ids
        self.since += [note.since] if note.feed_ids and note.since else []
        self.longest = max(self.longest, len(",".join(note.feed_ids)))

    async def _end(self) -> Row:
        sents = list(self.outcomes.values())
        if not self.feed_ids:
            await self.job.done(sents)
            if self.job.batch:
                self.notes.forget(self.job.batch.pk)
            return {"feed_ids": []}
        batch, ids = await self.job.open(), fitting(self.feed_ids)
        at = min(map(_moment, self.since), default=datetime.now(UTC))  # what is oldest ends all; see Note
        # The channel's word on single orders counts when the batch request ends.
        await self.job.accepted([_until_the_end(sent, self.job.committed) for sent in sents], ids, at)
        return {"batch_pk": batch.pk, "feed_ids": ids, "accepted_at": at.isoformat()}


def fitting(feed_ids: Iterable[str]) -> list[str]:
    """As many as `remote_batch_id` holds; the notes know them all."""
    ids: list[str] = []
    for feed_id in feed_ids:
        if len(",".join([*ids, feed_id])) > REMOTE_ID_LENGTH:
            break
        ids.append(feed_id)
    return ids


async def order_rows(omnitron: Omnitron, pks: Iterable[int]) -> dict[int, Row]:
    """Orders as they are now, in bulk; one that is gone is left out."""
    wanted = set(pks)
    found: dict[int, Row] = {}
    for some in in_lists(sorted(wanted)):
        rows = await omnitron.rows(omnitron.at("orders/"), {"pk__in": some}, sure=lambda row: id_of(row) in wanted)
        found |= {id_of(row): row for row in rows}
    return found


def _is_told(sent: Sent, action: Row) -> bool:
    version = str(action.get("version_date") or "")
    return action.get("status") == "success" and version != "" and _moment(version) >= _moment(sent.version_date)


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _answered(note: Note, submitted: Submitted) -> Note:
    otherwise = handed_over(note.sents) if submitted.feed_ids else None
    sents = told(note.sents, submitted.results, otherwise)
    return replace(note, sents=tuple(sents), feed_ids=tuple(submitted.feed_ids), is_answered=True)


def _until_the_end(sent: Sent, committed: dict[int, Sent]) -> Sent:
    return sent.moved(State.HANDED_OVER) if sent.pk in committed else sent


def _named(error: BaseException) -> str:
    """Our own errors tell no payload; what else a connector raises may, so it is named by where it happened."""
    if isinstance(error, IntegrationError):
        return str(error)
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, {place.filename}:{place.lineno}"
