"""The smallest channel there is: orders on a shelf. Tests put orders there and read what became of them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, ClassVar

from order_integration.channels.commands import Connector, GetOrders, Record, Window
from order_integration.dto import ChannelCreateOrderDto

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
