"""What the channel has, compared with what Omnitron has, order by order, for the last days.

Two directions. The channel's window, page by page: each of its orders is looked for in Omnitron by the channel's id.
Then the orders that were created in Omnitron in these days: one that was not in the window is asked for at the channel
by its key, since its own time may lie elsewhere. Nothing is written into Omnitron.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from order_integration.channels.commands import SLIPS, Connector, GetOrders, Record, Window
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import ContractError, RefusedError
from order_integration.flows import FETCH_ORDERS
from order_integration.flows.inbound import versions_follow
from order_integration.flows.judging import MISSING, Judge, Known
from order_integration.flows.reconciliation import Finding, Kind, Reconciliation, What
from order_integration.flows.transforming import Entry, entries_of
from order_integration.omnitron.client import Omnitron, Row, id_of, slices
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.omnitron.orders import orders_by_pk, orders_since
from order_integration.staging import Places, Staging, key_digest

AT_ONCE = 50  # orders of Omnitron that the channel is asked for at the same time, as far as its limits go
UNREADABLE = (ContractError, RefusedError, *SLIPS)  # says nothing of any other order
SEVERAL = 2

log = logging.getLogger(__name__)
Found = Entry[ChannelCreateOrderDto]


async def reconcile(
    omnitron: Omnitron,
    connector: Connector,
    staging: Staging,
    now: datetime,
    *,
    days: float | None = None,
    read_until: datetime | None = None,
    run: str = "",
) -> Reconciliation:
    """Compare the last days; what is younger than the channel's `reconcile_grace`, on either side, is not judged.

    `days`: others than the channel's; never what was before the channel was active here. `read_until`: how far
    `fetch_orders` has come, since nobody misses what it has still to read. `run`: a digest, under which `park_missing`
    parks what this run misses.
    Raises ContractError where Omnitron does not sort, RetriableError where a side does not answer.
    """
    channel = connector.channel
    await omnitron.channel()
    until = now - channel.reconcile_grace
    start = max(now - timedelta(days=days or channel.reconcile_days), channel.active_from)
    window = Window(start, max(min(until, read_until or until), start))
    command = connector.command(GetOrders)  # type: ignore[type-abstract]
    judge = Judge(omnitron, command, staging, channel.name, until, channel.active_from, run)
    comparison = _Comparison(omnitron, command, judge, window)
    if window.start < window.end:
        await comparison.read_channel()
    await comparison.read_omnitron()
    await comparison.look_again()
    found = [one for one in comparison.findings.values() if one]
    found.sort(key=lambda one: (one.key, one.pks))
    return Reconciliation(window, len(comparison.findings), found, frozenset(comparison.findings))


def park_missing(staging: Staging, channel: str, found: Iterable[Finding], *, run: str, now: datetime) -> list[str]:
    """Have the next run of `fetch_orders` begin with what is missing; it reads each by its key. Returns the keys."""
    places = Places.of(staging, channel, FETCH_ORDERS)
    moment, parked = now.isoformat(), []
    for one in found:
        row = {"reason": MISSING, "field": "", "sentence": "reconciliation misses it in Omnitron"}
        places.parked.ask(one.key, {**row, "record": one.record, "read_at": moment}, run=run, now=moment)
        parked.append(one.key)
    return parked


@dataclass
class _Comparison:
    """One order is judged once for each time that it is read; the last word counts. None: both sides agree."""

    omnitron: Omnitron
    command: GetOrders
    judge: Judge
    window: Window
    findings: dict[str, Finding | None] = field(default_factory=dict)  # by the channel's id
    # Omnitron's orders by that id: linked with it, or created with it.
    own: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    async def read_channel(self) -> None:
        """The channel's window, a page at a time."""
        async for page in self.command.pages(self.window):
            await self._judge(await entries_of(self.command, page, versions_follow))

    async def read_omnitron(self) -> None:
        """The orders that were created in the same days, in pages; those of the window are known by now."""
        async for page in orders_since(self.omnitron, self.window.start):
            old = [row for row in page if datetime.fromisoformat(row["created_date"]) < self.judge.until]
            keys = await self._keys(old)
            for row in old:
                if key := keys[id_of(row)]:
                    self.own[key].add(id_of(row))
                else:
                    self.findings[f"pk {id_of(row)}"] = _extra(row, "", "no id of the channel stands in it")
            strangers = {key: row for row in old if (key := keys[id_of(row)]) and key not in self.findings}
            for some in slices(strangers.items(), AT_ONCE):
                await self._ask(dict(some))
        for key, pks in self.own.items():
            known = self.findings.get(key) or Finding(key, Kind.TWICE)
            here = replace(known, pks=tuple(sorted(pks)), record=None)
            if len(pks) >= SEVERAL:
                self.findings[key] = replace(here, kind=Kind.TWICE, what=(), channel="", omnitron="", reason="")
            elif pks and known.kind is Kind.MISSING:  # under another number: fetching it would make a second one
                self.findings[key] = replace(here, kind=Kind.DIFFERENT, what=(What.NUMBER, What.LINK))

    async def look_again(self) -> None:
        """What was missing may have been on its way through a run of `fetch_orders` when it was looked for."""
        missing = {key: one for key, one in self.findings.items() if one and one.is_fetched}
        known = await self._known(missing)
        for key, one in missing.items():
            if known[key].rows:
                self.findings[key] = replace(one, kind=Kind.NOT_JUDGED, reason="it arrived meanwhile", record=None)
            elif reason := self.judge.open_reason(FETCH_ORDERS, one.key):
                self.findings[key] = replace(one, kind=Kind.WAITING, reason=reason, record=None)

    async def _judge(self, entries: Iterable[Found]) -> None:
        """Orders of the channel, looked for in Omnitron in bulk."""
        by_id = {_id_of(entry): entry for entry in entries}
        known = await self._known(by_id)
        found = await asyncio.gather(
            *(self.judge.of(remote_id, entry, known[remote_id]) for remote_id, entry in by_id.items())
        )
        self.findings |= dict(zip(by_id, found, strict=True))
        for remote_id in by_id:
            self.own[remote_id] |= known[remote_id].rows.keys()

    async def _known(self, remote_ids: Iterable[str]) -> dict[str, Known]:
        """What is linked with these ids, and still there."""
        wanted = list(remote_ids)
        actions = await IntegrationActions(self.omnitron).by_remote_id("order", wanted)
        rows = await orders_by_pk(self.omnitron, (int(one["object_id"]) for some in actions.values() for one in some))
        found = {}
        for remote_id in wanted:
            links = {int(one["object_id"]): one for one in actions.get(remote_id, ())}
            found[remote_id] = Known({pk: rows[pk] for pk in links if pk in rows}, links)
        return found

    async def _keys(self, rows: list[Row]) -> dict[int, str]:
        """The channel's id of each order: as the channel's window had it, as it is linked, else as it was created."""
        said = {id_of(row): str((row.get("extra_field") or {}).get("id") or "") for row in rows}
        known = {pk: key for key, one in self.findings.items() if one and one.key for pk in one.pks}
        known |= {pk: key for key, pks in self.own.items() for pk in pks}
        others = [pk for pk in said if pk not in known]
        links = await IntegrationActions(self.omnitron).by_object("order", others) if others else {}
        linked = {pk: str(one["remote_id"]) for pk, one in links.items() if one["remote_id"]}
        return said | linked | {pk: known[pk] for pk in said if pk in known}

    async def _ask(self, strangers: dict[str, Row]) -> None:
        """The channel, for orders of Omnitron that were not in its window."""
        if not self.command.can_get_by_key():
            reason = "the connector can't ask for one order"
            self.findings |= {key: _not_judged(row, key, reason) for key, row in strangers.items()}
            return
        answers = await asyncio.gather(*map(self.command.get_by_key, strangers), return_exceptions=True)
        records: list[Record] = []
        for (key, row), answer in zip(strangers.items(), answers, strict=True):
            if isinstance(answer, UNREADABLE):
                log.warning("the channel does not show order %s: %s", key_digest(key), type(answer).__name__)
                self.findings[key] = _not_judged(row, key, "the channel does not show it")
            elif isinstance(answer, BaseException):
                raise answer
            elif answer is None:
                self.findings[key] = _extra(row, key)
            else:
                records.append(answer)
        await self._judge(await entries_of(self.command, records, versions_follow))


def _id_of(entry: Found) -> str:
    return entry.dto.order.remote_id if entry.dto else entry.key


def _extra(row: Row, key: str, reason: str = "") -> Finding:
    return Finding(key, Kind.EXTRA, str(row.get("number") or ""), (id_of(row),), reason=reason)


def _not_judged(row: Row, key: str, reason: str) -> Finding:
    return replace(_extra(row, key), kind=Kind.NOT_JUDGED, reason=reason)
