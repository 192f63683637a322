"""What the marketplace knows first about units: shipped, delivered, in which parcel, with which invoice."""

import re
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any

from order_integration.channels.commands import SLIPS, GetUpdatedOrderItems, Record, WindowOn
from order_integration.channels.marketplace.mapping import moment
from order_integration.channels.marketplace.reading import Query, WindowReader, read, shaped_like, told
from order_integration.channels.marketplace.units import UnitState, state_of, units_of
from order_integration.dto import UNIT_SEPARATOR, ChannelUpdateOrderItemDto, OrderStatus

# Of an open unit there is nothing to tell; a cancelled one is flow 4's, a returned one flow 6's and 7's.
NOTHING_TO_TELL = (UnitState.OPEN, UnitState.CANCELLED, UnitState.RETURNED)
STATUSES = {UnitState.SHIPPED: OrderStatus.SHIPPED, UnitState.DELIVERED: OrderStatus.DELIVERED}
LINE = re.compile(r"[A-Za-z0-9_-]{1,64}")


class MarketplaceGetUpdatedOrderItems(WindowReader, GetUpdatedOrderItems):
    """Flow 5. Of every order that changed, the units that left the house; a unit's key is its remote id."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """`<line>/<n>`."""
        return str(record["unit"])

    def record_time(self, record: Record) -> datetime:
        """The last change of the order; units have no time of their own."""
        return moment(record["changedAtMs"])

    async def send_request(self, data: list[Query]) -> AsyncIterator[list[Record]]:
        """A page of orders becomes a page of units."""
        async for page in self.listed("orders", data):
            if records := [record for order in page for record in _records(order)]:
                yield records

    async def get_by_key(self, key: str) -> Record | None:
        """The unit as it is now; None also where there is nothing to tell of it."""
        order = await read(self.http, "api/lines/{}", key.rpartition(UNIT_SEPARATOR)[0], LINE)
        return next((record for record in _records(order or {}) if self.key_of(record) == key), None)

    def normalize_response(self, response: Record) -> ChannelUpdateOrderItemDto:
        """Only what the marketplace knows is given; the rest stays as it is in Omnitron."""
        with shaped_like("order"):
            if "line" in response:  # it could not be read when the order was taken apart
                units_of(response["line"])
            known: dict[str, Any] = {"tracking_number": response["trackingNo"], "invoice_number": response["invoiceNo"]}
            return ChannelUpdateOrderItemDto(
                remote_id=response["unit"],
                order_remote_id=told(response, "orderId"),
                order_number=f"{self.settings.number_prefix}{told(response, 'orderNumber')}",
                status=STATUSES[state_of(response["state"])],
                modified_at=moment(response["changedAtMs"]),
                **{name: value for name, value in known.items() if value},
            )


def _records(order: Any) -> Iterator[Record]:
    """A line, or an order, that can't be read becomes one record, which will be refused by name."""
    if not isinstance(order, dict):
        yield {"line": order}
        return
    head = {name: order.get(name) for name in ("orderId", "orderNumber", "changedAtMs")}
    lines = order.get("lines") or []
    for line in lines if isinstance(lines, list) else [lines]:
        try:
            units = units_of(line)
        except SLIPS:
            yield {**head, "line": line}
            continue
        for unit in units:
            if unit.told not in NOTHING_TO_TELL:
                known = {"state": unit.told, "trackingNo": unit.tracking_no, "invoiceNo": unit.invoice_no}
                yield {**head, "unit": unit.id, **known}
