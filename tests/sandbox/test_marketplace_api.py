import os
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
import simplejson

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import ORDERS_IN_SLOT, Plan, expected_of, orders_between
from sandbox.marketplace.order import moment
from sandbox.marketplace.store import ORDER_BASE, Store

NOW = 1_774_000_000_000
DAY = 86_400_000
ROOT = Path(__file__).parents[2]


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def api(clock: Clock, tmp_path: Path) -> Iterator[httpx.Client]:
    app = create_app(str(tmp_path / "market.db"), calls_per_second=None, feed_seconds=10, clock=clock)
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
        yield client


def listed(api, start=NOW - DAY, end=NOW, size=100, **params):
    return loads(api.get("/api/orders", params={"modified_from": start, "modified_to": end, "size": size, **params}))


def loads(answer):
    assert answer.status_code < 300, answer.text
    return simplejson.loads(answer.text, use_decimal=True)


def pages(api, start=NOW - DAY, end=NOW, size=100):
    """Each page, and what the caller does before the next is read."""
    answer = listed(api, start, end, size)
    yield answer["orders"]
    while answer["next"]:
        answer = listed(api, start, end, size, after=answer["next"])
        yield answer["orders"]


def ordinary(api):
    """An order without anything special, with a line of several units."""
    found = (
        order
        for page in pages(api)
        for order in page
        if Plan().kind_of(order["orderId"] % ORDER_BASE // ORDERS_IN_SLOT) is None
        and any(line["quantity"] > 2 for line in order["lines"])
    )
    return next(found)


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_strangers_are_refused(api):
    for key in ("", "wrong"):
        refused(api.get("/api/orders/1", headers={"X-Api-Key": key}), 401, "KEY_UNKNOWN")
        refused(api.post("/api/claims/1/approve", headers={"X-Api-Key": key}), 401, "KEY_UNKNOWN")
        refused(api.get("/api/feeds/1", headers={"X-Api-Key": key}), 401, "KEY_UNKNOWN")


def test_health_needs_no_key(api):
    assert api.get("/health", headers={"X-Api-Key": ""}).json() == {"status": "ok"}


@pytest.mark.parametrize("size", [1, 7, 100, 200])
def test_the_list_is_what_the_generator_says_whatever_the_page_size(api, size):
    start = NOW - DAY // 4
    rows = [row for page in pages(api, start, NOW, size) for row in page]

    assert rows == [order.body for order in orders_between(1, 12, moment(start), moment(NOW))]


def test_numbered_pages_hold_the_same_rows_as_cursors(api):
    by_number = [row for page in (1, 2, 3, 4) for row in listed(api, page=page)["orders"]]

    assert by_number == [row for page in pages(api) for row in page]
    assert (
        listed(api)["total"]
        == len(by_number)
        == expected_of(orders_between(1, 12, moment(NOW - DAY), moment(NOW))).rows
    )


def test_a_window_is_half_open(api):
    second = listed(api, size=2)["orders"][1]["changedAtMs"]

    assert listed(api, second, second + 1)["orders"][0]["changedAtMs"] == second
    assert listed(api, second - DAY, second, size=200)["orders"][-1]["changedAtMs"] != second


def test_nothing_is_listed_before_it_happens(api, clock):
    order = listed(api, NOW - DAY, NOW)["orders"][-1]
    (ahead,) = orders_between(1, 12, moment(NOW), moment(NOW + DAY))[:1]
    assert listed(api, NOW, NOW + DAY)["orders"] == []
    refused(api.get(f"/api/orders/{ahead.id}"), 404, "ORDER_UNKNOWN")

    clock.ms = ahead.body["changedAtMs"]

    assert listed(api, NOW, NOW + DAY)["orders"] == [ahead.body]
    assert loads(api.get(f"/api/orders/{ahead.id}")) == ahead.body
    assert order != ahead.body


def test_an_order_modified_while_pages_are_read_hides_no_other(api, clock):
    expected = {order.id for order in orders_between(1, 12, moment(NOW - DAY), moment(NOW))}
    reading = pages(api, size=50)
    seen = next(reading)

    clock.ms += 1000
    for order in seen[:5]:
        loads(api.post(f"/api/orders/{order['orderId']}/shipment", json={}))
    seen += [row for page in reading for row in page]

    assert {row["orderId"] for row in seen} == expected


def test_a_modified_order_moves_to_the_window_of_its_modification(api, clock):
    order = ordinary(api)
    clock.ms += 5000
    loads(api.post(f"/api/orders/{order['orderId']}/shipment", json={"trackingNo": "T1"}))

    assert order["orderId"] not in {row["orderId"] for page in pages(api) for row in page}
    (moved,) = (row for row in listed(api, NOW, NOW + DAY)["orders"] if row["orderId"] == order["orderId"])
    assert (moved["state"], moved["trackingNo"], moved["changedAtMs"]) == ("SHIPPED", "T1", NOW + 5000)


def test_one_order_can_be_read_before_any_list(api):
    order = orders_between(1, 12, moment(NOW - 9 * DAY), moment(NOW))[0]

    assert loads(api.get(f"/api/orders/{order.id}")) == order.body
    refused(api.get("/api/orders/1"), 404, "ORDER_UNKNOWN")


def test_money_has_two_decimals_on_the_wire(api):
    text = api.get("/api/orders", params={"modified_from": NOW - DAY, "modified_to": NOW, "size": 1}).text
    order = simplejson.loads(text, use_decimal=True)["orders"][0]

    assert f'"unitPrice":{order["lines"][0]["unitPrice"]:.2f},' in text
    assert f'"payable":"{Decimal(order["totals"]["payable"]):.2f}"' in text


@pytest.mark.parametrize(
    "params",
    [
        {"modified_from": NOW, "modified_to": NOW - 1},
        {"modified_from": NOW - 32 * DAY, "modified_to": NOW},
        {"modified_from": NOW - DAY, "modified_to": NOW, "after": "elsewhere"},
    ],
)
def test_windows_and_cursors_that_make_no_sense_are_refused(api, params):
    assert api.get("/api/orders", params=params).status_code == 400


def test_too_many_calls_are_told_to_wait(clock):
    app = create_app(calls_per_second=5, clock=clock)
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
        answers = [client.get("/api/claims/reasons") for _ in range(12)]

    waiting = [answer for answer in answers if answer.status_code == 429]
    assert waiting
    assert all(int(answer.headers["Retry-After"]) >= 1 for answer in waiting)


def test_units_are_shipped_and_delivered_once(api):
    order = ordinary(api)
    path, line = f"/api/orders/{order['orderId']}", next(line for line in order["lines"] if line["quantity"] > 2)
    refused(api.post(f"{path}/delivered"), 409, "NOT_SHIPPED")

    part = loads(api.post(f"{path}/shipment", json={"lines": [{"lineId": line["lineId"], "quantity": 1}]}))
    assert part["state"] == "PARTLY_SHIPPED"
    too_many = {"lines": [{"lineId": line["lineId"], "quantity": line["quantity"]}]}
    refused(api.post(f"{path}/shipment", json=too_many), 409, "TOO_MANY_UNITS")
    assert loads(api.post(f"{path}/shipment", json={"trackingNo": "T2"}))["state"] == "SHIPPED"
    refused(api.post(f"{path}/shipment", json={}), 409, "ALREADY_SHIPPED")

    assert loads(api.post(f"/admin/orders/{order['orderId']}/deliver"))["state"] == "DELIVERED"
    refused(api.post(f"{path}/delivered"), 409, "ALREADY_DELIVERED")


def test_a_feed_is_decided_later_line_by_line(api, clock):
    good, bad = [row for row in listed(api)["orders"] if row["lines"]][:2]
    lines = [
        {"orderId": good["orderId"], "carrier": "aras", "trackingNo": "T3"},
        {"orderId": bad["orderId"], "status": "DELIVERED"},
        {"orderId": 7},
    ]
    feed = loads(api.post("/api/feeds/shipments", json={"reference": "17/1", "lines": lines}))
    assert loads(api.get(f"/api/feeds/{feed['feedId']}"))["state"] == "IN_PROGRESS"

    clock.ms += 10_000

    done = loads(api.get(f"/api/feeds/{feed['feedId']}"))
    assert done["state"] == "DONE"
    assert [(line["result"], line["code"]) for line in done["lines"]] == [
        ("OK", None),
        ("FAILED", "NOT_SHIPPED"),
        ("FAILED", "ORDER_UNKNOWN"),
    ]
    assert loads(api.get(f"/api/orders/{good['orderId']}"))["trackingNo"] == "T3"


def test_a_reference_is_taken_once_and_found_again(api):
    body = {"reference": "18/1", "lines": [{"orderId": listed(api)["orders"][0]["orderId"]}]}
    feed = loads(api.post("/api/feeds/shipments", json=body))

    again = api.post("/api/feeds/shipments", json=body)

    refused(again, 409, "REFERENCE_USED")
    assert again.json()["feedId"] == feed["feedId"]
    found = loads(api.get("/api/feeds", params={"reference": "18/1"}))["feeds"]
    assert [one["feedId"] for one in found] == [feed["feedId"]]
    assert loads(api.get("/api/feeds", params={"reference": "18/2"}))["feeds"] == []


def test_a_feed_can_be_refused_by_hand(api):
    order = ordinary(api)["orderId"]
    feed = loads(api.post("/api/feeds/shipments", json={"reference": "19/1", "lines": [{"orderId": order}]}))["feedId"]

    loads(api.post(f"/admin/feeds/{feed}/decide", json={"refuse": [order], "code": "CARRIER_UNKNOWN"}))

    assert loads(api.get(f"/api/feeds/{feed}"))["lines"][0]["code"] == "CARRIER_UNKNOWN"
    assert loads(api.get(f"/api/orders/{order}"))["state"] == "NEW"
    refused(api.post(f"/admin/feeds/{feed}/decide"), 409, "ALREADY_DONE")


def test_cancelled_units_are_listed_from_the_back(api, clock):
    order = ordinary(api)
    path, line = f"/admin/orders/{order['orderId']}", next(line for line in order["lines"] if line["quantity"] > 2)
    clock.ms += 1
    for _ in range(2):
        loads(api.post(f"{path}/cancel", json={"lines": [{"lineId": line["lineId"], "quantity": 1}]}))
    assert loads(api.post(f"{path}/cancel", json={"reason": "OUT_OF_STOCK"}))["state"] == "CANCELLED"
    refused(api.post(f"{path}/cancel"), 409, "ALREADY_CANCELLED")
    refused(api.post(f"/api/orders/{order['orderId']}/shipment", json={}), 409, "ALREADY_CANCELLED")

    answer = loads(api.get("/api/cancellations", params={"modified_from": NOW, "modified_to": NOW + DAY}))
    units = [row["unitNumbers"] for row in answer["cancellations"] if row["lineId"] == line["lineId"]]
    assert units[:2] == [[line["quantity"]], [line["quantity"] - 1]]
    assert sorted(number for row in units for number in row) == list(range(1, line["quantity"] + 1))


def test_an_approved_return_takes_units_back_once(api, clock):
    order = ordinary(api)
    path = f"/admin/orders/{order['orderId']}"
    refused(api.post(f"{path}/claim", json={"type": "RETURN"}), 409, "NOT_DELIVERED")
    loads(api.post(f"/api/orders/{order['orderId']}/shipment", json={}))
    loads(api.post(f"{path}/deliver"))

    claim = loads(api.post(f"{path}/claim", json={"type": "RETURN", "reason": "DAMAGED", "note": "kırık"}))
    assert (claim["state"], claim["unitNumbers"]) == ("WAITING", [order["lines"][0]["quantity"]])
    clock.ms += 1000
    assert loads(api.post(f"/api/claims/{claim['claimId']}/approve"))["state"] == "APPROVED"

    refused(api.post(f"/api/claims/{claim['claimId']}/approve"), 409, "ALREADY_APPROVED")
    assert loads(api.get(f"/api/orders/{order['orderId']}"))["lines"][0]["returnedQuantity"] == 1
    window = {"modified_from": NOW + 1000, "modified_to": NOW + 1001}
    assert [row["claimId"] for row in loads(api.get("/api/claims", params=window))["claims"]] == [claim["claimId"]]


def test_a_rejected_claim_needs_a_reason_and_frees_its_units(api):
    order = ordinary(api)
    path = f"/admin/orders/{order['orderId']}/claim"
    claim = loads(api.post(path, json={"type": "CANCEL"}))

    refused(api.post(f"/api/claims/{claim['claimId']}/reject", json={"reasonCode": "NONE"}), 422, "REASON_UNKNOWN")
    loads(api.post(f"/api/claims/{claim['claimId']}/reject", json={"reasonCode": "ALREADY_SENT"}))

    refused(api.post(f"/api/claims/{claim['claimId']}/approve"), 409, "ALREADY_REJECTED")
    assert loads(api.post(path, json={"type": "CANCEL"}))["unitNumbers"] == claim["unitNumbers"]


def test_an_approved_cancel_cancels_the_claimed_units(api):
    order = ordinary(api)
    claim = loads(api.post(f"/admin/orders/{order['orderId']}/claim", json={"type": "CANCEL"}))

    loads(api.post(f"/api/claims/{claim['claimId']}/approve"))

    (row,) = loads(api.get("/api/cancellations", params={"modified_from": NOW, "modified_to": NOW + DAY}))[
        "cancellations"
    ]
    assert (row["lineId"], row["unitNumbers"]) == (claim["lineId"], claim["unitNumbers"])


def test_the_database_says_in_plain_columns_what_the_list_shows(api, tmp_path):
    rows = [row for page in pages(api) for row in page]

    with sqlite3.connect(tmp_path / "market.db") as db:
        stored = db.execute(
            "SELECT order_id, number, payable FROM orders WHERE modified_ms >= ?", (NOW - DAY,)
        ).fetchall()
        units = db.execute("SELECT sum(quantity) FROM lines JOIN orders ON row_id = order_row").fetchone()
        reasons = db.execute("SELECT count(DISTINCT reason) FROM orders").fetchone()
    db.close()

    assert sorted(stored) == sorted((row["orderId"], row["orderNumber"], row["totals"]["payable"]) for row in rows)
    assert units == (sum(line["quantity"] for row in rows for line in row["lines"]),)
    assert reasons == (18,)


def test_a_database_of_another_plan_is_refused(tmp_path):
    Store(str(tmp_path / "market.db"), Plan(seed=1)).close()

    with pytest.raises(SystemExit, match="seed"):
        Store(str(tmp_path / "market.db"), Plan(seed=2))


def test_a_database_is_taken_up_again(tmp_path, clock):
    def read():
        app = create_app(str(tmp_path / "market.db"), clock=clock)
        with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
            return client.get("/admin/counts").json(), listed(client)

    first, again = read(), read()

    assert first[1] == again[1]
    assert again[0]["orders"] == again[1]["total"]


def test_the_page_shows_what_there_is_and_escapes_it(api):
    order = ordinary(api)
    loads(api.post("/api/feeds/shipments", json={"reference": "<b>", "lines": [{"orderId": order["orderId"]}]}))

    page = api.get("/").text

    assert "Orders (" in page
    assert "&lt;b&gt;" in page
    assert "<b>" not in page


def test_the_command_serves_until_it_is_stopped(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "sandbox.marketplace", "--port", str(port), "--database", str(tmp_path / "m.db")]
    environment = {**os.environ, "MARKETPLACE_API_KEY": "mine"}
    with subprocess.Popen(command, cwd=ROOT, env=environment) as server:
        try:
            answer = eventually(lambda: httpx.get(f"http://127.0.0.1:{port}/health"))
            assert answer.json() == {"status": "ok"}
            reasons = httpx.get(f"http://127.0.0.1:{port}/api/claims/reasons", headers={"X-Api-Key": "mine"})
            assert reasons.status_code == 200
        finally:
            server.terminate()


def eventually(attempt, seconds=15):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
