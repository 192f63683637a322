"""The sandbox marketplace as the conformance suite plays with it; its clock stands still between what happens."""

from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx

from order_integration.channels.commands import ChannelConnection, Connector
from order_integration.channels.marketplace import CONNECTOR
from order_integration.conformance.bench import Bench, Placed, channel_of
from order_integration.dto import CancellationType
from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import orders_between

BEGIN = datetime(2026, 3, 20, tzinfo=UTC)
FEED_SECONDS = 10
TYPES = {CancellationType.CANCEL: "CANCEL", CancellationType.REFUND: "RETURN"}


class MarketplaceBench(Bench):
    """Orders of one line each, so that units are counted from its back."""

    def __init__(self):
        self.now = int(BEGIN.timestamp() * 1000)
        found = orders_between(1, 12, BEGIN, BEGIN + timedelta(days=20))
        self.coming = [row for row in found if not row.fault and len(row.body["lines"]) == 1]
        self.stack = ExitStack()
        app = create_app(calls_per_second=None, feed_seconds=FEED_SECONDS, clock=lambda: self.now)
        self.url = self.stack.enter_context(running(app))
        self.http = self.stack.enter_context(httpx.Client(base_url=self.url, headers={"X-Api-Key": LOOPBACK_KEY}))
        self.invoices = 0

    def connector(self, **own) -> Connector:
        channel = channel_of("marketplace", **{"settings": {"reject_reason": "USED"}, **own})
        return CONNECTOR(channel, ChannelConnection(self.url, password=LOOPBACK_KEY))

    def place(self, units: int) -> Placed:
        while (row := self.coming.pop(0)).body["lines"][0]["quantity"] < units or row.modified_at <= self._moment():
            pass
        self.now = int(row.modified_at.timestamp() * 1000)
        self.now += (self._moment() < row.modified_at) + 1
        placed_at = datetime.fromisoformat(row.body["placedAt"])
        return Placed(str(row.id), placed_at, Decimal(row.body["totals"]["payable"]))

    def change(self, key: str) -> None:
        self.invoices += 1
        self._happens(f"/admin/orders/{key}/invoice", number=f"KRV-{self.invoices}")

    def state(self, key: str) -> object:
        window = {"modified_from": self.now - 86_400_000, "modified_to": self.now + 1, "size": 200}
        claims = self.http.get("/api/claims", params=window).json()["claims"]
        return self._shown(key), [claim for claim in claims if claim["orderId"] == int(key)]

    def shipped(self, key: str) -> set[str]:
        line = self._shown(key)["lines"][0]
        gone = [unit for unit in line.get("units", []) if unit["state"] in {"SHIPPED", "DELIVERED"}]
        return {f"{line['lineId']}/{unit['number']}" for unit in gone}

    def work(self) -> None:
        self.now += FEED_SECONDS * 1000

    def cancel(self, key: str, items: list[str]) -> None:
        self._happens(f"/admin/orders/{key}/cancel", lines=_lines(items))

    def news(self, key: str, item: str) -> None:
        self._happens(f"/api/orders/{key}/shipment", trackingNo="KRV1", lines=_lines([item]))

    def ask(self, key: str, items: list[str], kind: CancellationType) -> None:
        if kind is CancellationType.REFUND:
            self._happens(f"/api/orders/{key}/shipment")
            self._happens(f"/admin/orders/{key}/deliver")
        self._happens(f"/admin/orders/{key}/claim", type=TYPES[kind], quantity=len(items))

    def close(self) -> None:
        self.stack.close()

    def _moment(self) -> datetime:
        return BEGIN + timedelta(milliseconds=self.now - int(BEGIN.timestamp() * 1000))

    def _shown(self, key: str):
        return self.http.get(f"/api/orders/{key}").raise_for_status().json()

    def _happens(self, path: str, **body) -> None:
        self.now += 1
        self.http.post(path, json=body).raise_for_status()


def _lines(items: list[str]):
    return [{"lineId": item.partition("/")[0], "unitNumbers": [int(item.partition("/")[2])]} for item in items]
