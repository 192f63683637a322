"""The end of an inbound run: everything linked, reported and put where it waits; then the books are balanced.

Every step may be done again: a commit of the same links, the same report, the same object in quarantine.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta

from order_integration.channels.registry import ChannelLimits
from order_integration.dto import ErrorReportDto
from order_integration.exact_json import dumps
from order_integration.flows.books import Books, Row
from order_integration.flows.linking import Linked, end_left_over, link_all, link_in_batch, once
from order_integration.flows.outcomes import SETTLED, Balance, Outcome, Result
from order_integration.omnitron.batch_requests import Batch, BatchRequests
from order_integration.omnitron.integration_actions import Link
from order_integration.omnitron.reports import Reports, report_on_batch
from order_integration.staging import ASKED, TOLD, Ended, Waiting, key_digest, moment_of

PARKED_IN_SILENCE = timedelta(days=3)  # what waits for longer is told: it may wait for ever


@dataclass
class Settlement:
    """Outcomes of all tasks of a run, one per key, with what is needed to keep those that wait."""

    began: str  # when the run began to read the channel; the same kind of moment as `read_at`
    outcomes: list[Outcome] = field(default_factory=list)
    read_at: dict[str, str] = field(default_factory=dict)  # when reading each began at the channel, ISO 8601 in UTC
    records: dict[str, Row] = field(default_factory=dict)  # raw, of those that may have to wait


async def settle(books: Books, settlement: Settlement, balance: Balance) -> None:
    """Keep what waits, link, report, count. `balance` comes with rows, duplicates and distinct filled in.

    What has to survive is in staging before the first call to Omnitron, which may be down or locked for hours.
    Raises LockedError while another batch request is in the way, RetriableError while Omnitron does not answer, and in
    the end RefusedError where it refuses a link though its object is there.
    """
    books.owed.owe(
        f"{books.run}-settle-{books.owner['try']}",
        [asdict(link) for outcome in settlement.outcomes for link in outcome.links],
    )
    balance.new_in_quarantine, untold = _keep(books, settlement)
    balance.count(settlement.outcomes)
    batches = BatchRequests(books.omnitron)
    await end_left_over(books, batches)
    owed = books.owed.all()
    done = await link_all(books, batches, once(Link(**row) for rows in owed.values() for row in rows))
    balance.links_refused = len(done.refused)
    books.owed.written(owed, but=[asdict(link) for link in done.kept])
    untold += [outcome for outcome in settlement.outcomes if outcome.cuts]
    if untold or done.refused:
        await _report(books, batches, done, untold)
    if done.error:
        raise done.error


def _keep(books: Books, settlement: Settlement) -> tuple[int, list[Outcome]]:
    """Quarantine and parking; returns how many this run brought into quarantine, and those nobody was told of yet.

    A run that could not write its reports leaves them to the next one. A settle that was late, or cleared, leaves alone
    what was read after its own records; and what failed in it ends no younger wish to have it tried again.
    """
    now = books.now.isoformat()
    waiting = {Result.QUARANTINED: books.quarantine, Result.PARKED: books.parked}
    open_rows = {result: place.open_keys() for result, place in waiting.items()}
    new, untold = 0, []
    for outcome in settlement.outcomes:
        moment = settlement.read_at[outcome.key]
        # Of what waits no longer, only what would wait again has to know.
        known = [place.get(outcome.key) for place in waiting.values()] if outcome.result in waiting else []
        known += [rows.get(outcome.key) for rows in open_rows.values()]
        if any(row and moment_of(row) > moment for row in known):
            continue
        for result, place in waiting.items():
            if outcome.result is result:
                row = {
                    "reason": outcome.reason,
                    "field": outcome.field,
                    "sentence": outcome.sentence,
                    "record": settlement.records.get(outcome.key),
                    "read_at": moment,
                }
                kept = place.put(outcome.key, row, run=books.run, now=now)
                if result is Result.QUARANTINED:
                    new += kept["first_run"] == books.run
                untold += [outcome] if _is_to_be_told(books, result, kept) else []
            elif outcome.key in open_rows[result] and (
                outcome.result in SETTLED
                or (result is Result.PARKED and not _is_asked(place, outcome.key, settlement.began))
            ):
                is_over = outcome.result is Result.CANCELLED_AT_CHANNEL
                state = Ended.CANCELLED_AT_CHANNEL if is_over else Ended.SUPERSEDED
                place.close(outcome.key, state, now=now, read_at=moment)
    return new, untold


def _is_asked(parked: Waiting, key: str, began: str) -> bool:
    """Whether somebody wanted it tried again after a run had begun."""
    return str((parked.get(key) or {}).get(ASKED, "")) > began


def _is_to_be_told(books: Books, result: Result, kept: Row) -> bool:
    """Once: what is in quarantine, and what is parked when it has waited for long."""
    since = datetime.fromisoformat(kept["first_seen"])
    return not kept.get(TOLD) and (result is Result.QUARANTINED or books.now - since > PARKED_IN_SILENCE)


async def _report(books: Books, batches: BatchRequests, done: Linked, untold: list[Outcome]) -> None:
    batch = done.batch or await link_in_batch(books, batches, [])
    reports = Reports(books.omnitron)
    # A place is mapped once, however many orders go there. It is told first: no later try tells it of an order that is.
    places = {dumps(outcome.location): outcome for outcome in untold if outcome.location}
    await asyncio.gather(*(_tell_place(reports, outcome) for outcome in places.values()))
    await asyncio.gather(
        *(_tell(books, reports, batch, outcome) for outcome in untold),
        *(reports.tell(_report_on_link(books, batch, link)) for link in done.refused),
    )


async def _tell_place(reports: Reports, outcome: Outcome) -> None:
    place = outcome.location or {}
    await reports.unmapped_location(place["level"], place["name"], place["parents"], outcome.sentence)


async def _tell(books: Books, reports: Reports, batch: Batch, outcome: Outcome) -> None:
    place = {Result.QUARANTINED: books.quarantine, Result.PARKED: books.parked}.get(outcome.result)
    on = place.told_on(outcome.key, batch.pk) if place else batch.pk
    for report in _reports_of(books, on, outcome):
        await reports.tell(report)
    if place:
        place.told(outcome.key)


def _report_on_link(books: Books, batch: Batch, link: Link) -> ErrorReportDto:
    code = f"{books.flow}-{key_digest(f'{link.content_type}/{link.pk}')}-link_refused"
    text = f"{link.remote_id}: Omnitron refuses to link its {link.content_type} {link.pk}"
    return report_on_batch(batch.pk, code, text, None, books.now, ok=False)


def _reports_of(books: Books, batch: int, outcome: Outcome) -> Iterable[ErrorReportDto]:
    """Codes hold flow, key's hash and reason: the same news again is the same report."""
    code = f"{books.flow}-{key_digest(outcome.key)}"
    if outcome.result is Result.QUARANTINED:
        text = f"{outcome.key}: {outcome.reason} in {outcome.field}: {outcome.sentence}"
        yield report_on_batch(batch, f"{code}-{outcome.reason}", text, outcome.masked, books.now, ok=False)
    elif outcome.result is Result.PARKED:
        days = PARKED_IN_SILENCE.days
        text = f"{outcome.key}: waits for more than {days} days, {outcome.reason}: {outcome.sentence}"
        yield report_on_batch(batch, f"{code}-{outcome.reason}", text, None, books.now, ok=False)
    for cut, link in zip(outcome.cuts, outcome.links[:1] * len(outcome.cuts), strict=True):
        text = f"{outcome.key}: {cut['field']} was cut from {cut['length']} to {cut['limit']} characters"
        told = report_on_batch(batch, f"{code}-cut-{cut['field']}", text, None, books.now, ok=True)
        # On the order itself, so that a second try tells it in the same row.
        yield told.model_copy(update={"action_content_type": link.content_type, "action_object_id": link.pk})


def verdict(balance: Balance, limits: ChannelLimits) -> str | None:
    """Why the run is red, or None."""
    if not balance.holds:
        return "the balance does not hold: a record is missing or counted twice"
    if balance.links_refused:
        return f"Omnitron refuses {balance.links_refused} links; its Marketplace Logs and the log of settle name them"
    if balance.gone_left:
        return f"the channel knows {balance.gone_left} parked records no more: is it the right one? They stay parked"
    if balance.failed:
        return f"{balance.failed} records failed in their last try; they are parked, and the next run begins with them"
    allowed = max(limits.quarantine_floor, limits.quarantine_share * balance.distinct)
    if balance.new_in_quarantine > allowed:
        return f"{balance.new_in_quarantine} of {balance.distinct} records are new in quarantine: is a setting wrong?"
    return None
