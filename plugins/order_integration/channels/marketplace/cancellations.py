"""Cancels that happened at the marketplace: which orders they are of, and then all of such an order."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

from order_integration.channels.commands import GetCancelledOrders, Record, WindowOn, bad_record
from order_integration.channels.marketplace.mapping import moment
from order_integration.channels.marketplace.reading import Query, WindowReader, read, shaped_like, together, told
from order_integration.channels.marketplace.units import unit_id
from order_integration.dto import CancelOrderDto
from order_integration.errors import ContractError


class MarketplaceGetCancelledOrders(WindowReader, GetCancelledOrders):
    """Flow 4. The window's list says only what was cancelled in it; a record holds the order's total."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """The marketplace's id of the order."""
        return "" if record["orderId"] is None else str(record["orderId"])

    def record_time(self, record: Record) -> datetime:
        """The order's latest cancel, which may be later than the window."""
        return moment(record["changedAtMs"])

    async def send_request(self, data: list[Query]) -> AsyncIterator[list[Record]]:
        """Each order once, in the page in which it comes first."""
        seen: set[str] = set()
        async for page in self.listed("cancellations", data):
            nameless = [{"orderId": None, "cancellation": one} for one in page if _order_of(one) is None]
            fresh = {str(order): order for one in page if (order := _order_of(one)) is not None}
            records = await together(self._total(order) for name, order in fresh.items() if name not in seen)
            seen |= fresh.keys()
            if records or nameless:
                yield records + nameless

    async def get_by_key(self, key: str) -> Record | None:
        """The order's total as it is now; None also where nothing of it is cancelled."""
        answer = await read(self.http, "api/orders/{}/cancellations", key)
        return _record(int(key), answer) if answer and answer.get("cancellations") else None

    def normalize_response(self, response: Record) -> CancelOrderDto:
        """Each cancelled unit once, with the reason for which it was."""
        reasons: dict[str, str] = {}
        with shaped_like("cancellation"):
            for one in response["cancellations"]:
                for number in _numbers(one):
                    reasons.setdefault(unit_id(one["lineId"], number), told(one, "reasonCode"))
            modified_at = moment(response["changedAtMs"])
        return CancelOrderDto(
            order=told(response, "orderId"), cancel_items=list(reasons), reasons=reasons, modified_at=modified_at
        )

    async def _total(self, order: Any) -> Record:
        """An order that the marketplace does not know itself will be refused by name."""
        answer = await read(self.http, "api/orders/{}/cancellations", str(order))
        return _record(order, answer) if answer else {"orderId": order}


def _order_of(entry: Any) -> Any:
    return entry.get("orderId") if isinstance(entry, dict) else None


def _record(order: Any, answer: Record) -> Record:
    found = answer.get("cancellations")
    if not isinstance(found, list):
        raise ContractError("the marketplace's answer has no list of cancellations", order=order)
    times = [one.get("changedAtMs") for one in found if isinstance(one, dict)]
    latest = max((time for time in times if isinstance(time, int)), default=None)
    return {"orderId": order, "cancellations": found, "changedAtMs": latest}


def _numbers(cancellation: Record) -> list[int]:
    """Which units, checked against how many."""
    numbers: list[int] = cancellation["unitNumbers"]
    if len(numbers) != cancellation["quantity"]:
        raise bad_record("unitNumbers", "not as many as quantity says")
    return numbers
