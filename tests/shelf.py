"""The smallest channel there is: orders on a shelf. Tests put orders there and read what became of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from order_integration.channels.commands import (
    Connector,
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    Record,
    Window,
)
from order_integration.dto import (
    CancellationRequestDto,
    CancelOrderDto,
    ChannelCreateOrderDto,
    ChannelUpdateOrderItemDto,
)

NOON = datetime.fromisoformat("2026-01-05T12:00:00+03:00")


class ShelfGetOrders(GetOrders):
    """Pages of two, so that every test pages."""

    def send_request(self, data: Window) -> Iterator[list[Record]]:
        rows = [row for row in Shelf.orders if data.start <= self.record_time(row) < data.end]
        for start in range(0, len(rows), 2):
            yield rows[start : start + 2]

    def record_time(self, record: Record) -> datetime:
        return datetime.fromisoformat(record["changed"])

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        return ChannelCreateOrderDto.model_validate(response["dto"])


class Shelf(Connector):
    """`connector: tests.shelf:Shelf`."""

    commands = (ShelfGetOrders,)
    orders: ClassVar[list[Record]] = []


class ShelfGetUpdatedOrderItems(GetUpdatedOrderItems):
    """What is new of the items on the shelf."""

    def send_request(self, data: Window) -> Iterator[list[Record]]:
        yield list(NewsShelf.items)

    def record_time(self, record: Record) -> datetime:
        return datetime.fromisoformat(record["changed"])

    def normalize_response(self, response: Record) -> ChannelUpdateOrderItemDto:
        return ChannelUpdateOrderItemDto.model_validate(response["dto"])


class AskedGetUpdatedOrderItems(ShelfGetUpdatedOrderItems):
    """The same, which can be asked for one item."""

    async def get_by_key(self, key: str) -> Record | None:
        answer = NewsShelf.shown[key]
        if isinstance(answer, Exception):
            raise answer
        return answer


class ShelfGetCancellationRequests(GetCancellationRequests):
    """What shoppers want to bring back."""

    def send_request(self, data: Window) -> Iterator[list[Record]]:
        yield list(NewsShelf.requests)

    def record_time(self, record: Record) -> datetime:
        return datetime.fromisoformat(record["changed"])

    def normalize_response(self, response: Record) -> CancellationRequestDto:
        return CancellationRequestDto.model_validate(response["dto"])


class ShelfGetCancelledOrders(GetCancelledOrders):
    """What is cancelled of the orders on the shelf."""

    def send_request(self, data: Window) -> Iterator[list[Record]]:
        yield [row for row in CancelShelf.cancels if data.start <= self.record_time(row) < data.end]

    def record_time(self, record: Record) -> datetime:
        return datetime.fromisoformat(record["changed"])

    def normalize_response(self, response: Record) -> CancelOrderDto:
        return CancelOrderDto.model_validate(response["dto"])


class CancelShelf(Shelf):
    """`connector: tests.shelf:CancelShelf`."""

    commands = (ShelfGetOrders, ShelfGetCancelledOrders)
    cancels: ClassVar[list[Record]] = []


class NewsShelf(Shelf):
    """`connector: tests.shelf:NewsShelf`. Pages of all there is, whatever the window."""

    commands = (ShelfGetOrders, ShelfGetUpdatedOrderItems, ShelfGetCancellationRequests)
    items: ClassVar[list[Record]] = []
    requests: ClassVar[list[Record]] = []
    shown: ClassVar[dict[str, Any]] = {}  # what `get_by_key` answers, or raises

    @classmethod
    def start_again(cls) -> None:
        """No news."""
        cls.items.clear()
        cls.requests.clear()
        cls.shown.clear()


class AskedShelf(NewsShelf):
    """`connector: tests.shelf:AskedShelf`."""

    commands = (ShelfGetOrders, AskedGetUpdatedOrderItems, ShelfGetCancellationRequests)


class SharedShelf(NewsShelf):
    """`connector: tests.shelf:SharedShelf`. Notes how many tasks share the request rate, each time it is made."""

    shares: ClassVar[list[int]] = []

    def __init__(self, *known: Any, share: int = 1) -> None:
        super().__init__(*known, share=share)
        self.shares.append(share)


def news(remote_id: str, *, minutes: int = 0, key: str = "", **own: Any) -> Record:
    """News of an item, `minutes` after noon; `modified_at` only where it is said."""
    moment = (NOON + timedelta(minutes=minutes)).isoformat()
    return {"id": key or remote_id, "changed": moment, "dto": {"remote_id": remote_id, **own}}


def cancel(key: str, *units: str, minutes: int = 0, reason: str = "late", **own: Any) -> Record:
    """All that is cancelled of an order by now: an item id as often as its units are."""
    moment = (NOON + timedelta(minutes=minutes)).isoformat()
    dto = {"order": key, "cancel_items": list(units), "reasons": dict.fromkeys(units, reason), **own}
    return {"id": key, "changed": moment, "dto": dto}


def request(remote_id: str, item: str, *, minutes: int = 0, key: str = "", **own: Any) -> Record:
    """A shopper wants to bring an item back."""
    dto = {
        "remote_id": remote_id,
        "order_item": item,
        "reason": "size",
        "description": "Ayşe'nin kolu kısa geldi",
        "cancellation_type": "refund",
        **own,
    }
    moment = (NOON + timedelta(minutes=minutes)).isoformat()
    return {"id": key or f"{remote_id}|{item}", "changed": moment, "dto": dto}


def customer(name: str = "ayse", **own: Any) -> dict[str, Any]:
    return {
        "email": f"{name}@example.com",
        "first_name": "Ayşe",
        "last_name": "Yılmaz",
        "channel_code": f"c-{name}",
        "phone_number": "+905321234567",
        **own,
    }


def address(name: str = "ayse", **own: Any) -> dict[str, Any]:
    return {
        "email": f"{name}@example.com",
        "phone_number": "+905321234567",
        "first_name": "Ayşe",
        "last_name": "Yılmaz",
        "country": "TR",
        "city": "İstanbul",
        "township": "Kadıköy",
        "line": "Moda Cd. 1",
        **own,
    }


def item(order: str, line: int = 1, unit: int = 1, **own: Any) -> dict[str, Any]:
    return {
        "remote_id": f"{order}-{line}/{unit}",
        "product": "SKU-1",
        "price_currency": "TRY",
        "price": "50.00",
        "tax_rate": "20",
        **own,
    }


def order(key: str, *, minutes: int = 0, items: list[dict[str, Any]] | None = None, **own: Any) -> Record:
    """An order of one item over 50 and 10 for shipping, changed `minutes` after noon."""
    moment = (NOON + timedelta(minutes=minutes)).isoformat()
    buyer = own.pop("buyer", key)
    header = {
        "remote_id": key,
        "number": f"N{key}",
        "customer": customer(buyer),
        "shipping_address": address(buyer),
        "billing_address": address(buyer),
        "currency": "TRY",
        "amount": "60.00",
        "shipping_amount": "10.00",
        "shipping_tax_rate": "20",
        "cargo_company": "yurtici",
        "created_at": moment,
        **own,
    }
    return {
        "id": key,
        "changed": moment,
        "dto": {"order": header, "order_item": items if items is not None else [item(key)]},
    }
