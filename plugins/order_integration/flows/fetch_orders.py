"""Flow 1: orders of a channel become orders in Omnitron."""

from collections import Counter
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from order_integration.channels.commands import SLIPS, GetOrders, OrderState, ReadCommand, Record
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import Reason, RecordError
from order_integration.flows import FETCH_ORDERS, pushing
from order_integration.flows.inbound import Inbound
from order_integration.flows.outcomes import Outcome, Result
from order_integration.flows.pushing import Pushing, items_of, pushed, set_apart, shown_again
from order_integration.flows.transforming import Entry
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.customers import Addresses, Customers, identifier_of
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.omnitron.lookups import Lookups
from order_integration.omnitron.orders import Orders, is_ours
from order_integration.staging import Places, key_digest

Row = dict[str, Any]
Item = pushing.Item[ChannelCreateOrderDto]


async def preflight(omnitron: Omnitron, channel: ChannelConfig) -> Row:
    """The catalog is there; which field a customer is found by.

    Raises ConfigurationError.
    """
    await omnitron.catalog(channel.catalog_id)
    return {"identifier": identifier_of(await omnitron.channel())}


def ties(dto: ChannelCreateOrderDto, found: Row) -> Iterator[Hashable]:
    """What makes two buyers one customer of Omnitron: the field it is found by, and what is unique there."""
    customer = dto.order.customer
    yield "email", customer.email.casefold()
    yield "channel_code", customer.channel_code
    # Marketplaces give many buyers one relay number: a tie only where it identifies.
    if found["identifier"] == "phone_number" and customer.phone_number:
        yield "phone_number", customer.phone_number


def second_of_a_number(entries: list[Entry[ChannelCreateOrderDto]]) -> set[str]:
    """Of two orders with one number in a run the earlier keeps it, whichever task would have been faster.

    Push refuses the other one, unless it was linked by an earlier run: then the number is its own.
    """
    first: dict[str, str] = {}
    found = sorted((entry.dto.order.created_at, entry.key, entry.dto.order.number) for entry in entries if entry.dto)
    return {key for _, key, number in found if first.setdefault(number, key) != key}


def is_cancelled(command: ReadCommand[ChannelCreateOrderDto], record: Record) -> bool:
    """What the channel cancelled as a whole; a connector that does not say creates it, and flow 4 cancels it."""
    try:
        return isinstance(command, GetOrders) and command.order_state(record) is OrderState.CANCELLED
    except SLIPS:
        return False


# push -----------------------------------------------------------------------------------------------------------------


async def push(ctx: Pushing, rows: list[Row]) -> list[Outcome]:
    """Create what is not there yet, many at a time; one customer's orders one after the other."""
    orders = await _prepared(ctx)
    items = sorted(items_of(ChannelCreateOrderDto, rows), key=lambda item: (_as_of(item), item.key))
    known = await _known(orders, items)
    new = [item for item in items if item.key not in known.rows]
    await orders.lookups.read_products(unit.product for item in new for unit in item.dto.order_item)
    # What was said of a buyer last counts from the start, so that nothing older is written in between.
    said = {_buyer(item): _as_of(item) for item in items}

    async def push_one(item: Item) -> Outcome:
        return await (
            _check(orders, item, known)
            if item.key in known.rows
            else _create(ctx, orders, item, known, said[_buyer(item)])
        )

    return await pushed(ctx, items, push_one, "order")


async def _prepared(ctx: Pushing) -> Orders:
    """What one push task needs of Omnitron, read once."""
    identifier = identifier_of(await ctx.omnitron.channel())
    lookups = Lookups(ctx.omnitron)
    return Orders(
        ctx.omnitron,
        lookups,
        Customers(ctx.omnitron, identifier),
        Addresses(ctx.omnitron, lookups),
        await ctx.omnitron.catalog(ctx.channel.catalog_id),
        key_digest(ctx.run),
    )


def _as_of(item: Item) -> datetime:
    """The channel's time of this news."""
    return item.dto.order.modified_at or item.dto.order.created_at


def _buyer(item: Item) -> str:
    return item.dto.order.customer.model_dump_json()


@dataclass(frozen=True)
class _Known:
    """What is linked: orders by key, the keys of those whose items surely are, too, and ids of several orders."""

    rows: dict[str, Row]
    whole: set[str]
    ambiguous: set[str]


async def _known(orders: Orders, items: list[Item]) -> _Known:
    """Read in bulk. Items are looked at as well: another client may have linked an order alone."""
    actions = IntegrationActions(orders.omnitron)
    found = await actions.by_remote_id("order", (item.dto.order.remote_id for item in items))
    pks = {remote_id: int(rows[0]["object_id"]) for remote_id, rows in found.items() if len(rows) == 1}
    rows = await orders.by_pk(pks.values())
    known = [item for item in items if pks.get(item.dto.order.remote_id) in rows]
    units = Counter(unit.remote_id for item in known for unit in item.dto.order_item)
    linked = await actions.by_remote_id("orderitem", units)
    # Another client may have linked an order alone, and an id may be one only within its order.
    sure = {remote_id for remote_id, count in units.items() if len(linked.get(remote_id, ())) == count}
    whole = {
        item.key
        for item in known
        if is_ours(rows[pks[item.dto.order.remote_id]]) and {unit.remote_id for unit in item.dto.order_item} <= sure
    }
    ambiguous = {remote_id for remote_id, rows in found.items() if len(rows) > 1}
    return _Known({item.key: rows[pks[item.dto.order.remote_id]] for item in known}, whole, ambiguous)


async def _check(orders: Orders, item: Item, known: _Known) -> Outcome:
    """Linked by an earlier run."""
    row = known.rows[item.key]
    await orders.check_same(row, item.dto)
    if item.key in known.whole:
        return Outcome(item.key, item.already_there)
    missing = await IntegrationActions(orders.omnitron).missing(await orders.links(row))
    return Outcome(item.key, item.already_there, links=tuple(missing))


async def _is_over(ctx: Pushing, item: Item) -> bool:
    """Whether the channel cancelled what waited, as this run read it or since.

    Another run may have held it meanwhile and have closed it: then its cancel is settled, and nothing would stop it.
    """
    if item.cancelled or not (item.waited or ctx.try_number > 1):
        return item.cancelled
    if Places.of(ctx.staging, ctx.channel.name, SPEC.name).was_cancelled_at_channel(item.key, item.read_at):
        return True
    command = ctx.connector.command(GetOrders)  # type: ignore[type-abstract]
    asks = item.waited and ctx.try_number > 1 and command.can_get_by_key() and not command.is_without_id(item.key)
    record = await shown_again(command, item) if asks else None
    return record is not None and is_cancelled(command, record)


async def _create(ctx: Pushing, orders: Orders, item: Item, known: _Known, as_of: datetime) -> Outcome:
    order, there = item.dto.order, None
    if order.remote_id in known.ambiguous:
        raise RecordError(Reason.CONFLICT, "order.remote_id", "several orders of Omnitron are linked with this id")
    if await _is_over(ctx, item):
        # One whose creation got no answer is there: it is linked, and flow 4 cancels it.
        there = await orders.find(item.dto)
        if there is None:
            return Outcome(item.key, Result.CANCELLED_AT_CHANNEL)
    if item.marked:
        raise RecordError(Reason.NUMBER_TAKEN, "order.number", "this number belongs to another order of the channel")
    created = there or await orders.create(item.dto, as_of)
    links = tuple(await orders.links(created.row, answered=created.answered))
    try:
        await orders.check_same(created.row, item.dto)
    except RecordError as error:  # the order is ours and stays linked; its other content waits for a person
        return set_apart(item, error, links=links)
    result = Result.CREATED if created.by_this_run else Result.ALREADY_THERE
    return Outcome(item.key, result, links=links, cuts=item.cuts)


SPEC = Inbound(
    name=FETCH_ORDERS,
    command=GetOrders,  # type: ignore[type-abstract]
    dto=ChannelCreateOrderDto,
    content_type="order",
    push=push,
    ties=ties,
    same=ChannelCreateOrderDto.fingerprint,
    preflight=preflight,
    marks=second_of_a_number,
    is_cancelled=is_cancelled,
)
