"""Reading orders: the window on their creation, a page at a time, each order as it was placed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from order_integration.channels.commands import SLIPS, GetOrders, Record, Window, WindowOn
from order_integration.channels.medusa.mapping import order_dto
from order_integration.channels.medusa.reading import (
    Query,
    checked_window,
    one,
    orders_within,
    pages_by_id,
)
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.units import quantity
from order_integration.dto import ChannelCreateOrderDto, OrderState
from order_integration.errors import ContractError

# Only what is used: fewer people's data travel, and Medusa's own choice of fields has no e-mail and no address.
FIELDS = ",".join(
    (
        *("id", "display_id", "status", "version", "email", "currency_code", "created_at", "updated_at", "locale"),
        *("total", "customer.id", "customer.email", "customer.first_name", "customer.last_name", "customer.phone"),
        *("*items", "*items.detail", "*shipping_methods", "*shipping_address", "*billing_address"),
    )
)
# Every edit, shipment and return of an order makes a new version of it, with other quantities and another total. The
# first one is imported, whenever it is read: an edit is a cancel of units, and that is flow 4's.
PLACED = 1
NOW = "now"  # in a record of a later version: how far it is by now
CANCELED = "canceled"
# A line counts its units by how far they came, each of them on all its steps.
STEPS = {
    "shipped_quantity": OrderState.SHIPPED,
    "delivered_quantity": OrderState.DELIVERED,
    "return_received_quantity": OrderState.RETURNED,
}


class MedusaGetOrders(GetOrders):
    """Flow 1. Cancelled orders are read too: their cancel, which is flow 4's, needs something to cancel."""

    window_on = WindowOn.CREATION

    def record_time(self, record: Record) -> datetime:
        """When the cart became an order."""
        return datetime.fromisoformat(record["created_at"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        return checked_window(data)

    def transform_data(self, data: Window) -> Query:
        """The window as Medusa's filters."""
        return orders_within("created_at", data, self, FIELDS)

    async def send_request(self, data: Query) -> AsyncIterator[list[Record]]:
        """Pages by keyset, with one more call for each order that is no longer as it was placed."""
        async for page in pages_by_id(self.http, "orders", data):
            yield await asyncio.gather(*(self._as_placed(order) for order in page))

    async def get_by_key(self, key: str) -> Record | None:
        """The order as it was placed, and how far it is."""
        order = await one(self.http, "orders", key, {"fields": FIELDS})
        return None if order is None else await self._as_placed(order)

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        """One order; what has another shape than an order is refused by name, not by accident."""
        with shaped_like("an order"):
            return order_dto(response, self.settings)

    def order_state(self, record: Record) -> OrderState | None:
        """That of the lines that were placed; the first version itself says no more than whether it was cancelled."""
        try:
            now = record.get(NOW) or record
            if now["status"] == CANCELED:
                return OrderState.CANCELLED
            if NOW not in record or not record["items"]:
                return OrderState.OPEN
            lines = {line["id"]: line for line in now["items"]}
            return OrderState.of(state for line in record["items"] for state in _states(lines.get(line["id"])))
        except SLIPS:
            return None

    async def _as_placed(self, order: Record) -> Record:
        if order.get("version", PLACED) == PLACED:
            return order
        placed = await one(self.http, "orders", str(order["id"]), {"fields": FIELDS, "version": PLACED})
        if placed is None:
            raise ContractError("Medusa lists an order that it does not know", order=order["id"])
        lines = [_counts(line) for line in order.get("items") or []]
        return {**placed, NOW: {"status": order.get("status"), "items": lines}}


def _counts(line: Record) -> Record:
    detail = line.get("detail") or {}
    return {"id": line.get("id"), "quantity": line.get("quantity"), **{name: detail.get(name, 0) for name in STEPS}}


def _states(line: Record | None) -> Iterator[OrderState]:
    """Of a line's units, each that there is; a line, or a unit, that an edit took away has none."""
    if line is None or not quantity(line):
        return
    left = quantity(line)
    for name, state in reversed(STEPS.items()):
        if (many := quantity(line, name)) > quantity(line) - left:
            yield state
            left = quantity(line) - many
    if left:
        yield OrderState.OPEN
