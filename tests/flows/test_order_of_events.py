"""Events in the wrong order, at a real marketplace: what is not there yet is waited for, and nothing goes backwards."""

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.flows.replaying import What, park, selected
from order_integration.flows.windows import WAITING_ONLY, Reading
from order_integration.staging import Places
from sandbox.marketplace.app import LOOPBACK_KEY
from sandbox.marketplace.catalogue import CARRIERS, UNKNOWN_PRODUCT, catalogue
from sandbox.marketplace.generator import orders_between
from tests.channels.marketplace_kit import NOW, SINCE, Kervan, kervan
from tests.conftest import BackOffice
from tests.flows.outbound_steps import OutboundSteps
from tests.flows.state import no_batch_is_open
from tests.flows.steps import Steps, config, results

ORDERS, CANCELS = "fetch_orders", "fetch_and_create_cancel"
NEWS, REQUESTS = "fetch_and_update_order_items", "fetch_and_create_cancellation_requests"
AFTER = (CANCELS, NEWS, REQUESTS)
LATER = Reading(SINCE, SINCE.start)  # all that happens in a test; its orders are older
REASON = 1
PRODUCTS = [{"channel": 1, "remote_id": product.id, "sku": product.id} for product in catalogue()]
WORLD = {
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "products": PRODUCTS,
    "cancellation_reasons": [{"id": REASON, "subject": "Vazgeçtim"}],
}
LIMITS = {"requests_per_second": 1000, "omnitron_requests_per_second": 10_000}
SHIPPED, DELIVERED, CANCELLED = "500", "550", {"50", "100"}
BAD = [row.body for row in orders_between(1, 12, NOW - timedelta(days=20), NOW) if row.reason == "product_unknown"]


@dataclass
class Deployment:
    """All flows of the marketplace, in one staging area."""

    url: str
    home: Path
    market: Kervan
    office: BackOffice

    def steps(self, flow: str) -> Steps:
        channel = config(name="kervan", connector="marketplace", limits=LIMITS)
        return Steps(
            self.url,
            self.home,
            channel,
            ChannelConnection(str(self.market.http.base_url), password=LOOPBACK_KEY),
            flow=flow,
        )

    def run(self, flow: str, reading: Reading = LATER) -> dict[str, int]:
        return dict(results(self.steps(flow).run(reading, run=uuid.uuid4().hex)))

    def arrives(self, order: Any) -> None:
        """By flow 1, which reads it by its key."""
        places = self.places(ORDERS)
        places.parked.put(str(order["orderId"]), {"reason": "missing"}, run="r", now=datetime.now(UTC).isoformat())
        assert self.run(ORDERS, WAITING_ONLY) == {"created": 1}

    def places(self, flow: str) -> Places:
        return Places.of(self.steps(flow).staging, "kervan", flow)

    def waiting(self, flow: str) -> int:
        places = self.places(flow)
        return len(places.quarantine.open_keys()) + len(places.parked.open_keys())

    def replay_everything(self) -> None:
        """As a bulk replay of every flow."""
        for flow in (ORDERS, *AFTER):
            rows = selected(self.steps(flow).staging, "kervan", flow, What.ALL)
            park(self.places(flow), [row["key"] for row in rows], run="r", by="b", note="", now=datetime.now(UTC))

    def states(self) -> list[str]:
        """Of all items in Omnitron."""
        return sorted(row["status"] for row in self.office.rows("order_items"))

    def outbound(self) -> OutboundSteps:
        """Flow 2."""
        steps = OutboundSteps(self.url, self.home)
        steps.channel, steps.steps = self.steps(ORDERS).channel, self.steps(ORDERS)
        return steps


@pytest.fixture(scope="module")
def market() -> Iterator[Kervan]:
    with kervan() as started:
        yield started


@pytest.fixture
def all_flows(back_office: BackOffice, omnitron_url: str, tmp_path: Path, market: Kervan) -> Deployment:
    market.start_again()
    back_office.told(**WORLD)
    conf = {"reason_mapping": {"CHANGED_MIND": REASON}, "cancellation_reason_id": REASON}
    back_office.patch("/admin/channels/1", json={"conf": conf}).raise_for_status()
    return Deployment(omnitron_url, tmp_path, market, back_office)


def test_what_comes_before_its_order_is_parked_and_settled_once_it_is_there(
    all_flows: Deployment, market: Kervan
) -> None:
    order = market.order(units=3)
    line = order["lines"][0]["lineId"]
    units = sum(one["quantity"] for one in order["lines"])
    market.ship(order, 1, carrier=order["carrier"]["code"], trackingNo="T1")
    market.happens(order, "deliver")
    market.happens(order, "cancel", lines=[{"lineId": line, "unitNumbers": [3]}])
    market.happens(order, "claim", lineId=line, quantity=1)
    for flow in AFTER:
        assert all_flows.run(flow) == {"parked": all_flows.waiting(flow)}, flow
        assert all_flows.run(flow, WAITING_ONLY) == {"parked": all_flows.waiting(flow)}, flow
    all_flows.arrives(order)

    became = {flow: all_flows.run(flow, WAITING_ONLY) for flow in AFTER}

    assert became[CANCELS] == {"created": 1}
    assert became[NEWS]["updated"] >= 1
    assert became[REQUESTS] == {"created": 1}
    assert [all_flows.waiting(flow) for flow in (ORDERS, *AFTER)] == [0, 0, 0, 0]
    states = all_flows.states()
    assert (states.count(DELIVERED), len(CANCELLED & set(states)), len(states)) == (1, 1, units)
    assert len(all_flows.office.rows("cancellation_requests")) == 1
    assert no_batch_is_open(all_flows.office)


EVENTS = {
    "cancelled, then mapped, then all is replayed": ("cancel", "flow 4", "map", "replay", "flow 1", "flow 4"),
    "the cancel is replayed first": ("cancel", "flow 4", "map", "replay", "flow 4", "flow 1", "flow 4"),
    "mapped first": ("map", "cancel", "flow 4", "replay", "flow 1", "flow 4"),
    "the cancel is not known yet": ("map", "cancel", "replay", "flow 1", "flow 4"),
    "replayed in vain, then cancelled": ("replay", "flow 1", "cancel", "flow 4", "map", "replay", "flow 1", "flow 4"),
    "created, then cancelled": ("map", "replay", "flow 1", "cancel", "flow 4"),
    "parked when it was not cancelled yet": ("map", "replay", "cancel", "flow 1", "flow 4"),
}


@pytest.mark.parametrize("events", EVENTS.values(), ids=list(EVENTS))
def test_of_an_order_that_was_cancelled_in_quarantine_nothing_is_left_to_ship(
    all_flows: Deployment, market: Kervan, events: tuple[str, ...]
) -> None:
    order = BAD.pop()
    placed = datetime.fromtimestamp(order["changedAtMs"] / 1000, UTC)
    its_window = Window(placed, placed + timedelta(milliseconds=1))
    assert all_flows.run(ORDERS, Reading(its_window, placed)) == {"quarantined": 1}
    happen = {
        "cancel": lambda: market.happens(order, "cancel"),
        "map": lambda: all_flows.office.told(
            products=[{"channel": 1, "remote_id": UNKNOWN_PRODUCT, "sku": UNKNOWN_PRODUCT}]
        ),
        "replay": all_flows.replay_everything,
        "flow 1": lambda: all_flows.run(ORDERS, WAITING_ONLY),
        "flow 4": lambda: all_flows.run(CANCELS, cancelled(market, order)),
    }

    for event in events:
        happen[event]()

    assert set(all_flows.states()) <= CANCELLED
    assert [all_flows.waiting(flow) for flow in (ORDERS, CANCELS)] == [0, 0]
    assert len(all_flows.office.rows("orders")) == (events == EVENTS["created, then cancelled"])
    all_flows.run(ORDERS, cancelled(market, order))  # a window that shows the order again brings nothing back
    assert set(all_flows.states()) <= CANCELLED
    assert no_batch_is_open(all_flows.office)


def cancelled(market: Kervan, order: Any) -> Reading:
    """A window of this order's last change: others were cancelled by other tests. A look at the clock takes 1 ms."""
    moment = datetime.fromtimestamp(market.shown(order)["changedAtMs"] / 1000, UTC)
    return Reading(Window(moment, moment + timedelta(milliseconds=5)), moment)


# Nothing goes backwards ---------------------------------------------------------------------------------------------


def shipped(all_flows: Deployment, market: Kervan) -> Any:
    """An order of one line, which the channel itself ships after it arrived."""
    order = market.order(units=1)
    all_flows.arrives(order)
    numbers = range(1, order["lines"][0]["quantity"] + 1)
    market.ship(order, *numbers, carrier=order["carrier"]["code"], trackingNo="T1")
    return order


def staged(steps: Steps, reading: Reading) -> tuple[Any, int]:
    chunks, manifest = asyncio.run(steps.staged(reading, "older"))
    return chunks, manifest["chunks"]


def of_first_line(all_flows: Deployment, order: Any) -> set[str]:
    line = order["lines"][0]["lineId"]
    rows = all_flows.office.rows("order_items")
    return {row["status"] for row in rows if row["extra_field"]["id"].startswith(f"{line}/")}


@pytest.mark.parametrize("tries", [1, 2], ids=["as it was staged", "asking the channel again"])
@pytest.mark.parametrize("first", ["newer", "older"])
def test_a_late_push_of_news_never_turns_delivered_back_into_shipped(
    all_flows: Deployment, market: Kervan, first: str, tries: int
) -> None:
    order = shipped(all_flows, market)
    older = all_flows.steps(NEWS)
    chunks, _ = staged(older, cancelled(market, order))
    older.attempts = tries - 1
    market.happens(order, "deliver")

    def newer_run() -> None:
        assert all_flows.run(NEWS, cancelled(market, order))["updated"]

    def older_push() -> None:
        pushed = [asyncio.run(older.push(chunks, 0, "older"))]
        asyncio.run(older.settle(chunks, pushed, "older"))

    for step in (newer_run, older_push) if first == "newer" else (older_push, newer_run)[: 3 - tries]:
        step()

    assert of_first_line(all_flows, order) == {DELIVERED}
    assert no_batch_is_open(all_flows.office)


@pytest.mark.parametrize("is_sync", [True, False])
@pytest.mark.parametrize("first", ["delivered", "told"])
def test_a_late_send_never_turns_delivered_back_into_shipped(
    all_flows: Deployment, market: Kervan, first: str, is_sync: bool
) -> None:
    order = market.order(units=1)
    all_flows.arrives(order)
    ship_in_omnitron(all_flows.office)
    outbound = all_flows.outbound()
    ready = asyncio.run(outbound.staged("late"))

    def send() -> None:
        said = asyncio.run(outbound.send(ready, "late", is_sync=is_sync))
        decide(market, said)
        checked = outbound.checked(said, "late") if said.get("batch_pk") and not is_sync else None
        outbound.settled(said, checked, "late")

    def deliver() -> None:
        units = [{"lineId": line["lineId"], "quantity": line["quantity"]} for line in order["lines"]]
        if first == "delivered":
            body = {"carrier": order["carrier"]["code"], "trackingNo": "T9", "lines": units}
            market.did("POST", f"/api/orders/{order['orderId']}/shipment", body)
        market.happens(order, "deliver")
        all_flows.run(NEWS, cancelled(market, order))

    for step in (deliver, send, send) if first == "delivered" else (send, deliver, send):
        step()

    assert set(market.states(order)) == {"DELIVERED"}
    assert of_first_line(all_flows, order) == {DELIVERED}
    assert outbound.run("next", is_sync=True).verdict is None
    assert set(market.states(order)) == {"DELIVERED"}
    assert of_first_line(all_flows, order) == {DELIVERED}
    assert no_batch_is_open(all_flows.office)


def ship_in_omnitron(office: BackOffice) -> None:
    """The merchant's warehouse."""
    for item in office.rows("order_items"):
        change = {"status": SHIPPED, "tracking_number": "T1"}
        office.patch(f"/admin/order_items/{item['pk']}", json=change).raise_for_status()
    for order in office.rows("orders"):
        office.patch(f"/admin/orders/{order['pk']}", json={"status": SHIPPED}).raise_for_status()


def decide(market: Kervan, said: Any) -> None:
    """The marketplace works off the feeds of a sending."""
    for feed in said.get("feed_ids", ()):
        if market.did("GET", f"/api/feeds/{feed}")["state"] != "DONE":
            market.did("POST", f"/admin/feeds/{feed}/decide", {})
