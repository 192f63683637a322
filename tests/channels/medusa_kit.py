"""Answers recorded on a seeded Medusa server, and a server that gives them as the real one does."""

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from order_integration.channels.commands import ChannelConnection, GetOrders, Window
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.transport import dumps, loads

RECORDED = Path(__file__).parent / "medusa" / "orders.json"
CANCELLED, REGISTERED, LUMP_SUM, TAX_INCLUSIVE = 2, 3, 4, 24  # display ids of the recorded orders
SETTINGS = {"number_prefix": "MD-", "carriers": {"Yurtiçi Kargo": "yurtici"}, "default_carrier": "aras"}
CENTURY = Window(datetime(2000, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC))


def recorded():
    return loads(RECORDED.read_bytes())["orders"]


def recorded_order(display_id):
    return next(order for order in recorded() if order["display_id"] == display_id)


def connector(base_url="http://127.0.0.1:1", password="sk_test", page_size=100, **settings):
    channel = ChannelConfig(
        name="medusa",
        connector="medusa",
        connection="medusa_shop",
        omnitron_channel_id=1,
        catalog_id=1,
        active_from="2026-01-01T00:00:00Z",
        page_size=page_size,
        settings={**SETTINGS, **settings},
    )
    return connector_class(channel)(channel, ChannelConnection(base_url, password=password))


def normalized(order, **settings):
    return connector(**settings).command(GetOrders).normalize_response(order)


class RecordedMedusa:
    """Answers as the real one does: the window, keyset paging, the count of what is left."""

    def __init__(self, orders):
        self.orders = sorted(orders, key=lambda order: order["id"])
        self.requests = []

    async def list(self, request):
        self.requests.append(request)
        query = request.query
        left = [
            order
            for order in self.orders
            if query["created_at[$gte]"] <= order["created_at"] < query["created_at[$lt]"]
            and order["id"] > query.get("id[$gt]", "")
        ]
        return self.answer({"orders": left[: int(query["limit"])], "count": len(left)})

    async def one(self, request):
        found = [order for order in self.orders if order["id"] == request.match_info["id"]]
        if not found:
            raise web.HTTPNotFound(text='{"type": "not_found"}', content_type="application/json")
        return self.answer({"order": found[0]})

    @staticmethod
    def answer(body):
        return web.Response(text=dumps(body), content_type="application/json")

    @asynccontextmanager
    async def served(self):
        app = web.Application()
        app.add_routes([web.get("/admin/orders", self.list), web.get("/admin/orders/{id}", self.one)])
        async with TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}"


async def read_all(opened, window):
    return [page async for page in opened.command(GetOrders).pages(window)]


def pages_of(medusa, window=CENTURY, **options):
    async def read():
        async with medusa.served() as url, connector(url, **options) as opened:
            return await read_all(opened, window)

    return asyncio.run(read())
