"""The end of an outbound run: what became of every object that was due, told to the merchant and counted."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_integration.channels.registry import ChannelLimits
from order_integration.dto import ErrorReportDto, FailedReasonType
from order_integration.flows.outbound import CHECKED, Sending, Sent, State
from order_integration.flows.submissions import Notes
from order_integration.omnitron.batch_requests import BatchState
from order_integration.omnitron.reports import Reports, report_on_batch
from order_integration.staging import key_digest

LONGEST_MESSAGE = 300  # characters of what a channel says about one object
# A channel's free text may name somebody.
_PEOPLE = re.compile(r"[^\s@<>]+@[^\s@<>]+|\+?\d(?:[\s().-]?\d){6,}")

Row = dict[str, Any]


def without_people(text: str) -> str:
    """A channel's message without e-mail addresses and long numbers, in a length that a log line has."""
    return _PEOPLE.sub("…", text)[:LONGEST_MESSAGE]


def table_of(sents: Iterable[Sent]) -> Row:
    """The run's table: counts alone. due = succeeded + failed + left out + handed over + waiting."""
    all_of_them = list(sents)
    states = Counter(sent.state for sent in all_of_them)
    failed = (sent for sent in all_of_them if sent.state is State.FAILED)
    reasons = Counter(sent.failed_reason_type for sent in failed if sent.failed_reason_type)
    went = states[State.SUCCEEDED] + states[State.FAILED] + states[State.HANDED_OVER]
    return {
        "due": len(all_of_them),
        "sent": went - reasons[FailedReasonType.MAPPING],
        **{state.value: states[state] for state in State},
        "reasons": {reason.value: count for reason, count in sorted(reasons.items())},
    }


def as_table(row: Mapping[str, Any]) -> str:
    """The table for the log."""
    lines = [f"  {name.replace('_', ' '):<18}{value:>8}" for name, value in row.items() if name != "reasons"]
    return "\n".join([*lines, *(f"    {reason:<20}{count:>4}" for reason, count in row["reasons"].items())])


def verdict(sents: Sequence[Sent], limits: ChannelLimits, trouble: str = "") -> str | None:
    """Why the run is red, or None. `trouble`: what a task could not do, or why a batch request ended badly."""
    if trouble:
        return trouble
    failed = [sent for sent in sents if sent.state is State.FAILED]
    if technical := sum(sent.technical for sent in failed):
        return f"{technical} of {len(sents)} could not be sent, or got no answer; they are offered again"
    if stranded := sum(sent.state is State.HANDED_OVER for sent in sents):
        return f"nobody waited for what became of {stranded}; check_orders ends their batch request"
    allowed = max(limits.quarantine_floor, limits.quarantine_share * len(sents))
    if len(failed) > allowed:
        return f"{len(failed)} of {len(sents)} failed: is a setting wrong?"
    return None


async def settle(sending: Sending, sents: Sequence[Sent]) -> Row:
    """Report each object that failed, forget batch requests that are over; returns the run's table."""
    await report(sending, sents)
    for owner in sending.batches.all():
        batch = await sending.requests.read(int(owner["pk"])) if owner["run"] == sending.owner["run"] else None
        if batch and batch.is_over:
            if CHECKED in owner:  # whoever ended it may have been killed then
                Notes.of_flow(sending).forget(batch.pk)
            sending.batches.ended(batch.pk)
    return table_of(sents)


async def report(sending: Sending, sents: Iterable[Sent]) -> None:
    """One report an object that failed."""
    reports = Reports(sending.omnitron)
    failed = [sent for sent in sents if sent.state is State.FAILED]
    await asyncio.gather(*(reports.tell(_report_of(sending, sent)) for sent in failed))


async def report_batch(sending: Sending, batch: BatchState, reason: str, sentence: str) -> None:
    """One report on a batch request. `reason` is a code."""
    code = f"{sending.flow}-{key_digest(batch.local_batch_id)}-{reason}"
    report = report_on_batch(batch.pk, code, without_people(sentence), None, sending.now, ok=False)
    await Reports(sending.omnitron).tell(report)


def _report_of(sending: Sending, sent: Sent) -> ErrorReportDto:
    """The code holds flow, key's hash and reason: the same news again is the same report."""
    reason = (sent.failed_reason_type or FailedReasonType.CHANNEL_APP).value
    return ErrorReportDto(
        action_content_type=sending.content_type,
        action_object_id=sent.pk,
        modified_date=sending.now,
        error_code=f"{sending.flow}-{key_digest(sent.key)}-{reason}",
        error_description=f"{sent.key}: {reason}: {without_people(sent.message) or 'no reason given'}",
    )
