"""Flow 6: what shoppers want to send back."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from order_integration.channels.commands import GetCancellationRequests, Record, Window, WindowOn, bad_record
from order_integration.channels.medusa.reading import (
    MOST_OF_ONE_ORDER,
    Query,
    checked_window,
    moment,
    one,
    pages_by_creation,
    rows,
    within,
)
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.units import STATE, number_of, parcels, quantity, unit_id
from order_integration.dto import CancellationRequestDto, CancellationType
from order_integration.errors import RecordError
from order_integration.transport import HttpSession

REQUESTED, OPEN = "requested", "open"  # a shop can open a return and request it later
# No field of the order: with one of them, Medusa answers 500 to a list that is sorted.
FIELDS = "id,order_id,status,created_at,updated_at,requested_at,canceled_at,*items,*items.reason,*fulfillments"
NO_REASON = "return"  # the reason code of what is sent back without one
ITEM = ":"  # between a return and one of its items, in a request's remote id
UNIT = "|"  # between that and the unit, in a record's key


def remote_id(return_: Record, item: Record) -> str:
    """The remote id of the requests for the units of a return's item."""
    return f"{return_['id']}{ITEM}{item['id']}"


class MedusaGetCancellationRequests(GetCancellationRequests):
    """The window is on the return's modification: one that the shop opens is requested later than it is made."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """The return's item and the unit."""
        return f"{record['remote_id']}{UNIT}{record['unit']}"

    def record_time(self, record: Record) -> datetime:
        """When the return changed last."""
        return datetime.fromisoformat(record["updated_at"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        return checked_window(data)

    def transform_data(self, data: Window) -> Query:
        """Returns that nobody has decided on."""
        limit: Query = {"fields": FIELDS, "limit": self.connector.channel.page_size}
        return within("updated_at", data) | {"status": REQUESTED} | limit

    async def send_request(self, data: Query) -> AsyncIterator[list[Record]]:
        """A record a unit, for each page of returns."""
        async for page in pages_by_creation(self.http, "returns", data):
            requested = [return_ for return_ in page if return_["status"] == REQUESTED]
            if units := [unit for return_ in requested for unit in await self._units(return_)]:
                yield units

    async def get_by_key(self, key: str) -> Record | None:
        """The request as it is now; None where the return is not waiting for anybody."""
        return_ = await one(self.http, "returns", key.partition(ITEM)[0], {"fields": FIELDS})
        if return_ is None or return_["status"] != REQUESTED:
            return None
        return next((unit for unit in await self._units(return_) if self.record_key(unit) == key), None)

    def normalize_response(self, response: Record) -> CancellationRequestDto:
        """One unit that shall come back."""
        if "problem" in response:
            raise bad_record("items", response["problem"])
        with shaped_like("a return"):
            return CancellationRequestDto(
                order_item=response["unit"],
                reason=response["reason"] or NO_REASON,
                remote_id=response["remote_id"],
                description=response["note"] or "",
                cancellation_type=CancellationType.REFUND,
            )

    async def _units(self, return_: Record) -> list[Record]:
        order = await one(self.http, "orders", str(return_["order_id"]), {"fields": STATE})
        if order is None:
            return _unreadable(return_, "Medusa has a return of an order that it does not know")
        channels = self.settings.sales_channels
        if channels and order["sales_channel_id"] not in channels:
            return []
        siblings = await returns_of(self.http, str(order["id"]))
        try:
            with shaped_like("a return"):
                taken = units_of_returns(order, siblings)
                return [
                    _record(return_, item, unit, "" if unit else "more units than the order has")
                    for item in return_["items"]
                    for unit in taken[str(item["id"])]
                ]
        except RecordError as error:
            return _unreadable(return_, error.sentence)


async def returns_of(http: HttpSession, order: str) -> list[Record]:
    """All returns of an order, whatever became of them."""
    query: Query = {"order_id": order, "fields": FIELDS, "order": "created_at", "limit": MOST_OF_ONE_ORDER}
    return [row for row in rows(await http.get("admin/returns", query), "returns") if row["order_id"] == order]


def units_of_returns(order: Record, returns: Iterable[Record]) -> dict[str, list[str]]:
    """The units of each return's items: always the same ones, whatever happens to the order later.

    Of the units that were shipped when the return was requested, the last ones that no earlier return had, unless it
    was cancelled by then. A unit too many is an empty text.
    """
    there = parcels(order)
    found: dict[str, list[str]] = {}
    earlier: list[tuple[Record, set[str]]] = []
    requested = [row for row in returns if row["status"] != OPEN]
    for return_ in sorted(requested, key=lambda row: (_made(row), row["id"])):
        made = _made(return_)
        held = {unit for other, units in earlier if _is_alive(other, made) for unit in units}
        shipped = [unit for parcel in there if parcel.shipped_at and parcel.shipped_at <= made for unit in parcel.units]
        free = sorted({*shipped} - held, key=number_of)
        mine: set[str] = set()
        for item in sorted(return_["items"], key=lambda row: str(row["id"])):
            of_line = [unit for unit in free if unit.startswith(unit_id(str(item["item_id"]), 0)[:-1])]
            units = [of_line.pop() if of_line else "" for _ in range(quantity(item))]
            free = [unit for unit in free if unit not in units]
            found[str(item["id"])] = units
            mine.update(units)
        earlier.append((return_, mine))
    return found


def _made(return_: Record) -> datetime:
    return moment(return_, "requested_at") or datetime.fromisoformat(return_["created_at"])


def _is_alive(return_: Record, made: datetime) -> bool:
    canceled = moment(return_, "canceled_at")
    return canceled is None or canceled > made


def _unreadable(return_: Record, problem: str) -> list[Record]:
    """A bad record for each item: it stops no other return."""
    return [_record(return_, item, "", problem) for item in return_.get("items") or [{"id": "unknown"}]]


def _record(return_: Record, item: Record, unit: str, problem: str) -> Record:
    return {
        "remote_id": remote_id(return_, item),
        "unit": unit,
        "order_id": return_["order_id"],
        "updated_at": return_["updated_at"],
        "reason": (item.get("reason") or {}).get("value"),
        "note": item.get("note"),
        **({"problem": problem} if problem else {}),
    }
