"""Batch requests that nobody looks after any more. No other flow ends what is not its own; this one does, by a rule:

====================  ============================  ========================================================
registered by us      its run is not over           left: the run ends it, unless its deadline is long over
registered by us      initialized, commit           its run died: failed; what it was to say is due again
registered by us      sent_to_remote, ongoing       the channel is asked; at the deadline it fails, with a report
unregistered          initialized, commit           reported once, when it is old; never ended
unregistered orders   sent_to_remote, ongoing       ended with the channel's verdict alone; else reported once
====================  ============================  ========================================================
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from order_integration.dto import FeedState
from order_integration.errors import IntegrationError
from order_integration.exact_json import dumps, loads
from order_integration.flows.check_orders import Checked, Commands, check, verdicts_on
from order_integration.flows.outbound import CHECKED, Sending
from order_integration.flows.outbound_settling import report, report_batch
from order_integration.flows.submissions import Notes
from order_integration.omnitron.batch_requests import HOLDS_LOCK, BatchState, BatchStatus
from order_integration.staging import Folder, OpenBatches

ORDER = "order"
SENDS_ORDERS = "update_orders"  # the flow whose jobs a channel may work on for long
OLD = timedelta(hours=1)  # a batch request that is just being worked with is no news
OVERDUE = timedelta(hours=1)  # behind its deadline no sensor waits for a job: its run lives in name only (a paused DAG)
ANY_OPEN = (BatchStatus.INITIALIZED, *HOLDS_LOCK)
LEFT_OPEN = "left_open"

log = logging.getLogger(__name__)
Row = dict[str, Any]
IsOver = Callable[[Row], bool]


@dataclass
class Swept:
    """What was found, in numbers, and what a person should look at."""

    counts: Counter[str] = field(default_factory=Counter)
    troubles: list[str] = field(default_factory=list)


async def sweep(sending: Sending, connector: Commands, is_over: IsOver) -> Swept:
    """Look at every open batch request of the channel. One that can't be checked stops no other."""
    swept = Swept()
    # First Omnitron's list, then ours: what is opened in between is then in both or in neither.
    found = await sending.requests.open_ones(None, ANY_OPEN)
    registered = list(_registered(sending))
    for flow, owner in registered:
        await _guarded(swept, int(owner["pk"]), _of_ours(_for_flow(sending, flow, owner), connector, owner, is_over))
    ours = {int(owner["pk"]) for _, owner in registered}
    strangers = [batch for batch in map(BatchState.of, found) if batch.pk not in ours]
    memory = _Told(sending)
    for batch in strangers:
        await _guarded(
            swept, batch.pk, _of_others(_for_flow(sending, SENDS_ORDERS, {"pk": batch.pk}), connector, batch, memory)
        )
    memory.keep(batch.pk for batch in strangers)
    return swept


def _registered(sending: Sending) -> Iterable[tuple[str, Row]]:
    staging, channel = sending.batches.staging, sending.channel.name
    for flow in staging.names(f"batches/{channel}"):
        for owner in OpenBatches(staging, channel, flow).all():
            yield flow, owner


def _for_flow(sending: Sending, flow: str, owner: Row) -> Sending:
    """As that flow would report it, with a folder for this batch request alone."""
    staging, channel = sending.batches.staging, sending.channel.name
    folder = Folder(staging, f"{sending.folder.path}/{owner['pk']}")
    return replace(sending, flow=flow, batches=OpenBatches(staging, channel, flow), folder=folder)


async def _guarded(swept: Swept, pk: int, work: Any) -> None:
    try:
        what, trouble = await work
    except Exception as error:  # noqa: BLE001 - whatever a connector raises; its text may hold a person's data
        said = str(error) if isinstance(error, IntegrationError) else type(error).__name__
        what, trouble = "unchecked", f"batch request {pk} can't be checked: {said}"
    log.info("batch request %d: %s", pk, what)
    swept.counts[what] += 1
    if trouble:
        swept.troubles.append(trouble)


async def _of_ours(sending: Sending, connector: Commands, owner: Row, is_over: IsOver) -> tuple[str, str]:
    pk, accepted_at, deadline = int(owner["pk"]), owner.get("accepted_at"), sending.channel.feed_deadline
    is_overdue = accepted_at and sending.now >= datetime.fromisoformat(accepted_at) + deadline + OVERDUE
    if not is_overdue and not is_over(owner):
        return "alive", ""
    batch = await sending.requests.read(pk)
    if batch is not None and batch.is_accepted:
        since = datetime.fromisoformat(accepted_at or batch.modified_date)
        checked = await check(sending, connector, pk, since + deadline)
        return await _told_end(sending, checked)
    if batch is not None and not batch.is_over:
        await sending.requests.fail(pk)
    if batch is None or CHECKED in owner or batch.status is BatchStatus.DONE:
        Notes.of_flow(sending).forget(pk)
    sending.batches.ended(pk)
    return ("over" if batch is None or batch.is_over else "failed"), ""


async def _told_end(sending: Sending, checked: Checked | None) -> tuple[str, str]:
    if checked is None:
        return "running", ""
    await report(sending, checked.sents)
    sending.batches.ended(checked.pk)
    return checked.status.value, checked.trouble


async def _of_others(sending: Sending, connector: Commands, batch: BatchState, memory: "_Told") -> tuple[str, str]:
    now = await sending.requests.read(batch.pk)  # it may have ended since the list was read
    if now is None or now.is_over:
        return "over", ""
    if now.is_accepted and now.content_type == ORDER:
        verdicts = await verdicts_on(connector, now.feed_ids)
        if verdicts and all(verdict.is_decided for verdict in verdicts.values()):
            return await _told_end(sending, await check(sending, connector, batch.pk, None))
        if verdicts and all(verdict.state is not FeedState.UNKNOWN for verdict in verdicts.values()):
            return "running", ""
        await memory.tell(now, "the channel does not know what became of it")
        return "left", ""
    if not now.is_accepted and sending.now - datetime.fromisoformat(now.modified_date) < OLD:
        return "young", ""
    await memory.tell(now, f"it is {now.status}, and no run of ours opened it")
    return "left", ""


class _Told:
    """Which open batch requests of others were reported: each is, once."""

    def __init__(self, sending: Sending) -> None:
        self._sending = sending
        self._path = f"sweeps/{sending.channel.name}.json"
        content = sending.batches.staging.read(self._path)
        self._pks: set[int] = set(loads(content)) if content else set()

    async def tell(self, batch: BatchState, sentence: str) -> None:
        if batch.pk not in self._pks:
            text = f"batch request {batch.pk} is left open: {sentence}; end it by hand if nobody works with it"
            log.warning("%s", text)
            await report_batch(self._sending, batch, LEFT_OPEN, text)
            self._pks.add(batch.pk)

    def keep(self, still_open: Iterable[int]) -> None:
        known = self._pks & set(still_open)
        self._sending.batches.staging.write(self._path, dumps(sorted(known)).encode())
