"""Where one order stands: what differs is looked into until it is clear whether anybody has to hear of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from order_integration.channels.commands import SLIPS, GetOrders
from order_integration.dto import ChannelCreateOrderDto, OrderState
from order_integration.errors import RecordError
from order_integration.flows import FETCH_ORDERS
from order_integration.flows.comparing import GONE, differences, has_plan, is_ahead, is_same, state_of
from order_integration.flows.reconciliation import Finding, Kind, What
from order_integration.flows.transforming import Entry
from order_integration.omnitron.cancellation_requests import DECIDED_AGAINST, KIND, CancellationRequests
from order_integration.omnitron.client import Memo, Omnitron, Row, id_of
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.omnitron.order_items import OrderItems
from order_integration.omnitron.orders import order_by_number
from order_integration.staging import OPEN, Ended, OwedLinks, Places, Staging

CANCELS, NEWS = "fetch_and_create_cancel", "fetch_and_update_order_items"
MISSING = "missing"  # the reason of what is parked to be fetched
# What a link says of the last job that its order was in.
UNDER_WAY, FAILED = "processing", "error"
COMPLETED = "completed"
DUE, REQUEST, PLAN, LINK_OWED, YOUNG = "due", "request", "cancel_waiting", "link_owed", "it changed just now"
TOO_OLD = "it was placed before active_from"

Found = Entry[ChannelCreateOrderDto]


@dataclass(frozen=True)
class Known:
    """Omnitron's orders that are linked with one id of the channel, and the links, by pk."""

    rows: Mapping[int, Row]
    links: Mapping[int, Row]


@dataclass
class Judge:
    """Of one reconciliation. `until`: what changed later, on either side, is not judged.

    `since`: nobody misses what was placed earlier, though it changed since. `run`: what an earlier try of it parked as
    missing is missing still, so that every try says the same.
    """

    omnitron: Omnitron
    command: GetOrders
    staging: Staging
    channel: str
    until: datetime
    since: datetime
    run: str = ""
    _offered: Memo[str, set[int]] = field(default_factory=Memo, init=False)

    async def of(self, remote_id: str, entry: Found, known: Known) -> Finding | None:
        """None: both sides agree."""
        number = entry.dto.order.number if entry.dto else ""
        finding = Finding(entry.key, Kind.TWICE, number, tuple(sorted(known.rows)))
        if not known.rows:
            return await self._absent(finding, remote_id, entry)
        if len(known.rows) > 1:
            return finding
        [(pk, row)] = known.rows.items()
        differing = differences(row, entry.dto) if entry.dto else {}
        words = [(what, *both) for what, both in differing.items()]
        reason = self.open_reason(FETCH_ORDERS, entry.key) if differing else ""
        kind = Kind.WAITING if reason else Kind.DIFFERENT
        is_known = not differing or reason
        if is_known and (status := await self._status(remote_id, entry, row, known.links[pk])):
            kind, reason, theirs, ours = status
            words = [(What.STATUS, theirs, ours)]
        if not words:
            return None
        if kind is Kind.DIFFERENT and self._is_young(entry, row):
            kind, reason = Kind.NOT_JUDGED, YOUNG
        what, at_channel, here = zip(*words, strict=True)
        said: dict[str, Any] = {"what": what, "channel": ", ".join(at_channel), "omnitron": ", ".join(here)}
        return replace(finding, kind=kind, reason=reason, **said)

    def open_reason(self, flow: str, key: str) -> str:
        """Why a key waits in a flow, in quarantine or parked; empty where it does not."""
        places = Places.of(self.staging, self.channel, flow)
        rows = [place.get(key) for place in (places.quarantine, places.parked)]
        return next((str(row["reason"]) for row in rows if row and row["state"] == OPEN and not self._is_own(row)), "")

    def _is_own(self, row: Row) -> bool:
        return bool(self.run) and row["reason"] == MISSING and row["first_run"] == self.run

    # not in Omnitron -------------------------------------------------------------------------------------------------

    async def _absent(self, finding: Finding, remote_id: str, entry: Found) -> Finding:
        if reason := self.open_reason(FETCH_ORDERS, entry.key) or self._end(entry):
            return replace(finding, kind=Kind.WAITING, reason=reason)
        if self._is_young(entry):
            return replace(finding, kind=Kind.NOT_JUDGED, reason=YOUNG)
        can_be_asked = self.command.can_get_by_key() and not self.command.is_without_id(entry.key)
        finding = replace(finding, kind=Kind.MISSING, record=None if can_be_asked else entry.record)
        row = await self._unlinked(remote_id, finding.number)
        if row is None:
            is_older = entry.dto is not None and entry.dto.order.created_at < self.since
            return replace(finding, kind=Kind.NOT_JUDGED, reason=TOO_OLD, record=None) if is_older else finding
        finding = replace(finding, kind=Kind.DIFFERENT, what=(What.LINK,), pks=(id_of(row),))
        if remote_id in self._owed:
            return replace(finding, kind=Kind.WAITING, reason=LINK_OWED)
        return replace(finding, kind=Kind.NOT_JUDGED, reason=YOUNG) if self._is_young(entry, row) else finding

    def _end(self, entry: Found) -> str:
        """Why it waits no longer without being in Omnitron, where that was somebody's decision."""
        places = Places.of(self.staging, self.channel, FETCH_ORDERS)
        rows = [place.get(entry.key) for place in (places.quarantine, places.parked)]
        ended = {row["state"] for row in rows if row}
        if Ended.RESOLVED in ended:
            return Ended.RESOLVED.value
        is_cancelled = self._state(entry) in {OrderState.CANCELLED, None}
        return Ended.CANCELLED_AT_CHANNEL.value if is_cancelled and Ended.CANCELLED_AT_CHANNEL in ended else ""

    async def _unlinked(self, remote_id: str, number: str) -> Row | None:
        """The order itself, without its link: a run died, or somebody removed it."""
        try:
            row = await order_by_number(self.omnitron, number) if number else None
        except RecordError:  # several have this number: whichever it is, flow 1 says so
            return None
        return row if row and str((row.get("extra_field") or {}).get("id")) == remote_id else None

    @cached_property
    def _owed(self) -> set[str]:
        """Orders whose links a settle still has to write, by the channel's id."""
        owed = OwedLinks(self.staging, self.channel, FETCH_ORDERS).all().values()
        return {str(link["remote_id"]) for links in owed for link in links if link["content_type"] == "order"}

    # in Omnitron -----------------------------------------------------------------------------------------------------

    async def _status(self, remote_id: str, entry: Found, row: Row, link: Row) -> tuple[Kind, str, str, str] | None:
        """The kind, why, and both sides' words; None where they agree, or the connector can't tell."""
        theirs = self._state(entry)
        if theirs is None:
            return None
        # Whatever happens to an item moves its order's date; flow 2 relies on it, too.
        if row["modified_date"] == row["created_date"] and is_same(state_of([str(row["status"])]), theirs):
            return None
        items = await OrderItems(self.omnitron).of_order(id_of(row))
        ours = state_of(str(item["status"]) for item in items.values())
        if is_same(ours, theirs):
            return None
        kind, reason = await self._why(remote_id, row, link, items, ours, theirs)
        return kind, reason, theirs.value, ours.value

    async def _why(
        self, key: str, row: Row, link: Row, items: Mapping[int, Row], ours: OrderState, theirs: OrderState
    ) -> tuple[Kind, str]:
        if reason := self.open_reason(CANCELS, key):
            return Kind.WAITING, reason
        ahead = is_ahead(ours, theirs)
        if not ahead and (reason := self._waiting_news(key, items)):
            return Kind.WAITING, reason
        if has_plan(str(item["status"]) for item in items.values()):
            return Kind.ON_ITS_WAY, PLAN
        if {ours, theirs} & GONE and await self._has_request(items):
            return Kind.ON_ITS_WAY, REQUEST
        if ahead and await self._is_due(row, link):
            return Kind.ON_ITS_WAY, DUE
        return Kind.DIFFERENT, ""

    def _waiting_news(self, key: str, items: Mapping[int, Row]) -> str:
        """Flow 5 keys its records by the item, or by order and item."""
        units = [str((item.get("extra_field") or {}).get("id")) for item in items.values()]
        keys = [name for unit in units for name in (unit, f"{key}|{unit}")]
        return next((reason for name in keys if (reason := self.open_reason(NEWS, name))), "")

    async def _has_request(self, items: Mapping[int, Row]) -> bool:
        """Whether a cancel or return of an item is asked for, and Omnitron or the channel has not heard all of it."""
        found = await CancellationRequests(self.omnitron).of_items(items)
        rows = [row for some in found.values() for row in some if row["status"] != DECIDED_AGAINST]
        links = await IntegrationActions(self.omnitron).by_object(KIND, map(id_of, rows)) if rows else {}
        told = [row for row in rows if row["status"] == COMPLETED and id_of(row) in links]
        return len(told) < len(rows) or any(
            _is_news(row, links[id_of(row)]) or links[id_of(row)]["status"] in {UNDER_WAY, FAILED} for row in told
        )

    async def _is_due(self, row: Row, link: Row) -> bool:
        """Whether the channel will be told, or is being told; what failed may be offered again, or not any more."""
        if _is_news(row, link) or link["status"] == UNDER_WAY:
            return True
        return link["status"] == FAILED and id_of(row) in await self._offered.get(DUE, self._read_offered)

    async def _read_offered(self) -> set[int]:
        path = self.omnitron.at("orders/updates/")
        return {id_of(row) async for page in self.omnitron.pages(path, {}, sort=None) for row in page}

    def _state(self, entry: Found) -> OrderState | None:
        try:
            return self.command.order_state(entry.record)
        except SLIPS:
            return None

    def _is_young(self, entry: Found, row: Row | None = None) -> bool:
        moments = [entry.time, entry.dto.order.modified_at if entry.dto and row else None]
        moments += [datetime.fromisoformat(row["modified_date"])] if row else []
        return any(moment is not None and moment >= self.until for moment in moments)


def _is_news(row: Row, link: Row) -> bool:
    """Whether the channel was told of an object, if at all, as it was before."""
    told = link.get("version_date")
    return told is None or datetime.fromisoformat(row["modified_date"]) > datetime.fromisoformat(told)
