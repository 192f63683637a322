"""Flow 5: what a channel knows first of an item (its status, invoice, tracking) is brought to the items of Omnitron."""

import asyncio
import logging
from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

from order_integration.channels.commands import GetUpdatedOrderItems
from order_integration.dto import ChannelUpdateOrderItemDto
from order_integration.errors import Reason, RecordError
from order_integration.flows import FETCH_ORDERS, pushing
from order_integration.flows.inbound import Inbound
from order_integration.flows.outcomes import Outcome, Result
from order_integration.flows.pushing import Pushing, items_of, latest, pushed, set_apart
from order_integration.omnitron.client import Memo, id_of
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.omnitron.order_items import OrderItems, learnt
from order_integration.staging import Places, Said, key_digest

# Records under way at once: an item is to be read just before it is changed, not long before.
AT_ONCE = 16
KIND = "orderitem"
FLOW = "fetch_and_update_order_items"

log = logging.getLogger(__name__)
Row = dict[str, Any]
Item = pushing.Item[ChannelUpdateOrderItemDto]


def ties(dto: ChannelUpdateOrderItemDto, found: Row) -> Iterator[Hashable]:  # noqa: ARG001
    """An order's items are read together."""
    yield ("order", dto.order_remote_id) if dto.order_remote_id else ("item", dto.remote_id)


def same(dto: ChannelUpdateOrderItemDto) -> Hashable:
    """An id may be one only within its order: news of two orders are no two versions."""
    return dto.order_remote_id


# push -----------------------------------------------------------------------------------------------------------------


async def push(ctx: Pushing, rows: list[Row]) -> list[Outcome]:
    """Change what differs, and nothing else."""
    items = items_of(ChannelUpdateOrderItemDto, rows)
    actions = IntegrationActions(ctx.omnitron)
    orders = await actions.by_remote_id(
        "order", (item.dto.order_remote_id for item in items if item.dto.order_remote_id)
    )
    units = await actions.by_remote_id(KIND, (item.dto.remote_id for item in items))
    said = Said(ctx.staging, ctx.channel.name, FLOW)
    desk = _Desk(ctx, OrderItems(ctx.omnitron, key_digest(ctx.run)), said, _pks(orders), _pks(units))
    return await pushed(ctx, items, desk.push_one, "order_item")


def _pks(actions: dict[str, list[Row]]) -> dict[str, set[int]]:
    return {remote_id: {int(row["object_id"]) for row in rows} for remote_id, rows in actions.items()}


@dataclass
class _Desk:
    """One push task's work. `orders`, `units`: what is linked with the channel's ids."""

    ctx: Pushing
    items: OrderItems
    said: Said
    orders: dict[str, set[int]]
    units: dict[str, set[int]]
    _read: Memo[int, dict[int, Row]] = field(default_factory=Memo)
    _slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    async def push_one(self, item: Item) -> Outcome:
        """Every item that is linked with the id."""
        if self._is_over(item.dto):
            log.info("the order of %s was cancelled while it waited, and never created", key_digest(item.key))
            return Outcome(item.key, Result.UNCHANGED)
        async with self._slots:
            dto = await latest(self.ctx, GetUpdatedOrderItems, item, same)  # type: ignore[type-abstract]
            if dto is None:
                log.warning("record %s is not in the channel any more; nothing is changed", key_digest(item.key))
                return Outcome(item.key, Result.UNCHANGED)
            links: list[Link] = []
            try:
                for row in await self._linked(item.dto):
                    changed = await self._change(row, dto, item.key)
                    # What an earlier try of this run changed is to be named, too.
                    if changed or self.items.was_changed(row):
                        links.append(_link(changed or row, dto.remote_id))
            except RecordError as error:
                return set_apart(item, error, links=tuple(links))
        return Outcome(item.key, Result.UPDATED if links else Result.UNCHANGED, links=tuple(links))

    def _is_over(self, dto: ChannelUpdateOrderItemDto) -> bool:
        """Whether the order will never be there: there is nothing to wait for."""
        order = dto.order_remote_id
        if not order or self.orders.get(order):
            return False
        return Places.of(self.ctx.staging, self.ctx.channel.name, FETCH_ORDERS).was_cancelled_at_channel(order)

    async def _change(self, row: Row, dto: ChannelUpdateOrderItemDto, key: str) -> Row | None:
        """What the channel said is remembered of each item: another one of the id may not be linked, or changed yet."""
        name = f"{key}|{id_of(row)}"
        said = self.said.get(name)
        changed = await self.items.change(row, dto, said)
        now = learnt(row, changed, dto, said)
        if now != said:
            self.said.put(name, now)
        return changed

    async def _linked(self, dto: ChannelUpdateOrderItemDto) -> list[Row]:
        """The items, as they are now.

        Raises RecordError where there is none yet.
        """
        order, pks = self._order(dto), self.units.get(dto.remote_id, set())
        if order is None or not pks:
            rows = await self.items.by_pk(pks)
        else:
            of_order = await self._read.get(order, lambda: self.items.of_order(order))
            rows = {pk: row for pk, row in of_order.items() if pk in pks}
        if not rows:
            raise RecordError(Reason.ITEM_UNKNOWN, "remote_id", "no item of Omnitron is linked with this id yet")
        return [rows[pk] for pk in sorted(rows)]

    def _order(self, dto: ChannelUpdateOrderItemDto) -> int | None:
        if dto.order_remote_id is None:
            return None
        found = sorted(self.orders.get(dto.order_remote_id, ()))
        if not found:
            sentence = "no order of Omnitron is linked with this id yet"
            raise RecordError(Reason.ORDER_UNKNOWN, "order_remote_id", sentence)
        if len(found) > 1:
            sentence = f"{len(found)} orders of Omnitron are linked with this id"
            raise RecordError(Reason.AMBIGUOUS, "order_remote_id", sentence)
        return found[0]


def _link(row: Row, remote_id: str) -> Link:
    return Link(KIND, id_of(row), remote_id, str(row["modified_date"]))


SPEC = Inbound(
    name=FLOW,
    command=GetUpdatedOrderItems,  # type: ignore[type-abstract]
    dto=ChannelUpdateOrderItemDto,
    content_type="order",
    push=push,
    ties=ties,
    same=same,
    # Two runs that change an item at the same time could not tell which of them has the newer news.
    one_chunk=True,
)
