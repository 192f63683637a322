"""A sandbox marketplace under way, orders that nobody used yet, and the connector's commands at work on them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

import httpx

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.channels.marketplace import CONNECTOR
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import OrderStatus, Submission, UpdatedOrderDto, UpdatedOrderItemDto
from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import orders_between

NOW = datetime(2026, 3, 20, 9, 46, 40, tzinfo=UTC)
SINCE = Window(NOW, NOW + timedelta(days=1))  # what tests do happens in here; the orders are older
REJECTING = {"reject_reason": "USED"}
REFERENCES = count(1)


@contextmanager
def kervan() -> Iterator["Kervan"]:
    """Its clock goes on a millisecond a look, so that nothing happens at the same time; feeds are decided by hand."""
    ticks = count(int(NOW.timestamp() * 1000))
    app = create_app(calls_per_second=None, feed_seconds=None, clock=lambda: next(ticks))
    headers = {"X-Api-Key": LOOPBACK_KEY}
    with running(app) as url, httpx.Client(base_url=url, headers=headers) as client:
        yield Kervan(client)


class Kervan:
    """The marketplace, and what tests do to it."""

    def __init__(self, http):
        self.http = http
        rows = orders_between(1, 12, NOW - timedelta(days=20), NOW)
        self.unused = [row.body for row in rows if not row.fault]

    def start_again(self):
        """No faults, no calls on record."""
        self.http.delete("/admin/faults")
        self.http.delete("/admin/requests")
        return self

    def order(self, *, lines=1, units=3):
        """An order that no test had before, with so many lines, the first of so many units at least."""
        wanted = next(
            body for body in self.unused if len(body["lines"]) >= lines and body["lines"][0]["quantity"] >= units
        )
        self.unused.remove(wanted)
        return wanted

    def shown(self, order):
        return self.did("GET", f"/api/orders/{order['orderId']}")

    def states(self, order):
        """The states of the first line's units."""
        return [unit["state"] for unit in self.shown(order)["lines"][0]["units"]]

    def did(self, method, path, body=None):
        answer = self.http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def happens(self, order, what, **body):
        """What buyers, couriers and the marketplace itself do."""
        return self.did("POST", f"/admin/orders/{order['orderId']}/{what}", body)

    def ship(self, order, *numbers, **body):
        lines = [{"lineId": order["lines"][0]["lineId"], "unitNumbers": list(numbers)}]
        return self.did("POST", f"/api/orders/{order['orderId']}/shipment", {"lines": lines, **body})

    def fault(self, path, kind, **rule):
        action = {"kind": kind, **{name: rule.pop(name) for name in ("status", "body") if name in rule}}
        self.http.post("/admin/faults", json={"path": path, "times": 1, **rule, "action": action}).raise_for_status()

    def writes(self):
        """What was written so far, or tried to be."""
        calls = self.http.get("/admin/requests").json()
        return [call["path"].rpartition("/")[2] for call in calls if call["method"] == "POST"]

    def wrote_nothing(self, again):
        """Whether doing it again sends no write at all; its answer comes back."""
        self.http.delete("/admin/requests")
        answer = again()
        assert self.writes() == []
        return answer

    # The connector --------------------------------------------------------------------------------------------------

    def connector(self, page_size=100, **settings):
        channel = ChannelConfig(
            name="kervan",
            connector="marketplace",
            connection="kervan",
            omnitron_channel_id=1,
            catalog_id=1,
            active_from="2026-01-01T00:00:00+03:00",
            page_size=page_size,
            limits={"requests_per_second": 500},
            settings=settings,
        )
        return CONNECTOR(channel, ChannelConnection(str(self.http.base_url), password=LOOPBACK_KEY))

    def command(self, kind, action, **given):
        """What `action` makes of the opened connector's command."""

        async def opened():
            async with self.connector(**given) as made:
                return await action(made.command(kind))

        return asyncio.run(opened())

    def run(self, kind, data, **given):
        return self.command(kind, lambda command: command.run(data), **given)

    def by_key(self, kind, key):
        return self.command(kind, lambda command: command.get_by_key(key))

    def records(self, kind, window=SINCE, order=None, **given):
        """The window's raw records; those of one order."""

        async def read(command):
            return [row async for page in command.pages(window) for row in page]

        found = self.command(kind, read, **given)
        return [row for row in found if order is None or row["orderId"] == order["orderId"]]


def reader(kind, **settings):
    """A command that is not connected to anything."""
    return Kervan.connector(_Nowhere, **settings).command(kind)


class _Nowhere:
    class http:  # noqa: N801 - stands in for a client
        base_url = "http://127.0.0.1:1"


def unit_ids(order, line=0):
    found = order["lines"][line]
    return [f"{found['lineId']}/{number}" for number in range(1, found["quantity"] + 1)]


def updated(order, shipped=None, delivered=(), *, invoices=None, **fields):
    """The order as it is in Omnitron, where these units (id → tracking number) have left the house."""
    labels, invoices = dict(shipped or {}), invoices or {}
    states = dict.fromkeys(labels, OrderStatus.SHIPPED) | dict.fromkeys(delivered, OrderStatus.DELIVERED)
    names = [name for line in range(len(order["lines"])) for name in unit_ids(order, line)]
    items = [
        UpdatedOrderItemDto(
            pk=number,
            remote_id=name,
            status=states.get(name, OrderStatus.APPROVED),
            tracking_number=labels.get(name),
            invoice_number=invoices.get(name),
        )
        for number, name in enumerate(names, start=1)
    ]
    header = {
        "pk": order["orderId"],
        "remote_id": str(order["orderId"]),
        "number": order["orderNumber"],
        "status": OrderStatus.APPROVED,
        "modified_date": NOW,
        "items": items,
    }
    return UpdatedOrderDto(**{**header, **fields})


def submission(*orders, is_sync=True, reference=None):
    return Submission(reference=reference or f"{next(REFERENCES)}/1", orders=list(orders), is_sync=is_sync)
