"""What the suite's tests share: the connector's commands at work, and the orders that were placed for them."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from order_integration.channels.commands import (
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    ReadCommand,
    Record,
    Window,
)
from order_integration.conformance.bench import Bench, NotCovered, Placed
from order_integration.dto import CancellationType, ChannelCreateOrderDto, Dto
from order_integration.flows.transforming import Entry, entries_of

Read = ReadCommand[Any]
T = TypeVar("T")
LARGE = 100
AROUND = timedelta(days=1)


def done(bench: Bench, kind: type[Any], action: Callable[[Any], Awaitable[T]], **own: Any) -> T:
    """What `action` makes of the connector's command of a kind.

    Raises NotCovered where the connector has none.
    """

    async def opened() -> T:
        async with bench.connector(**own) as connector:
            if inspect.isabstract(kind) and not any(issubclass(command, kind) for command in connector.commands):
                raise NotCovered(f"the connector has no {kind.__name__}")
            return await action(connector.command(kind))

    return asyncio.run(opened())


def pages_of(bench: Bench, kind: type[Any], window: Window, page_size: int = LARGE) -> list[list[Record]]:
    """A window, a page at a time."""

    async def read(command: Read) -> list[list[Record]]:
        return [page async for page in command.pages(window)]

    return done(bench, kind, read, page_size=page_size)


def entries(bench: Bench, kind: type[Any], window: Window) -> list[Entry[Dto]]:
    """A window as a flow has it: an entry a key."""
    rows = [row for page in pages_of(bench, kind, window) for row in page]
    return entries_from(bench, kind, rows)


def entries_from(bench: Bench, kind: type[Any], rows: Iterable[Record]) -> list[Entry[Dto]]:
    """Raw records as a flow reads them."""
    found = list(rows)
    return done(bench, kind, lambda command: entries_of(command, found, any_two))


def any_two(dto: Dto) -> bool:  # noqa: ARG001
    """Versions of a record never contradict each other; whether they may is not the suite's to judge."""
    return True


@dataclass
class Order:
    """One that was placed, as the connector reads it."""

    placed: Placed
    dto: ChannelCreateOrderDto

    @property
    def key(self) -> str:
        return self.placed.key

    @property
    def items(self) -> list[str]:
        return [str(item.remote_id) for item in self.dto.order_item]

    @property
    def window(self) -> Window:
        return around(self.placed.at)


def around(moment: datetime) -> Window:
    """A window in which everything is that happens to an order during the suite."""
    return Window(moment - timedelta(seconds=1), moment + AROUND)


def placed(bench: Bench, units: int = 1) -> Order:
    """A new order, read from its window."""
    made = bench.place(units)
    found = {entry.key: entry for entry in entries(bench, GetOrders, around(made.at))}
    assert made.key in found, "an order that was placed is not in its window"
    dto = found[made.key].dto
    assert isinstance(dto, ChannelCreateOrderDto), f"an order that was placed can't be read: {found[made.key].error}"
    return Order(made, dto)


@dataclass
class Happened:
    """Records of one kind that came to be at the channel: how to tell them from others, and the window they are in."""

    kind: type[Any]
    about: set[str]
    window: Window

    def ours(self, dto: Dto | None) -> bool:
        return dto is not None and about(dto) in self.about

    def keys(self, bench: Bench) -> set[str]:
        """Of those that a flow would find now."""
        return {entry.key for entry in entries(bench, self.kind, self.window) if self.ours(entry.dto)}


def about(dto: Any) -> str:
    """The order or the item that a record is about."""
    if isinstance(dto, ChannelCreateOrderDto):
        return str(dto.order.remote_id)
    return str(next(value for name in ("order_item", "order", "remote_id") if (value := getattr(dto, name, None))))


def happened(bench: Bench, kind: type[Any], times: int) -> Happened:
    """Let so many records of a kind come to be, one after the other."""
    known = [command for command in bench.connector().commands if issubclass(command, kind)]
    if not known:
        raise NotCovered(f"the connector has no {kind.__name__}")
    first = placed(bench, units=2)
    orders = [first] + [placed(bench, units=2) for _ in range(times - 1)]
    if kind is GetOrders:
        return Happened(kind, {order.key for order in orders}, first.window)
    for order in orders:
        HAPPENINGS[kind](bench, order)
    names = {order.key if kind is GetCancelledOrders else order.items[touched(kind)] for order in orders}
    return Happened(kind, names, first.window)


def touched(kind: type[Any]) -> int:
    """Units are shipped from the front, and cancelled and returned from the back."""
    return 0 if kind is GetUpdatedOrderItems else -1


def _asks(bench: Bench, order: Order) -> None:
    try:
        bench.ask(order.key, [order.items[-1]], CancellationType.CANCEL)
    except NotCovered:
        bench.ask(order.key, [order.items[-1]], CancellationType.REFUND)


HAPPENINGS: dict[type[Any], Callable[[Bench, Order], None]] = {
    GetCancelledOrders: lambda bench, order: bench.cancel(order.key, [order.items[-1]]),
    GetUpdatedOrderItems: lambda bench, order: bench.news(order.key, order.items[0]),
    GetCancellationRequests: _asks,
}
