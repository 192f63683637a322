"""Flow 4: what a channel cancelled by itself is cancelled in Omnitron. A cancel states a total, never "one more"."""

import asyncio
import logging
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from order_integration.channels.commands import GetCancelledOrders
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import CancelOrderDto
from order_integration.errors import Reason, RecordError
from order_integration.flows import FETCH_ORDERS, pushing
from order_integration.flows.inbound import Inbound
from order_integration.flows.outcomes import Outcome, Result
from order_integration.flows.pushing import Pushing, items_of, pushed, set_apart
from order_integration.flows.reasons import FALLBACK, MAPPING, ReasonMapping
from order_integration.omnitron.cancels import Cancels, Flags, is_gone, is_shipped, is_waiting, waits_for_a_plan
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.omnitron.orders import orders_by_pk
from order_integration.staging import Ended, Places, key_digest

LONGEST_CODE = 100  # characters of the channel's reason that a report quotes

log = logging.getLogger(__name__)
Row = dict[str, Any]
Item = pushing.Item[CancelOrderDto]
Linked = Mapping[str, list[Row]]  # integration actions by the channel's id


async def preflight(omnitron: Omnitron, channel: ChannelConfig) -> Row:  # noqa: ARG001
    """The mapping of reasons can be read, and so can the reason of those that nobody mapped.

    Raises ConfigurationError.
    """
    return {FALLBACK: (await _reasons(omnitron)).fallback}


async def _reasons(omnitron: Omnitron) -> ReasonMapping:
    return ReasonMapping.of((await omnitron.channel()).get("conf"))


def ties(dto: CancelOrderDto, found: Row) -> Iterator[Hashable]:  # noqa: ARG001
    """Omnitron takes one cancel of an order at a time."""
    yield dto.order


# What is left to do: plain functions --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Todo:
    """Items of an order that are to be cancelled now: pk → the channel's id; and why they are not all."""

    units: Mapping[int, str]
    waits: RecordError | None = None  # the rest has to wait
    is_first: bool = True  # none of the record's units is gone yet: what it says of the money has not been said


def todo_of(dto: CancelOrderDto, linked: Linked, rows: Mapping[int, Row]) -> Todo:
    """What is asked for, without what is cancelled already. `rows`: the order's items as they are now.

    An id that stands n times means n of its units in all, the lowest pk first. Raises RecordError where more are asked
    for than there are: whatever we cancelled would be a guess.
    """
    units: dict[int, str] = {}
    waits: RecordError | None = None
    is_first = True
    for remote_id, asked in Counter(dto.cancel_items).items():
        pks = sorted({int(action["object_id"]) for action in linked.get(remote_id, ())} & rows.keys())
        if not pks or len(pks) < asked <= _there(remote_id, rows):
            sentence = "an item of it is not linked with one of Omnitron yet"
            waits = RecordError(Reason.ITEM_UNKNOWN, "cancel_items", sentence)
            continue
        if asked > len(pks):
            sentence = f"{asked} units of an item are to be cancelled, and Omnitron has {len(pks)} of it"
            raise RecordError(Reason.CONFLICT, "cancel_items", sentence)
        open_ones = [pk for pk in pks if not is_gone(rows[pk])]
        is_first = is_first and open_ones == pks
        units |= dict.fromkeys(open_ones[: max(asked - (len(pks) - len(open_ones)), 0)], remote_id)
    return _of_one_kind(Todo(units, waits, is_first), rows)


def _there(remote_id: str, rows: Mapping[int, Row]) -> int:
    """How many items came with the channel's id, linked or not: flow 1 may still be linking them."""
    return sum((row.get("extra_field") or {}).get("id") == remote_id for row in rows.values())


def _of_one_kind(todo: Todo, rows: Mapping[int, Row]) -> Todo:
    """What is shipped and what is not can't be in one plan: what can still be stopped goes first."""
    in_house = {pk: remote_id for pk, remote_id in todo.units.items() if not is_shipped(rows[pk])}
    if in_house and len(in_house) < len(todo.units):
        return replace(todo, units=in_house, waits=waits_for_a_plan())
    return todo


def reasons_of(dto: CancelOrderDto, todo: Todo, mapping: ReasonMapping) -> dict[int, int]:
    """Pk of each item → pk of its reason in Omnitron.

    Raises RecordError that names a code which nobody mapped, where there is no fallback either.
    """
    return {pk: _reason(dto.reasons[remote_id], mapping) for pk, remote_id in todo.units.items()}


def _reason(code: str, mapping: ReasonMapping) -> int:
    found = mapping.to_omnitron(code)
    if found is None:
        found = mapping.fallback
    if found is None:
        sentence = f"{code[:LONGEST_CODE]!r} is not in {MAPPING} of the channel's conf, and there is no {FALLBACK}"
        raise RecordError(Reason.REASON_UNMAPPED, "reasons", sentence)
    return found


# push ---------------------------------------------------------------------------------------------------------------


async def push(ctx: Pushing, rows: list[Row]) -> list[Outcome]:
    """Cancel what is not cancelled yet."""
    items = items_of(CancelOrderDto, rows)
    actions = IntegrationActions(ctx.omnitron)
    orders = await actions.by_remote_id("order", (item.dto.order for item in items))
    units = await actions.by_remote_id("orderitem", (unit for item in items for unit in item.dto.cancel_items))
    known = await orders_by_pk(ctx.omnitron, (int(row["object_id"]) for found in orders.values() for row in found))
    desk = _Desk(
        Cancels(ctx.omnitron),
        await _reasons(ctx.omnitron),
        orders,
        units,
        known,
        Places.of(ctx.staging, ctx.channel.name, FETCH_ORDERS),
    )
    # An item is to be read just before it is cancelled, not long before.
    slots = asyncio.Semaphore(ctx.channel.limits.in_flight)

    async def push_one(item: Item) -> Outcome:
        async with slots:
            return await desk.push_one(item)

    return await pushed(ctx, items, push_one, "order")


@dataclass(frozen=True)
class _Desk:
    """One push task's work: the mapping, what is linked, the linked orders by pk, and the orders that waited."""

    cancels: Cancels
    mapping: ReasonMapping
    orders: Linked
    units: Linked
    known: Mapping[int, Row]
    waited: Places

    async def push_one(self, item: Item) -> Outcome:
        order = self._order(item.dto)
        if order is None:
            log.info("order %s was cancelled while it waited, and never created", key_digest(item.key))
            return Outcome(item.key, item.already_there, Ended.CANCELLED_AT_CHANNEL)
        pk = id_of(order)
        todo = todo_of(item.dto, self.units, await self.cancels.items(pk))
        links: tuple[Link, ...] = ()
        if todo.units:
            reasons = reasons_of(item.dto, todo, self.mapping)
            if is_waiting(order):
                raise waits_for_a_plan()
            # With the first plan alone, so that no money is given back twice.
            flags = Flags.of(item.dto) if todo.is_first else Flags()
            done = await self.cancels.cancel(pk, reasons, flags)
            links = tuple(_links(done.rows, todo)) if done.by_us else ()
        if todo.waits:
            return set_apart(item, todo.waits, links=links)
        return Outcome(item.key, Result.CREATED if links else item.already_there, links=links)

    def _order(self, dto: CancelOrderDto) -> Row | None:
        """The one order that is linked with the channel's id; None: it is not to be created any more.

        Raises RecordError where there is none yet, or where there are several.
        """
        pks = sorted({int(action["object_id"]) for action in self.orders.get(dto.order, ())} & self.known.keys())
        if not pks and self.waited.was_cancelled_at_channel(dto.order):
            return None
        if not pks:
            raise RecordError(Reason.ORDER_UNKNOWN, "order", "no order of Omnitron is linked with this id yet")
        if len(pks) > 1:
            raise RecordError(Reason.CONFLICT, "order", f"{len(pks)} orders of Omnitron are linked with this id")
        return self.known[pks[0]]


def _links(rows: Iterable[Row], todo: Todo) -> Iterator[Link]:
    """Of the items alone: the order's version decides what flow 2 offers (docs/decisions/0010-echo.md)."""
    for row in rows:
        yield Link("orderitem", id_of(row), todo.units[id_of(row)], str(row["modified_date"]))


SPEC = Inbound(
    name="fetch_and_create_cancel",
    command=GetCancelledOrders,  # type: ignore[type-abstract]
    dto=CancelOrderDto,
    content_type="order",
    push=push,
    ties=ties,
    preflight=preflight,
)
