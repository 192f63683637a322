"""Records that change while their pages are read: they hide no other, and are in this window or in the next."""

import asyncio
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_integration.channels.commands import (
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    Window,
)
from order_integration.channels.marketplace.mapping import moment
from order_integration.channels.medusa.reading import instant, pages_by_creation, pages_by_id, within
from order_integration.transport import HttpSession, dumps
from tests.channels.marketplace_kit import NOW, Kervan, kervan

MANY = 5
BEGIN = NOW.replace(minute=0, second=0)
PLACES = st.lists(st.tuples(st.integers(0, MANY - 1), st.booleans()), max_size=MANY, unique_by=lambda one: one[0])
Changes = list[tuple[int, bool]]  # after each page, which record changes, or comes new


# The marketplace, by cursor -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def market() -> Iterator[Kervan]:
    with kervan() as running:
        yield running


def bring_about(market: Kervan, order: dict, kind: type) -> None:
    """Something of this kind happens to the order, once more."""
    line = [{"lineId": order["lines"][0]["lineId"], "quantity": 1}]
    if kind is GetCancelledOrders:
        market.happens(order, "cancel", lines=line)
    elif kind is GetCancellationRequests:
        market.happens(order, "claim", type="CANCEL")
    elif market.shown(order)["state"] == "NEW":
        market.ship(order, 1)
    else:
        market.happens(order, "invoice", number="KRV-1")


@pytest.mark.parametrize("kind", [GetOrders, GetCancelledOrders, GetUpdatedOrderItems, GetCancellationRequests])
@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=PLACES, page_size=st.integers(1, 3))
def test_what_changes_at_the_marketplace_while_pages_are_read_is_missed_by_nobody(
    market: Kervan, kind: type, changes: Changes, page_size: int
) -> None:
    orders = [market.order(units=3) for _ in range(MANY)]
    since = now_at(market, orders[0], kind)
    for order in orders[1:]:
        bring_about(market, order, kind)
    until = now_at(market, orders[0], kind)

    first = read_while(market, kind, Window(since, until), page_size, [orders[place] for place, _ in changes])
    second = market.records(kind, Window(until, until + timedelta(days=1)), page_size=page_size)

    changed = {orders[place]["orderId"] for place, _ in changes}
    wanted = {order["orderId"] for order in orders[1:]}
    assert {row["orderId"] for row in first} >= wanted - changed
    assert {row["orderId"] for row in first} | {row["orderId"] for row in second} >= wanted


def now_at(market: Kervan, order: dict, kind: type) -> datetime:
    """The marketplace's clock goes on with each look at it: the time of something that happens now."""
    market.happens(order, "invoice", number="KRV-0")
    return moment(market.shown(order)["changedAtMs"]) + timedelta(milliseconds=1)


def read_while(market: Kervan, kind: type, window: Window, page_size: int, changing: list[dict]) -> list[dict]:
    left = list(changing)

    async def read(command) -> list[dict]:
        found = []
        async for page in command.pages(window):
            found += page
            if left:
                bring_about(market, left.pop(0), kind)
        return found

    return market.command(kind, read, page_size=page_size)


# Medusa, by keyset ----------------------------------------------------------------------------------------------------


class Shop:
    """Lists as Medusa gives them: filtered, sorted, a page, and the count of what is left."""

    def __init__(self) -> None:
        self.clock = BEGIN
        self.rows: list[dict] = []
        self.changes: Changes = []
        self.asked = 0

    def comes(self) -> None:
        self.clock += timedelta(seconds=1)
        at = instant(self.clock)
        self.rows.append({"id": f"order_{len(self.rows):05}", "created_at": at, "updated_at": at})

    def happens(self, place: int, *, is_new: bool) -> None:
        self.clock += timedelta(seconds=1)
        if is_new:
            self.comes()
        else:
            self.rows[place]["updated_at"] = instant(self.clock)

    async def list(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.asked > 1 and self.changes:
            place, is_new = self.changes.pop(0)
            self.happens(place, is_new=is_new)
        query = request.query
        left = [row for row in self.rows if all(self.is_in(row, *one) for one in query.items())]
        left.sort(key=lambda row: row[query["order"]])
        body = dumps({request.match_info["kind"]: left[: int(query["limit"])], "count": len(left)})
        return web.Response(text=body, content_type="application/json")

    @staticmethod
    def is_in(row: dict, name: str, value: str) -> bool:
        field, _, operator = name.partition("[$")
        compare = {
            "gte]": row.get(field, "") >= value,
            "lt]": row.get(field, "") < value,
            "gt]": row.get(field, "") > value,
        }
        return compare.get(operator, True)

    @asynccontextmanager
    async def served(self):
        app = web.Application()
        app.add_routes([web.get("/admin/{kind}", self.list)])
        async with TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}/"


@pytest.mark.parametrize(
    ("pages", "field"),
    [(pages_by_id, "updated_at"), (pages_by_id, "created_at"), (pages_by_creation, "created_at")],
)
@settings(max_examples=25)
@given(changes=PLACES, page_size=st.integers(1, 3))
def test_what_changes_in_medusa_while_pages_are_read_is_missed_by_nobody(
    pages, field: str, changes: Changes, page_size: int
) -> None:
    shop = Shop()
    for _ in range(MANY):
        shop.comes()
    until = shop.clock + timedelta(milliseconds=1)
    shop.changes = list(changes)
    changed = {place for place, is_new in changes if not is_new and field == "updated_at"}

    first = read_medusa(shop, pages, field, Window(BEGIN, until), page_size)
    second = read_medusa(shop, pages, field, Window(until, until + timedelta(days=1)), page_size)

    wanted = {f"order_{place:05}" for place in range(MANY)}
    assert set(first) >= wanted - {f"order_{place:05}" for place in changed}
    assert set(first) | set(second) == {row["id"] for row in shop.rows}
    assert len(first) == len(set(first))


def read_medusa(shop: Shop, pages, field: str, window: Window, page_size: int) -> list[str]:
    shop.asked = 0

    async def read() -> list[str]:
        async with shop.served() as url, HttpSession(url) as http:
            query = {**within(field, window), "limit": page_size}
            return [row["id"] async for page in pages(http, "orders", query) for row in page]

    return asyncio.run(read())
