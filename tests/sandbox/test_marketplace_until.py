"""A marketplace where nobody buys any more: only what happens to its orders goes on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import orders_between
from sandbox.marketplace.order import millis

START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(hours=3)
NOW = START + timedelta(days=200)
SEED, RATE = 7, 12.0


def test_nothing_is_bought_from_then_on_but_changes_are_listed() -> None:
    # given
    bought = orders_between(SEED, RATE, START, END)
    good = next(row for row in bought if row.expected == "arrives")
    shop = create_app(seed=SEED, rate=RATE, calls_per_second=None, clock=lambda: millis(NOW), until=END)
    with running(shop) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as api:
        # then
        assert keys(api, START, START + timedelta(days=30)) == [row.id for row in bought]
        assert keys(api, NOW - timedelta(days=30), NOW) == []
        # when
        api.post(f"/admin/orders/{good.id}/cancel").raise_for_status()
        # then
        assert set(keys(api, NOW - timedelta(days=1), NOW + timedelta(days=1))) == {good.id}


def keys(api: httpx.Client, start: datetime, end: datetime) -> list[Any]:
    query = {"modified_from": millis(start), "modified_to": millis(end), "size": 200}
    answer = api.get("/api/orders", params=query)
    answer.raise_for_status()
    return [row["orderId"] for row in answer.json()["orders"]]
