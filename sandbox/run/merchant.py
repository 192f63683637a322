"""What the merchant and their OMS do in Omnitron, through its back office."""

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.run.errors import RunError

OPEN, CANCELLED, SHIPPED, REFUNDED = "400", "100", "500", "600"
ITEMS = """
    SELECT i.pk, i."order", json_extract(o.extra_field, '$.id') AS order_key,
           json_extract(i.extra_field, '$.id') AS unit, i.status
    FROM order_items i JOIN orders o ON o.pk = i."order" WHERE o.channel = ? ORDER BY o.pk, i.pk"""
REQUESTS = """
    SELECT r.pk, r.order_item, r.cancellation_type AS kind, json_extract(o.extra_field, '$.id') AS order_key,
           json_extract(i.extra_field, '$.id') AS unit
    FROM cancellation_requests r JOIN order_items i ON i.pk = r.order_item JOIN orders o ON o.pk = i."order"
    WHERE r.channel = ? AND r.status = 'waiting_approval' ORDER BY r.pk"""
WAITING_PLANS = "SELECT DISTINCT \"order\" FROM cancellation_plans WHERE channel = ? AND status = 'waiting'"


@dataclass(frozen=True)
class Unit:
    """One order item: line and number are the channel's."""

    pk: int
    line: str
    number: int
    status: str


@dataclass(frozen=True)
class Sold:
    """An order as the merchant sees it; its units in the order in which they are packed."""

    key: str
    units: Sequence[Unit]

    @property
    def is_untouched(self) -> bool:
        return all(unit.status == OPEN for unit in self.units)

    def lines(self) -> dict[str, list[Unit]]:
        found: dict[str, list[Unit]] = {}
        for unit in self.units:
            found.setdefault(unit.line, []).append(unit)
        return found

    def longest_line(self) -> list[Unit]:
        return max(self.lines().values(), key=len)


@dataclass(frozen=True)
class Asked:
    """A request that waits for the merchant."""

    pk: int
    item: int
    kind: str
    order: str
    unit: str

    @property
    def line(self) -> str:
        return self.unit.rpartition("/")[0]


class Merchant:
    """One channel's side of the back office."""

    def __init__(self, url: str, database: Path, channel: int) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._database, self._channel = database, channel

    def close(self) -> None:
        self._http.close()

    def sold(self) -> list[Sold]:
        """All orders, by the channel's id: in which order they arrived is chance."""
        found: dict[str, list[Unit]] = {}
        for row in self._rows(ITEMS):
            line, _, number = row["unit"].rpartition("/")
            found.setdefault(row["order_key"], []).append(Unit(row["pk"], line, int(number), row["status"]))
        return [
            Sold(key, sorted(units, key=lambda unit: (unit.line, unit.number))) for key, units in sorted(found.items())
        ]

    def ship(self, units: Iterable[Unit], tracking_number: str) -> None:
        """A parcel leaves the warehouse."""
        for unit in units:
            self._change(f"order_items/{unit.pk}", {"status": SHIPPED, "tracking_number": tracking_number})

    def carry_out_plans(self) -> int:
        """The OMS cancels what a cancellation plan says; how many orders had one."""
        orders = [row["order"] for row in self._rows(WAITING_PLANS)]
        for pk in orders:
            self._checked(self._http.post(f"/admin/orders/{pk}/plan/complete"))
        return len(orders)

    def asked(self) -> list[Asked]:
        """Requests that nobody has decided yet."""
        return [
            Asked(row["pk"], row["order_item"], row["kind"], row["order_key"], row["unit"])
            for row in self._rows(REQUESTS)
        ]

    def approve(self, request: Asked) -> None:
        """All the way: approved, the unit is cancelled or taken back by the OMS, and the request is completed."""
        for status in ("approved", "confirmed"):
            self._answer(request, status)
        self._change(f"order_items/{request.item}", {"status": REFUNDED if request.kind == "refund" else CANCELLED})
        self._answer(request, "completed")

    def begin(self, request: Asked) -> None:
        """Half of the way: nothing is decided for the channel yet."""
        self._answer(request, "approved")

    def reject(self, request: Asked) -> None:
        self._answer(request, "rejected")

    def _answer(self, request: Asked, status: str) -> None:
        self._change(f"cancellation_requests/{request.pk}", {"status": status})

    def _change(self, path: str, values: dict[str, Any]) -> None:
        self._checked(self._http.patch(f"/admin/{path}", json=values))

    def _checked(self, answer: httpx.Response) -> None:
        if answer.is_error:
            raise RunError(f"The sandbox Omnitron answers {answer.status_code} to {answer.request.url.path}")

    def _rows(self, query: str) -> list[dict[str, Any]]:
        uri = f"{self._database.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(query, [self._channel])]
