"""A real, seeded Medusa server for the tests, what people do in it, and a process that is killed at its work."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer
from yarl import URL

from order_integration.channels.commands import (
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    Window,
)
from order_integration.dto import OrderStatus, Submission, UpdatedOrderDto, UpdatedOrderItemDto
from sandbox.medusa import aftersales
from sandbox.medusa.client import Api, basic
from tests.channels.medusa_kit import CENTURY, connector

WRITES = ("POST", "DELETE")
READING = {
    "orders": GetOrders,
    "cancels": GetCancelledOrders,
    "items": GetUpdatedOrderItems,
    "requests": GetCancellationRequests,
}


class Stand:
    """The server as its shop, its shoppers and we see it. Each test takes orders that no other one has touched."""

    def __init__(self, said):
        self.said = said
        self.url = said["base_url"]
        self.admin = Api(self.url, basic(said["api_key"]))
        self.store = Api(self.url, {"x-publishable-api-key": said["publishable_key"]})
        self._left = [order for order in aftersales.orders(self.admin) if self._is_untouched(order)]

    def close(self):
        self.admin.close()
        self.store.close()

    @staticmethod
    def _is_untouched(order):
        return order["version"] == 1 and order["status"] == "pending"

    def take(self, units=1):
        """An order with a line of at least so many units, and that line. What is read later is what changed since."""
        self._since = datetime.now(UTC) - timedelta(seconds=1)
        for order in self._left:
            line = max(order["items"], key=lambda item: item["quantity"])
            if line["quantity"] >= units:
                self._left.remove(order)
                return order, line
        raise AssertionError("no order is left: place more")

    def state(self, order):
        return aftersales.order(self.admin, order["id"])

    def shipped(self, order, lines, tracking="WH-1"):
        """A parcel that the shop's own warehouse sent."""
        parcel = aftersales.pack(self.admin, order["id"], lines, self.said["location_id"])
        aftersales.ship(self.admin, order["id"], parcel, tracking)
        return parcel

    def open_return(self, order, lines, reason="beden", note=""):
        reasons = {one["value"]: one["id"] for one in self.said["return_reasons"]}
        return aftersales.open_return(
            self.store,
            order["id"],
            lines,
            reason_id=reasons[reason],
            option_id=self.said["return_option_id"],
            location_id=self.said["location_id"],
            note=note,
        )

    def connector(self, url=None, **settings):
        return connector(url or self.url, self.said["api_key"], **settings)

    def run(self, kind, method, *args, url=None, **settings):
        """One call of one command."""

        async def call():
            async with self.connector(url, **settings) as opened:
                return await getattr(opened.command(kind), method)(*args)

        return asyncio.run(call())

    def read(self, what, order):
        """What a reading command says of one order."""
        placed = datetime.fromisoformat(order["created_at"])
        near = Window(placed, placed + timedelta(milliseconds=1))
        window = near if what == "orders" else Window(self._since, CENTURY.end)

        async def call():
            async with self.connector(page_size=5) as opened:
                command = opened.command(READING[what])
                pages = [page async for page in command.pages(window)]
                records = [record for page in pages for record in page]
                of = [record for record in records if order["id"] in (record.get("order_id"), record.get("id"))]
                return [command.normalize_response(record) for record in of]

        return asyncio.run(call())

    def killed_after(self, writes, kind, method, *args):
        """The same call in a process that is killed when its write number `writes` is done; False: it made fewer."""

        async def call():
            async with cut(self.url, writes) as (url, done), self.connector(url) as opened:
                task = asyncio.create_task(getattr(opened.command(kind), method)(*args))
                waiting = asyncio.create_task(done.wait())
                await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
                killed = not task.done()
                for one in (task, waiting):
                    one.cancel()
                await asyncio.gather(task, waiting, return_exceptions=True)
                return killed

        return asyncio.run(call())


@asynccontextmanager
async def cut(url, writes):
    """A way to the server that keeps the answer of write number `writes` to itself."""
    done, forever, seen = asyncio.Event(), asyncio.Event(), []

    async def forward(request):
        body = await request.read()
        headers = {name: request.headers[name] for name in ("Authorization", "Content-Type") if name in request.headers}
        async with aiohttp.ClientSession(auto_decompress=True) as session:
            target = url + request.raw_path
            async with session.request(request.method, URL(target, encoded=True), data=body, headers=headers) as answer:
                text = await answer.read()
        if request.method in WRITES:
            seen.append(request.path)
            if len(seen) == writes:
                done.set()
                await forever.wait()
        return web.Response(body=text, status=answer.status, content_type=answer.content_type)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", forward)
    async with TestServer(app) as server:
        try:
            yield f"http://127.0.0.1:{server.port}", done
        finally:
            forever.set()


def submission(order, units, reference="1/1", is_sync=True):
    """`units`: unit → (status, tracking number)."""
    items = [
        UpdatedOrderItemDto(pk=n, remote_id=unit, status=status, tracking_number=tracking)
        for n, (unit, (status, tracking)) in enumerate(units.items(), start=1)
    ]
    dto = UpdatedOrderDto(
        pk=1,
        remote_id=order["id"],
        number=f"MD-{order['display_id']}",
        status=OrderStatus.SHIPPED,
        modified_date="2026-11-23T10:00:00Z",
        items=items,
    )
    return Submission(reference=reference, orders=[dto], is_sync=is_sync)
