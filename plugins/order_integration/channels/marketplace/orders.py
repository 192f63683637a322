"""Reading orders: the window on their modification, a page at a time."""

from collections.abc import AsyncIterator
from datetime import datetime

from order_integration.channels.commands import SLIPS, GetOrders, Record, WindowOn
from order_integration.channels.marketplace.mapping import moment, order_dto
from order_integration.channels.marketplace.reading import Query, WindowReader, read, shaped_like
from order_integration.channels.marketplace.units import units_in_order
from order_integration.dto import ChannelCreateOrderDto, OrderState


class MarketplaceGetOrders(WindowReader, GetOrders):
    """Flow 1. Cancelled orders are read too: their cancel, which is flow 4's, needs something to cancel."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """The marketplace's id; the number that people see may come twice."""
        return "" if record["orderId"] is None else str(record["orderId"])

    def record_time(self, record: Record) -> datetime:
        """The last change of the order."""
        return moment(record["changedAtMs"])

    async def send_request(self, data: list[Query]) -> AsyncIterator[list[Record]]:
        """Pages as they come."""
        async for page in self.listed("orders", data):
            yield page

    async def get_by_key(self, key: str) -> Record | None:
        """The order as it is now."""
        return await read(self.http, "api/orders/{}", key)

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        """One order."""
        with shaped_like("order"):
            return order_dto(response, self.settings)

    def order_state(self, record: Record) -> OrderState | None:
        """That of its units; None where one of them can't be read."""
        try:
            states = [OrderState(unit.state.lower()) for unit in units_in_order(record).values()]
        except SLIPS:
            return None
        return OrderState.of(states) if states else None
