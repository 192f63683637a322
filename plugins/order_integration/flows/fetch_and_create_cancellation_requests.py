"""Flow 6: what shoppers ask the channel to cancel, or to take back, becomes a cancellation request of each unit."""

import asyncio
import logging
from collections.abc import Hashable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from order_integration.channels.commands import GetCancellationRequests
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import GONE, CancellationRequestDto
from order_integration.errors import IntegrationError, Reason, RecordError, UnknownOutcomeError
from order_integration.flows import pushing
from order_integration.flows.inbound import Inbound
from order_integration.flows.outcomes import Outcome, Result
from order_integration.flows.pushing import Pushing, items_of, latest, pushed
from order_integration.flows.reasons import MAPPING, ReasonMapping
from order_integration.omnitron.cancellation_requests import (
    CREATED,
    DECIDED_AGAINST,
    KIND,
    MODIFIED,
    CancellationRequests,
    Marks,
    Wanted,
    link_of,
)
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.omnitron.order_items import OrderItems
from order_integration.staging import OPEN, Begun, OwedLinks, Waiting, key_digest

Row = dict[str, Any]
Item = pushing.Item[CancellationRequestDto]
FLOW = "fetch_and_create_cancellation_requests"
LONGEST_RUN = timedelta(days=1)

log = logging.getLogger(__name__)


async def preflight(omnitron: Omnitron, channel: ChannelConfig) -> Row:  # noqa: ARG001
    """The mapping of reasons can be read.

    Raises ConfigurationError.
    """
    ReasonMapping.of((await omnitron.channel()).get("conf"))
    return {}


def ties(dto: CancellationRequestDto, found: Row) -> Iterator[Hashable]:  # noqa: ARG001
    """Requests for units that share an id choose theirs one after the other."""
    yield "item", dto.order_item


def same(dto: CancellationRequestDto) -> Hashable:
    """What is asked for may not change; how it is explained may."""
    return dto.remote_id, dto.order_item, dto.cancellation_type


# push -----------------------------------------------------------------------------------------------------------------


async def push(ctx: Pushing, rows: list[Row]) -> list[Outcome]:
    """Create what is not there yet: once for each request and unit."""
    items = items_of(CancellationRequestDto, rows)
    desk = await _prepared(ctx, items)
    return await pushed(ctx, items, desk.push_one, "cancellation_request")


@dataclass
class _Known:
    """A request that is there already. `key`: of the record that it was made of, where that is known."""

    row: Row
    remote_id: str
    owed: Link | None = None  # what has to be linked yet
    key: str = ""  # its digest
    by_this_run: bool = False

    @property
    def order_item(self) -> int:
        """The unit it is about."""
        return int(self.row["order_item"])


async def _prepared(ctx: Pushing, items: list[Item]) -> "_Desk":
    """What one push task needs of Omnitron and of staging, read in bulk."""
    actions, requests = IntegrationActions(ctx.omnitron), CancellationRequests(ctx.omnitron)
    owed, run = OwedLinks(ctx.staging, ctx.channel.name, FLOW), key_digest(ctx.run)
    # Runs whose settle has not linked them yet, or never will. Read first: what is linked meanwhile is known twice.
    waiting = {
        link.pk: (name, link)
        for name, rows in sorted(owed.all().items(), key=lambda one: OF_RECORD in one[0])
        for link in (Link(**row) for row in rows)
    }
    units = await actions.by_remote_id("orderitem", (item.dto.order_item for item in items))
    wanted = {item.dto.remote_id for item in items}
    linked = {
        int(row["object_id"]): remote_id
        for remote_id, rows in (await actions.by_remote_id(KIND, wanted)).items()
        for row in rows
    }
    claims = linked | {pk: link.remote_id for pk, (_, link) in waiting.items() if link.remote_id in wanted}
    known = []
    for pk, row in (await requests.by_pk(claims)).items():
        name, link = waiting.get(pk, ("", None))
        _, of_record, key = name.removesuffix(".json").partition(OF_RECORD)
        is_owed = link if pk not in linked else None
        known.append(_Known(row, claims[pk], is_owed, key if of_record else "", by_this_run=run in name))
    return _Desk(
        ctx,
        requests,
        ReasonMapping.of((await ctx.omnitron.channel()).get("conf")),
        Begun(ctx.staging, ctx.channel.name, FLOW),
        owed,
        {remote_id: sorted(int(row["object_id"]) for row in rows) for remote_id, rows in units.items()},
        known,
        set(waiting),
    )


OF_RECORD = "-of-"  # in the name of a file of owed links: then the record's digest


@dataclass
class _Desk:
    """One push task's work. `units`: pks of the items by the channel's id; `claimed`: requests that are somebody's."""

    ctx: Pushing
    requests: CancellationRequests
    reasons: ReasonMapping
    begun: Begun
    owed: OwedLinks
    units: dict[str, list[int]]
    known: list[_Known]
    claimed: set[int]

    async def push_one(self, item: Item) -> Outcome:
        """There already, found again, or created."""
        units = self.units.get(item.dto.order_item)
        if not units:
            raise RecordError(Reason.ITEM_UNKNOWN, "order_item", "no item of Omnitron is linked with this id yet")
        if known := self._known_of(item, units):
            return self._there(item, known)
        begun = self.begun.get(item.key)
        if begun and (found := await self._found_again(begun)):
            return self._made(item, found, CREATED, by_this_run=begun["run"] == self._run)
        dto = await latest(self.ctx, GetCancellationRequests, item, same)  # type: ignore[type-abstract]
        if dto is None:
            log.warning("record %s is not in the channel any more; nothing is created", key_digest(item.key))
            self.begun.end(item.key)
            return Outcome(item.key, Result.UNCHANGED)
        if same(dto) != same(item.dto):
            raise RecordError(Reason.CONFLICT, "record", "the channel asks for something else under the same key now")
        return await self._create(item, await self._wanted(item, dto, units), begun)

    async def _wanted(self, item: Item, dto: CancellationRequestDto, units: list[int]) -> Wanted:
        reason = self.reasons.to_omnitron(dto.reason)
        if reason is None:
            sentence = f"{MAPPING} in the channel's conf has no reason for the code {dto.reason!r}"
            raise RecordError(Reason.REASON_UNMAPPED, "reason", sentence)
        return Wanted(await self._unit(item, units), dto.cancellation_type.value, reason, dto.description)

    @property
    def _run(self) -> str:
        return key_digest(self.ctx.run)

    def _known_of(self, item: Item, units: list[int]) -> _Known | None:
        """The record's own request. Records with one id for units that share theirs take one each."""
        mine = key_digest(item.key)
        found = [
            known
            for known in self.known
            if known.remote_id == item.dto.remote_id
            and known.order_item in units
            and (len(units) == 1 or self._key_of(known) in {"", mine})
        ]
        return min(found, key=lambda known: (known.key != mine, id_of(known.row)), default=None)

    def _key_of(self, known: _Known) -> str:
        known.key = known.key or self.begun.made_of(id_of(known.row))
        return known.key

    def _keep(self, item: Item, pk: int) -> None:
        """Of units with one id, this one's request is the record's from now on, whichever is read alone next time."""
        if len(self.units[item.dto.order_item]) > 1:
            self.begun.made(item.key, pk)

    def _there(self, item: Item, known: _Known) -> Outcome:
        by_this_run = known.by_this_run and known.key in {"", key_digest(item.key)}
        if not known.key:
            self._keep(item, id_of(known.row))
        self.begun.end(item.key)
        if known.owed is None:
            return Outcome(item.key, item.already_there)
        return Outcome(item.key, Result.CREATED if by_this_run else Result.ALREADY_THERE, links=(known.owed,))

    async def _found_again(self, begun: Row) -> Row | None:
        """What an earlier try, or a run that died, may have created without having been told.

        Raises RecordError where that is not clear.
        """
        found = await self.requests.unlinked(Marks(**begun["marks"]), datetime.fromisoformat(begun["first_try"]))
        found = [row for row in found if id_of(row) not in self.claimed]
        if len(found) > 1:
            sentence = (
                f"{len(found)} requests of Omnitron may be this one: link it with the right one, reject the other"
            )
            raise RecordError(Reason.AMBIGUOUS, "remote_id", sentence)
        return found[0] if found else None

    async def _unit(self, item: Item, units: list[int]) -> int:
        """Of units that share an id, the first that is still to be had and that nobody has asked for.

        A request that was rejected does not stand in the way where no other unit is left.
        """
        if len(units) == 1:
            return units[0]
        rows = await OrderItems(self.ctx.omnitron).by_pk(units)
        if len({row["order"] for row in rows.values()}) > 1:
            raise RecordError(Reason.AMBIGUOUS, "order_item", "items of several orders are linked with this id")
        asked = await self.requests.of_items(units)
        others = (note for note in self.begun.all() if note["key"] != item.key)
        begun = {note["marks"]["order_item"] for note in others if self._is_tried_again(note)}
        free = [pk for pk in sorted(rows) if rows[pk]["status"] not in GONE and pk not in begun]
        never = [pk for pk in free if pk not in asked]
        again = [pk for pk in free if all(row["status"] == DECIDED_AGAINST for row in asked.get(pk, []))]
        if not again:
            sentence = f"all {len(units)} units with this id are cancelled, or have a request already"
            raise RecordError(Reason.CONFLICT, "order_item", sentence)
        return (never or again)[0]

    def _is_tried_again(self, begun: Row) -> bool:
        """Whether a write that was begun has its unit still. What came of one that was given up is seen in Omnitron."""
        parked = Waiting.parked(self.ctx.staging, self.ctx.channel.name, FLOW).get(begun["key"])
        if begun["run"] == self._run or parked is None:  # its run is not settled yet, or never will be
            return datetime.fromisoformat(begun["first_try"]) > datetime.now(UTC) - LONGEST_RUN
        return bool(parked["state"] == OPEN)

    async def _create(self, item: Item, wanted: Wanted, begun: Row | None) -> Outcome:
        """Noted first. A lost answer is looked for at once, and again before the next try sends it once more.

        A slow server, which may still be at it, has as long again as an answer may take.
        """
        note = self.begun.begin(
            item.key,
            {
                "marks": asdict(wanted.marks),
                "first_try": begun["first_try"] if begun else datetime.now(UTC).isoformat(),
                "run": self._run,
            },
        )
        version = MODIFIED
        try:
            row = await self.requests.create(wanted, item.dto.remote_id)
        except UnknownOutcomeError as error:
            if error.timed_out:
                await asyncio.sleep(self.ctx.channel.limits.timeout.total_seconds())
            found = await self._found_again(note)
            if found is None:
                raise
            row, version = found, CREATED
        except IntegrationError:
            if not begun:  # surely nothing was written
                self.begun.end(item.key)
            raise
        return self._made(item, row, version, by_this_run=True)

    def _made(self, item: Item, row: Row, version: str, *, by_this_run: bool) -> Outcome:
        """The link is owed before the note goes: whatever happens now, the request is known."""
        link = link_of(row, item.dto.remote_id, version)
        key = key_digest(item.key)
        self._keep(item, link.pk)
        self.owed.owe(f"{self._run}{OF_RECORD}{key}", [asdict(link)])
        self.claimed.add(link.pk)
        self.known.append(_Known(row, link.remote_id, link, key, by_this_run))
        self.begun.end(item.key)
        return Outcome(item.key, Result.CREATED if by_this_run else Result.ALREADY_THERE, links=(link,))


SPEC = Inbound(
    name=FLOW,
    command=GetCancellationRequests,  # type: ignore[type-abstract]
    dto=CancellationRequestDto,
    content_type=KIND,
    push=push,
    ties=ties,
    same=same,
    preflight=preflight,
    # Nothing in Omnitron refuses a second request: two tasks at once could both find none.
    one_chunk=True,
)
