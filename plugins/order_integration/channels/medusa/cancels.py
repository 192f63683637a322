"""Flow 4: orders that were cancelled, and units that an edit of the order took away."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime

from order_integration.channels.commands import SLIPS, GetCancelledOrders, Record, Window, WindowOn
from order_integration.channels.medusa.edits import Edited, changes, edited
from order_integration.channels.medusa.reading import (
    Query,
    checked_window,
    one,
    orders_within,
    pages_by_id,
)
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.units import STATE, highest, parcels, quantity
from order_integration.dto import CancelOrderDto

CANCELED = "canceled"
# Reason codes; a merchant who has better ones in the order's metadata names the key in `cancel_reason_field`.
ORDER_CANCELED, ORDER_EDITED = "order_canceled", "order_edited"
EDITS = "changes"  # where a record has them


class MedusaGetCancelledOrders(GetCancelledOrders):
    """The window is on the order's modification: Medusa ignores a filter on `canceled_at`, and lists all."""

    window_on = WindowOn.MODIFICATION

    def record_time(self, record: Record) -> datetime:
        """When anything of the order changed last."""
        return datetime.fromisoformat(record["updated_at"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        return checked_window(data)

    def transform_data(self, data: Window) -> Query:
        """All orders that changed: an edit does not change an order's status."""
        return orders_within("updated_at", data, self, STATE)

    async def send_request(self, data: Query) -> AsyncIterator[list[Record]]:
        """The orders of which something is cancelled."""
        async for page in pages_by_id(self.http, "orders", data):
            found = await asyncio.gather(*(self._with_edits(order) for order in page))
            if cancelled := [order for order in found if _is_cancelled(order)]:
                yield cancelled

    async def get_by_key(self, key: str) -> Record | None:
        """The order as it is now; None where nothing of it is cancelled."""
        order = await one(self.http, "orders", key, {"fields": STATE})
        found = None if order is None else await self._with_edits(order)
        return found if found and _is_cancelled(found) else None

    def normalize_response(self, response: Record) -> CancelOrderDto:
        """All units that are cancelled by now, from the back of each line."""
        with shaped_like("an order"):
            reasons = _reasons(response, edited(response[EDITS]))
            given = (response.get("metadata") or {}).get(self.settings.cancel_reason_field)
            if isinstance(given, str) and given.strip():
                reasons = dict.fromkeys(reasons, given.strip())
            return CancelOrderDto(
                order=response["id"],
                cancel_items=sorted(reasons),
                reasons=reasons,
                modified_at=response["updated_at"],
            )

    async def _with_edits(self, order: Record) -> Record:
        return {**order, EDITS: await changes(self.http, order)}


def _is_cancelled(order: Record) -> bool:
    """Whether there is something to tell; a record that can't be read is told, so that it is not lost."""
    if order["status"] == CANCELED:
        return True
    try:
        edits = edited(order[EDITS])
    except SLIPS:
        return True
    return any(edits.cancelled(line) for line in edits.placed if line not in edits.added)


def _reasons(order: Record, edits: Edited) -> dict[str, str]:
    """Each cancelled unit with its code. Lines that were added later are not known to Omnitron, and not cancelled."""
    kept = [unit for parcel in parcels(order) if parcel.is_ours for unit in parcel.units]
    reasons = {
        unit: ORDER_EDITED
        for line, placed in edits.placed.items()
        if line not in edits.added
        for unit in highest(line, edits.cancelled(line), placed, kept)
    }
    if order["status"] != CANCELED:
        return reasons
    now = {str(line["id"]): quantity(line) for line in order["items"] if str(line["id"]) not in edits.added}
    placed = {**now, **{line: many for line, many in edits.placed.items() if line not in edits.added}}
    units = [unit for line, many in placed.items() for unit in highest(line, many, many, ())]
    return dict.fromkeys(units, ORDER_CANCELED) | reasons
