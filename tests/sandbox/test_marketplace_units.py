from collections.abc import Iterator
from itertools import count

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import orders_between
from sandbox.marketplace.order import moment

NOW = 1_774_000_000_000
DAY = 86_400_000


@pytest.fixture(scope="module")
def running_market() -> Iterator[httpx.Client]:
    ticks = count(NOW)
    app = create_app(calls_per_second=None, feed_seconds=None, clock=lambda: next(ticks))
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
        yield client


@pytest.fixture(scope="module")
def unused() -> Iterator[dict]:
    """Orders whose second line, or first, has several units; each test takes one."""
    found = orders_between(1, 12, moment(NOW - 9 * DAY), moment(NOW))
    return (row.body for row in found if not row.fault and row.body["lines"][0]["quantity"] > 2)


@pytest.fixture
def api(running_market, unused):
    body = next(unused)
    return Api(running_market, body["orderId"], body["lines"][0]["lineId"], body["lines"][0]["quantity"])


class Api:
    """One order, and what happens to its first line."""

    def __init__(self, http, order, line, quantity):
        self.http, self.order, self.line, self.quantity = http, order, line, quantity

    def post(self, path, **body):
        return self.http.post(path.format(f"orders/{self.order}"), json=body)

    def did(self, path, **body):
        answer = self.post(path, **body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def units(self, *numbers):
        return [{"lineId": self.line, "unitNumbers": list(numbers)}]

    def some(self, quantity):
        return [{"lineId": self.line, "quantity": quantity}]

    def shown(self):
        return self.http.get(f"/api/orders/{self.order}").json()

    def states(self):
        return [unit["state"] for unit in self.shown()["lines"][0]["units"]]


def refused(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_nothing_is_said_of_units_to_which_nothing_happened(api):
    assert "units" not in api.shown()["lines"][0]


def test_a_parcel_without_names_takes_units_from_the_front(api):
    api.did("/api/{}/shipment", trackingNo="T1", invoiceNo="F1", lines=api.some(2))

    first, second, third, *_ = api.shown()["lines"][0]["units"]
    assert first == {"number": 1, "state": "SHIPPED", "trackingNo": "T1", "invoiceNo": "F1"}
    assert second == {**first, "number": 2}
    assert third == {"number": 3, "state": "OPEN", "trackingNo": None, "invoiceNo": None}


def test_units_are_shipped_and_delivered_by_name(api):
    api.did("/api/{}/shipment", trackingNo="T2", lines=api.units(2))
    api.did("/api/{}/shipment", trackingNo="T3", lines=api.units(3))
    api.did("/api/{}/delivered", lines=api.units(3))

    assert api.states()[:3] == ["OPEN", "SHIPPED", "DELIVERED"]
    assert [unit["trackingNo"] for unit in api.shown()["lines"][0]["units"][:3]] == [None, "T2", "T3"]


def test_the_marketplaces_own_warehouse_ships_what_is_left(api):
    api.did("/admin/{}/cancel", lines=api.units(2))
    api.did("/admin/{}/ship", trackingNo="T9", invoiceNo="F9")

    first, second, *_ = api.shown()["lines"][0]["units"]
    assert (first["state"], first["trackingNo"], first["invoiceNo"]) == ("SHIPPED", "T9", "F9")
    assert second["state"] == "CANCELLED"


def test_a_refusal_says_what_the_units_are_instead(api):
    refused(api.post("/api/{}/delivered", lines=api.units(1)), 409, "NOT_SHIPPED")
    api.did("/api/{}/shipment", lines=api.units(1))
    refused(api.post("/api/{}/shipment", lines=api.units(1)), 409, "ALREADY_SHIPPED")
    refused(api.post("/api/{}/shipment", lines=api.units(1, 2)), 409, "TOO_MANY_UNITS")
    api.did("/api/{}/delivered", lines=api.units(1))
    refused(api.post("/api/{}/delivered", lines=api.units(1)), 409, "ALREADY_DELIVERED")
    api.did("/admin/{}/cancel", lines=api.units(2))
    refused(api.post("/api/{}/shipment", lines=api.units(2)), 409, "ALREADY_CANCELLED")
    refused(api.post("/api/{}/shipment", lines=api.units(99)), 422, "UNIT_UNKNOWN")


@pytest.mark.parametrize(
    "line", [{}, {"unitNumbers": []}, {"unitNumbers": [1, 1]}, {"unitNumbers": [1], "quantity": 2}]
)
def test_lines_that_do_not_say_how_many_are_refused(api, line):
    assert api.post("/api/{}/shipment", lines=[{"lineId": api.line, **line}]).status_code == 422


def test_a_line_that_stands_twice_is_added_up_or_refused(api):
    refused(api.post("/api/{}/shipment", lines=api.units(1) + api.some(1)), 422, "LINES_INVALID")
    refused(api.post("/api/{}/shipment", lines=api.units(1) + api.units(1)), 422, "LINES_INVALID")

    api.did("/api/{}/shipment", lines=api.units(1) + api.units(3))

    assert api.states()[:3] == ["SHIPPED", "OPEN", "SHIPPED"]


def test_a_feed_ships_by_name_and_in_its_order(api):
    lines = [
        {"orderId": api.order, "trackingNo": "T1", "lines": api.units(2)},
        {"orderId": api.order, "status": "DELIVERED", "lines": api.units(2)},
    ]
    feed = api.did("/api/feeds/shipments", reference=f"units/{api.order}", lines=lines)["feedId"]
    api.did(f"/admin/feeds/{feed}/decide")

    assert api.states()[:3] == ["OPEN", "DELIVERED", "OPEN"]


def test_a_cancel_leaves_claimed_and_shipped_units_alone_as_long_as_it_can(api):
    api.did("/api/{}/shipment", lines=api.units(api.quantity - 1))
    claim = api.did("/admin/{}/claim", type="CANCEL", lineId=api.line)
    assert claim["unitNumbers"] == [api.quantity]

    api.did("/admin/{}/cancel", lines=api.some(1))
    assert api.states()[api.quantity - 3 :] == ["CANCELLED", "SHIPPED", "OPEN"]
    api.did("/admin/{}/cancel", lines=api.some(api.quantity - 2))

    refused(api.post(f"/api/claims/{claim['claimId']}/approve"), 409, "ALREADY_CANCELLED")


def test_only_what_was_delivered_comes_back(api):
    api.did("/api/{}/shipment", lines=api.some(2))
    api.did("/api/{}/delivered", lines=api.some(2))

    claim = api.did("/admin/{}/claim", type="RETURN", lineId=api.line)
    assert claim["unitNumbers"] == [2]
    refused(api.post("/admin/{}/claim", type="RETURN", lineId=api.line, quantity=2), 409, "NOT_DELIVERED")
    api.did(f"/api/claims/{claim['claimId']}/approve")

    assert api.states()[:3] == ["DELIVERED", "RETURNED", "OPEN"]
    assert api.shown()["lines"][0]["deliveredQuantity"] == 2


def test_a_claimed_unit_that_was_shipped_meanwhile_is_not_cancelled(api):
    claim = api.did("/admin/{}/claim", type="CANCEL", lineId=api.line)
    api.did("/api/{}/shipment", lines=api.units(*claim["unitNumbers"]))

    refused(api.post(f"/api/claims/{claim['claimId']}/approve"), 409, "ALREADY_SHIPPED")
    assert api.http.get(f"/api/claims/{claim['claimId']}").json()["state"] == "WAITING"


def test_all_cancellations_of_an_order_are_read_at_once(api):
    path = f"/api/orders/{api.order}/cancellations"
    assert api.http.get(path).json() == {"cancellations": []}
    for reason in ("TOO_LATE", "OUT_OF_STOCK"):
        api.did("/admin/{}/cancel", reason=reason, lines=api.some(1))

    found = api.http.get(path).json()["cancellations"]

    assert [(row["unitNumbers"], row["reasonCode"]) for row in found] == [
        ([api.quantity], "TOO_LATE"),
        ([api.quantity - 1], "OUT_OF_STOCK"),
    ]
    refused(api.http.get("/api/orders/1/cancellations"), 404, "ORDER_UNKNOWN")
    assert api.http.get(path, headers={"X-Api-Key": "wrong"}).status_code == 401


def test_an_invoice_of_the_marketplace_stands_at_the_order_and_its_units(api):
    api.did("/api/{}/shipment", invoiceNo="F1", lines=api.some(1))
    api.did("/admin/{}/cancel", lines=api.some(1))
    before = api.shown()["changedAtMs"]

    after = api.did("/admin/{}/invoice", number="KRV-F2")

    numbers = [unit["invoiceNo"] for unit in after["lines"][0]["units"]]
    assert numbers == ["KRV-F2"] * (api.quantity - 1) + [None]
    assert after["invoiceNo"] == "KRV-F2"
    assert after["changedAtMs"] > before
    refused(api.http.post("/admin/orders/1/invoice", json={"number": "X"}), 404, "ORDER_UNKNOWN")


def test_a_line_leads_to_its_order(api):
    assert api.http.get(f"/api/lines/{api.line}").json() == api.shown()
    for stranger in ("none", "1-1", f"{api.order}-99", "9" * 30):
        refused(api.http.get(f"/api/lines/{stranger}"), 404, "LINE_UNKNOWN")
    assert api.http.get(f"/api/lines/{api.line}", headers={"X-Api-Key": "wrong"}).status_code == 401


def test_an_order_of_this_very_moment_can_be_cancelled_and_claimed(tmp_path):
    (order,) = orders_between(1, 12, moment(NOW), moment(NOW + DAY))[:1]
    app = create_app(calls_per_second=None, clock=lambda: order.body["changedAtMs"])
    line = {"lineId": order.body["lines"][0]["lineId"], "quantity": 1}
    with running(app) as url, httpx.Client(base_url=f"{url}/admin/orders/{order.id}") as client:
        assert client.post("claim", json={"type": "CANCEL"}).status_code == 201
        assert client.post("cancel", json={"lines": [line]}).status_code == 200
