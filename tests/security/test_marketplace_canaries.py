"""The same with a real connector over HTTP: the marketplace's orders are one person's, and its answers quote them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import create_app
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.order import millis
from sandbox.run.world import MARKETPLACE_REASONS, REASONS
from tests.flows.outbound_steps import change
from tests.security.conftest import Deployment
from tests.security.people import ECHO, PAGE, PERSON, SECRETS, email

pytestmark = pytest.mark.airflow

NOW = datetime(2026, 1, 5, 20, tzinfo=UTC)
BEFORE = NOW - timedelta(hours=3)
ALWAYS = 10_000
INBOUND = (
    "fetch_orders", "fetch_and_create_cancel", "fetch_and_update_order_items", "fetch_and_create_cancellation_requests",
)  # fmt: skip
Row = dict[str, Any]


@dataclass
class Marketplace:
    """The server, and what befalls it."""

    http: httpx.Client
    orders: list[Row]

    def happens(self, order: Row, what: str, **body: Any) -> None:
        self.http.post(f"/admin/orders/{order['orderId']}/{what}", json=body).raise_for_status()

    def fault(self, path: str, kind: str, **action: Any) -> None:
        rule = {"path": path, "times": ALWAYS, "action": {"kind": kind, **action}}
        self.http.post("/admin/faults", json=rule).raise_for_status()

    def calls(self) -> int:
        return len(self.http.get("/admin/requests").json())


def planted(body: Row) -> Row:
    """The order, as if the person had placed it."""
    who = {"name": PERSON["name"], "surname": PERSON["surname"], "phone": f"+90{PERSON['phone']}"}
    where = {"label": PERSON["address title"], "street": PERSON["address line"], "postcode": PERSON["postcode"]}
    company = {"name": PERSON["company"], "taxOffice": PERSON["tax office"], "taxNo": PERSON["tax number"]}
    body["buyer"] |= {**who, "email": email(str(body["buyer"]["buyerId"]))}
    for name in ("deliverTo", "invoiceTo"):
        body[name] |= {**who, **where, "identityNo": PERSON["identity number"]}
    body["invoiceTo"]["company"] = {**company, "eInvoice": True}
    body["gift"] = {"wrap": True, "note": PERSON["gift note"]}
    return body | {"note": PERSON["note"], "clientIp": PERSON["IP address"]}


def people(store: Any) -> list[Row]:
    """Every order of the day gets the person; a few are broken in what is the person's. Returns those that are not."""
    store.materialise(millis(BEFORE), millis(NOW))
    rows = store.db.execute("SELECT order_id, fault FROM orders ORDER BY order_id").fetchall()
    good, broken = [], 0
    for row in rows:
        with store.transaction():
            store.change(row["order_id"], lambda body: body.update(planted(body)))
            if row["fault"] is None and broken < 4:
                store.change(row["order_id"], lambda body, kind=broken: broken_in(body, kind))
                broken += 1
            elif row["fault"] is None:
                good.append(json.loads(store.find(row["order_id"])))
    return good


def broken_in(body: Row, kind: int) -> None:
    wrong = PERSON["broken field"]
    match kind:
        case 0:
            body["buyer"]["email"] = f"{PERSON['e-mail']} at example"
        case 1:
            body["deliverTo"]["phone"] = wrong
        case 2:
            body["totals"]["discount"] = wrong
        case _:
            body["buyer"][PERSON["name"]] = body["buyer"].pop("surname")


@pytest.fixture
def marketplace(
    deployment: Deployment, connections: Callable[..., None], configure: Callable[..., None]
) -> Iterator[Marketplace]:
    """The shelf's channel is the marketplace now, under a key that is a marker."""
    ticks = iter(range(millis(NOW), millis(NOW) + 10**9))
    key = SECRETS["API key"]
    app = create_app(calls_per_second=None, feed_seconds=None, rate=6, api_key=key, clock=lambda: next(ticks))
    orders = people(app.state.store)
    reasons = [{"id": pk, "subject": subject, "cancellation_type": kind} for pk, subject, kind in REASONS]
    deployment.office.told(
        products=[{"channel": 1, "remote_id": one.id, "sku": one.id} for one in catalogue()],
        cargos=[{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
        cancellation_reasons=reasons,
    )
    conf = {"reason_mapping": MARKETPLACE_REASONS}
    deployment.office.patch("/admin/channels/1", json={"conf": conf}).raise_for_status()
    configure(connector="marketplace", settings={"reject_reason": "USED"})
    deployment.window = {"window_start": BEFORE.isoformat(), "window_end": (NOW + timedelta(hours=1)).isoformat()}
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": key}) as http:
        host, _, port = url.rpartition(":")
        connections("shelf", host=host, port=int(port), login="", password=key)
        yield Marketplace(http, orders)


def test_nobody_is_found_anywhere_after_a_story_at_the_marketplace(
    deployment: Deployment, marketplace: Marketplace
) -> None:
    first, second, third, *_ = marketplace.orders
    table = deployment.run("fetch_orders").table()
    assert table["created"] >= len(marketplace.orders)  # some that are odd pass, too
    assert table["quarantined"] >= 4
    marketplace.happens(first, "cancel")
    for kind, order in (("CANCEL", second), ("CANCEL", third)):
        marketplace.happens(order, "claim", type=kind, note=PERSON["shopper's words"])
    assert all(deployment.run(flow).state == "success" for flow in INBOUND)
    for row, status in zip(deployment.office.rows("cancellation_requests"), ("rejected", "confirmed"), strict=True):
        path = f"/admin/cancellation_requests/{row['pk']}"
        deployment.office.patch(path, json={"status": status}).raise_for_status()
    change(deployment.office, *(str(order["orderId"]) for order in marketplace.orders[3:5]))

    told = [deployment.run(flow) for flow in ("update_orders", "update_cancellation_requests", "check_orders")]

    assert [run.state for run in told] == ["success"] * 3
    assert told[0].table()["succeeded"] >= 2
    assert deployment.findings() == []
    assert deployment.secrets_in_staging({**SECRETS, "token": deployment.token()}) == []


FAULTS: dict[str, Callable[[Marketplace], None]] = {
    "a page that quotes": lambda shop: shop.fault("/api/orders", "status", status=500, body=PAGE),
    "a page instead of orders": lambda shop: shop.fault("/api/orders", "status", status=200, body=PAGE),
    "a refusal that quotes": lambda shop: shop.fault(
        "/api/orders", "status", status=422, body={"code": ECHO, "message": ECHO, PERSON["name"]: ECHO}
    ),
    "the key is refused": lambda shop: shop.fault("/api/orders", "status", status=401, body={"message": ECHO}),
    "a list of another shape": lambda shop: shop.fault("/api/orders", "status", status=200, body={"orders": ECHO}),
    "records of another shape": lambda shop: shop.fault(
        "/api/orders", "status", status=200, body={"orders": [ECHO, [ECHO], {ECHO: ECHO}, None], "next": None}
    ),
    "half an answer": lambda shop: shop.fault("/api/orders", "truncate"),
    "a cut answer": lambda shop: shop.fault("/api/orders", "cut_before"),
    "a redirect that quotes": lambda shop: shop.fault(
        "/api/orders", "status", status=302, headers={"Location": f"https://shop.example/?{PERSON['e-mail']}"}
    ),
}
IN_EACH_TEST_RUN = ("records of another shape",)


@pytest.mark.parametrize(
    "case", [pytest.param(one, marks=() if one in IN_EACH_TEST_RUN else pytest.mark.by_hand) for one in FAULTS]
)
def test_nobody_is_found_anywhere_whatever_the_marketplace_answers(
    deployment: Deployment, marketplace: Marketplace, case: str
) -> None:
    FAULTS[case](marketplace)

    run = deployment.run("fetch_orders")

    assert marketplace.calls() > 0
    assert run.state in {"failed", "success"}
    assert deployment.findings() == []


@pytest.mark.by_hand
def test_nobody_is_found_anywhere_when_the_marketplace_quotes_what_it_is_told(
    deployment: Deployment, marketplace: Marketplace
) -> None:
    deployment.run("fetch_orders")
    for row in deployment.office.rows("order_items"):
        path = f"/admin/order_items/{row['pk']}"
        deployment.office.patch(path, json={"status": "500", "tracking_number": "KRV1"}).raise_for_status()
    marketplace.fault("/shipment$", "status", status=422, body={"code": ECHO, "message": ECHO})

    run = deployment.run("update_orders")

    assert run.table()["failed"] >= len(marketplace.orders)
    assert deployment.findings() == []
