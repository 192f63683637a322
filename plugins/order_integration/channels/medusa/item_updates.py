"""Flow 5: what the shop's own warehouse and its couriers did with units.

Measured: packing, shipping, delivering and a return each move the order's `updated_at`, so that the list of orders sees
them. `fulfillment_status` says "shipped" when one line of two is, so each parcel is looked at instead.
"""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime

from order_integration.channels.commands import NO_ID, GetUpdatedOrderItems, Record, Window, WindowOn, bad_record
from order_integration.channels.medusa.reading import (
    Query,
    checked_window,
    one,
    orders_within,
    pages_by_id,
)
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.units import STATE, Parcel, parcels
from order_integration.dto import ChannelUpdateOrderItemDto, OrderStatus
from order_integration.errors import Reason, RecordError

KEY_SEPARATOR = "|"


class MedusaGetUpdatedOrderItems(GetUpdatedOrderItems):
    """One record a shipped unit: shipped or delivered, with its tracking number."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """With the order: Medusa can't look up a line alone."""
        return str(record["id"] if "problem" in record else KEY_SEPARATOR.join((record["order_id"], record["id"])))

    def record_time(self, record: Record) -> datetime:
        """When anything of the order changed last; `modified_at` is the unit's own time."""
        return datetime.fromisoformat(record["updated_at"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        return checked_window(data)

    def transform_data(self, data: Window) -> Query:
        """All orders that changed."""
        return orders_within("updated_at", data, self, STATE)

    async def send_request(self, data: Query) -> AsyncIterator[list[Record]]:
        """The shipped units of each page's orders."""
        async for page in pages_by_id(self.http, "orders", data):
            if units := [unit for order in page for unit in _shipped_units(order)]:
                yield units

    async def get_by_key(self, key: str) -> Record | None:
        """The unit as it is now; None, too, where its parcel was taken back."""
        order_id, _, unit = key.partition(KEY_SEPARATOR)
        order = await one(self.http, "orders", order_id, {"fields": STATE})
        return next((record for record in _shipped_units(order) if record["id"] == unit), None) if order else None

    def normalize_response(self, response: Record) -> ChannelUpdateOrderItemDto:
        """One unit. What Medusa does not know (invoices) is not given, so that it stays."""
        if "problem" in response:
            raise bad_record("fulfillments", response["problem"], Reason.RECORD_MALFORMED)
        with shaped_like("a unit"):
            known = {"tracking_number": response["tracking_number"]} if response["tracking_number"] else {}
            return ChannelUpdateOrderItemDto(
                remote_id=response["id"],
                order_remote_id=response["order_id"],
                order_number=f"{self.settings.number_prefix}{response['display_id']}",
                status=response["status"],
                modified_at=response["modified_at"],
                **known,
            )


def _shipped_units(order: Record) -> Iterator[Record]:
    """A record for each unit that has left the house; an order that can't be read makes one that says so."""
    where = {"order_id": order["id"], "display_id": order["display_id"], "updated_at": order["updated_at"]}
    try:
        with shaped_like("an order"):
            found = [(unit, parcel) for parcel in parcels(order) if parcel.shipped_at for unit in parcel.units]
    except RecordError as error:
        yield {**where, "id": f"{NO_ID}{order['id']}", "problem": error.sentence}
        return
    for unit, parcel in found:
        yield {**where, "id": unit, **_state(parcel)}


def _state(parcel: Parcel) -> Record:
    status = OrderStatus.DELIVERED if parcel.delivered_at else OrderStatus.SHIPPED
    since = max(moment for moment in (parcel.shipped_at, parcel.delivered_at) if moment)
    return {
        "status": str(status),
        "tracking_number": parcel.tracking_number,
        "modified_at": since.isoformat(),
    }
