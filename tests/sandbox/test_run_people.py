"""What people do in a story does what it says: shoppers and clerks at the marketplace, the merchant in Omnitron."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import create_app as create_marketplace
from sandbox.omnitron import create_app as create_omnitron
from sandbox.run.merchant import Merchant
from sandbox.run.plan import BAD, END, RATE, SEED, START
from sandbox.run.shoppers_marketplace import MarketplaceShop

KEY = "a-key"
CHANNEL = 1


@pytest.fixture
def api(tmp_path: Path) -> Iterator[httpx.Client]:
    """A marketplace whose feeds are decided by hand alone."""
    app = create_marketplace(
        str(tmp_path / "shop"), seed=SEED, rate=RATE, bad=BAD, api_key=KEY, calls_per_second=None, feed_seconds=None,
        until=END,
    )  # fmt: skip
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": KEY}) as client:
        yield client


def orders(api: httpx.Client) -> list[int]:
    start, end = (int(moment.timestamp() * 1000) for moment in (START, END))
    rows = api.get("/api/orders", params={"modified_from": start, "modified_to": end}).json()["orders"]
    return [row["orderId"] for row in rows if row["lines"]]


def feed(api: httpx.Client, reference: str, *ids: int) -> dict[int, str]:
    """Results by order; empty while nobody has decided."""
    lines = [{"orderId": order, "trackingNo": "T"} for order in ids]
    api.post("/api/feeds/shipments", json={"reference": reference, "lines": lines}).raise_for_status()
    return results(api, reference)


def results(api: httpx.Client, reference: str) -> dict[int, str]:
    (found,) = api.get("/api/feeds", params={"reference": reference}).json()["feeds"]
    return {line["orderId"]: line["result"] for line in found["lines"] if line["result"]}


def test_a_parcel_is_refused_once_where_the_marketplace_answers_at_once(api: httpx.Client, tmp_path: Path) -> None:
    shop = MarketplaceShop(str(api.base_url), tmp_path / "shop", is_sync=True)
    first, second, *_ = orders(api)
    shop.refuse_next(str(first))
    ship = [api.post(f"/api/orders/{order}/shipment", json={}).status_code for order in (second, first, first)]
    assert ship == [200, 422, 200]
    shop.close()


def test_an_order_is_refused_once_in_a_feed_and_the_others_pass(api: httpx.Client, tmp_path: Path) -> None:
    # given
    shop = MarketplaceShop(str(api.base_url), tmp_path / "shop", is_sync=False)
    first, second, *_ = orders(api)
    shop.refuse_next(str(first))
    assert feed(api, "one", first, second) == {}
    # when: nobody waits for it yet
    shop.work(awaited=False)
    # then
    assert results(api, "one") == {}
    # when
    shop.work(awaited=True)
    # then
    assert results(api, "one") == {first: "FAILED", second: "OK"}
    # when: again, and nobody minds any more
    feed(api, "two", first)
    shop.work(awaited=True)
    # then
    assert results(api, "two") == {first: "OK"}
    shop.close()


ROWS = """
    INSERT INTO channels (pk, name, conf) VALUES (1, 'shop', '{}');
    INSERT INTO orders (pk, channel, status, extra_field) VALUES (1, 1, '400', '{"id": "O"}');
    INSERT INTO order_items (pk, channel, "order", status, extra_field) VALUES
        (10, 1, 1, '400', '{"id": "L/2"}'), (11, 1, 1, '550', '{"id": "L/1"}');
    INSERT INTO cancellation_requests (pk, channel, order_item, cancellation_type, status) VALUES
        (20, 1, 10, 'cancel', 'waiting_approval'), (21, 1, 11, 'refund', 'waiting_approval'),
        (22, 1, 11, 'refund', 'rejected');
    INSERT INTO cancellation_plans (pk, channel, "order", status, cancellation_type, items) VALUES
        (30, 1, 1, 'waiting', 'cancel', '[10]');
"""


@pytest.fixture
def merchant(tmp_path: Path) -> Iterator[Merchant]:
    database = tmp_path / "omnitron"
    with running(create_omnitron(str(database))) as url:
        with closing(sqlite3.connect(database)) as connection:
            connection.executescript(ROWS)
        merchant = Merchant(url, database, CHANNEL)
        yield merchant
        merchant.close()


def column(tmp_path: Path, query: str) -> dict[int, Any]:
    with closing(sqlite3.connect(tmp_path / "omnitron")) as connection:
        return dict(connection.execute(query).fetchall())


def test_the_merchant_packs_from_the_front(merchant: Merchant, tmp_path: Path) -> None:
    (order,) = merchant.sold()
    assert [(unit.line, unit.number) for unit in order.units] == [("L", 1), ("L", 2)]
    merchant.ship([order.units[1]], "T")
    assert column(tmp_path, "SELECT pk, status || ' ' || tracking_number FROM order_items WHERE pk = 10") == {
        10: "500 T"
    }


def test_an_approval_goes_all_the_way_and_the_unit_with_it(merchant: Merchant, tmp_path: Path) -> None:
    for request in merchant.asked():
        merchant.approve(request)
    assert column(tmp_path, "SELECT pk, status FROM cancellation_requests") == {
        20: "completed",
        21: "completed",
        22: "rejected",
    }
    assert column(tmp_path, "SELECT pk, status FROM order_items") == {10: "100", 11: "600"}
    assert merchant.asked() == []


def test_what_is_begun_or_rejected_moves_no_unit(merchant: Merchant, tmp_path: Path) -> None:
    first, second = merchant.asked()
    merchant.begin(first)
    merchant.reject(second)
    states = column(tmp_path, "SELECT pk, status FROM cancellation_requests")
    assert (states[first.pk], states[second.pk]) == ("approved", "rejected")
    assert column(tmp_path, "SELECT pk, status FROM order_items") == {10: "400", 11: "550"}


def test_cancellation_plans_are_carried_out_once(merchant: Merchant, tmp_path: Path) -> None:
    assert (merchant.carry_out_plans(), merchant.carry_out_plans()) == (1, 0)
    assert column(tmp_path, "SELECT pk, status FROM order_items WHERE pk = 10") == {10: "100"}
    assert json.dumps(column(tmp_path, "SELECT pk, status FROM cancellation_plans")) == '{"30": "completed"}'
