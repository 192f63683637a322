"""Links of what is in Omnitron already are written, in batch requests that end, or beside a channel's own job."""

import asyncio
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from order_integration.errors import IntegrationError, LockedError, RefusedError
from order_integration.flows.books import Books
from order_integration.omnitron.batch_requests import Batch, BatchRequests, is_held_by_channel
from order_integration.omnitron.client import slices
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.omnitron.orders import exists

OBJECTS_PER_BATCH = 500  # of one commit
REFUSED_AT_MOST = 20  # links that are looked for one by one; where more are refused, it is not the links
NOT_FOUND = 404

log = logging.getLogger(__name__)


async def end_left_over(books: Books, batches: BatchRequests) -> None:
    """A killed try may have left a batch request open, with its lock; settle runs one at a time, so it is nobody's.

    Failing it loses nothing: what it was to link is owed until it is written.
    """
    for row in books.batches.all():
        pk = int(row["pk"])
        log.warning("batch request %d was left open by an earlier try; it is ended", pk)
        try:
            await batches.fail(pk)
        except RefusedError as error:
            if error.status != NOT_FOUND:  # of another Omnitron, or from before it was restored
                raise
        books.batches.ended(pk)


def once(links: Iterable[Link]) -> list[Link]:
    """One link an object, the oldest: with a later version, what changed in between would never be told the channel."""
    latest_first = sorted(links, key=lambda link: link.version_date.removesuffix("Z"), reverse=True)
    return list({(link.content_type, link.pk): link for link in latest_first}.values())


@dataclass
class Linked:
    """The last batch request, for the reports, and the links that Omnitron refused, with the first refusal."""

    batch: Batch | None = None
    refused: list[Link] = field(default_factory=list)  # for good: the object is gone
    kept: list[Link] = field(default_factory=list)  # still owed: the object is there
    error: RefusedError | None = None


async def link_all(books: Books, batches: BatchRequests, links: list[Link]) -> Linked:
    """Commit all links. One that Omnitron refuses is found, and stops no other."""
    done = Linked()
    for some in slices(links, OBJECTS_PER_BATCH):
        await _link_some(books, batches, some, done)
    return done


async def _link_some(books: Books, batches: BatchRequests, some: list[Link], done: Linked) -> None:
    try:
        done.batch = await link_in_batch(books, batches, some)
    except LockedError as error:
        if not (books.link_beside_open_jobs and is_held_by_channel(error)):
            raise
        log.info("%s: writing %d links one by one", error, len(some))
        for link, refusal in (await IntegrationActions(books.omnitron).write(some)).items():
            await _refused(books, link, refusal, done)
    except RefusedError as error:
        if error.ids.get("method") != "PATCH":  # not the links were refused, but the batch request
            raise
        if len(some) == 1:
            return await _refused(books, some[0], error, done)
        if len(done.kept) >= REFUSED_AT_MOST:
            done.kept += some
            return None
        for half in (some[: len(some) // 2], some[len(some) // 2 :]):
            await _link_some(books, batches, half, done)
    return None


async def _refused(books: Books, link: Link, error: RefusedError, done: Linked) -> None:
    """Without its object a link is given up and reported. Else it may pass another time, and the run says so."""
    log.warning("Omnitron refuses the link of %s %d: %s", link.content_type, link.pk, error)
    if not await exists(books.omnitron, link.content_type, link.pk):
        done.refused.append(link)
        return
    done.kept.append(link)
    done.error = done.error or RefusedError(
        f"Omnitron refuses to link its {link.content_type} {link.pk}, which stays owed; the log names all",
        status=error.status,
        body=error.body,
        **{name: value for name, value in error.ids.items() if name != "status"},
    )


async def link_in_batch(books: Books, batches: BatchRequests, links: Sequence[Link]) -> Batch:
    """One batch request, ended whatever happens; without links it is there to hang reports on."""
    batch = await batches.create()
    books.batches.register(batch.pk, books.owner)
    done = False
    try:
        if links:
            await _commit(books, batches, batch, links)
        await batches.done(batch.pk, links)
        done = True
    finally:
        # One that can't even be failed stays registered, and the next settle ends it.
        if done or await _failed(batches, batch):
            books.batches.ended(batch.pk)
    return batch


async def _commit(books: Books, batches: BatchRequests, batch: Batch, links: Sequence[Link]) -> None:
    """The settles of several flows meet: a lock that is held for a moment is waited for here, without an end to it."""
    for wait in books.lock_waits:
        try:
            return await batches.commit(batch, books.content_type, links)
        except LockedError as error:
            if is_held_by_channel(error):
                raise
            log.info("%s: asking again in %s seconds", error, wait)
            await asyncio.sleep(wait)
    await batches.commit(batch, books.content_type, links)
    return None


async def _failed(batches: BatchRequests, batch: Batch) -> bool:
    """On the way out of an error, which is the one to be seen."""
    try:
        await batches.fail(batch.pk)
    except IntegrationError as error:
        log.warning("batch request %d could not be ended: %s", batch.pk, error)
        return False
    return True
