"""Both sides of a story, brought to agree by hand, and every way in which they could differ."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import create_app as create_marketplace
from sandbox.omnitron import create_app as create_omnitron
from sandbox.run import agree, check_story, facts_marketplace, facts_omnitron
from sandbox.run.facts import Answer, Facts, Line, Order, Request, State
from sandbox.run.merchant import Merchant, Sold
from sandbox.run.plan import BAD, END, MARKETPLACE, RATE, SEED, START
from sandbox.run.shoppers_marketplace import MarketplaceShop
from sandbox.run.state import Secrets
from sandbox.run.world import MARKETPLACE_REASONS, world

KEY = "a-key"
ORDER = Order({"L": Line((State.SHIPPED, State.OPEN), frozenset({"T"}))}, frozenset({"I"}))
REQUEST = Request("refund", Answer.WAITING, 3)
SIDE = Facts({"1": ORDER}, {("R", "L/1"): REQUEST}, {"L/2": 1})


def with_order(**changes: object) -> Facts:
    return replace(SIDE, orders={"1": replace(ORDER, **changes)})  # type: ignore[arg-type]


def with_request(**changes: object) -> Facts:
    return replace(SIDE, requests={("R", "L/1"): replace(REQUEST, **changes)})  # type: ignore[arg-type]


OTHER = {
    "an order too few": (replace(SIDE, orders={}), "order 1 is at the channel, but not in Omnitron"),
    "an order too many": (replace(SIDE, orders={**SIDE.orders, "2": ORDER}), "order 2 is in Omnitron, but not"),
    "a unit's state": (
        with_order(lines={"L": Line((State.SHIPPED, State.CANCELLED), frozenset({"T"}))}),
        "unit L/2 is cancelled in Omnitron, open at the channel",
    ),
    "a unit too few": (with_order(lines={"L": Line((State.SHIPPED,), frozenset({"T"}))}), "has 1 units in Omnitron, 2"),
    "a line too many": (with_order(lines={**ORDER.lines, "M": Line(())}), "line M is not at the channel"),
    "a parcel": (with_order(lines={"L": Line(ORDER.lines["L"].units)}), "travels in nothing in Omnitron, in T at"),
    "an invoice": (with_order(invoices=frozenset({"J"})), "its invoice is J in Omnitron, I at the channel"),
    "the header": (with_order(is_cancelled=True), "is cancelled in Omnitron, not cancelled at the channel"),
    "a request too few": (replace(SIDE, requests={}), "request R for unit L/1 is not in Omnitron"),
    "a request too many": (
        replace(SIDE, requests={**SIDE.requests, ("S", "L/1"): REQUEST}),
        "request S for unit L/1 is not at the channel",
    ),
    "a request's kind": (with_request(kind="cancel"), "its kind is cancel in Omnitron, refund at the channel"),
    "a request's answer": (with_request(answer=Answer.REJECTED), "its answer is rejected in Omnitron, waiting"),
    "a request's reason": (with_request(reason=4), "its reason is 4 in Omnitron, 3 at the channel"),
    "a cancel's reason": (replace(SIDE, cancels={"L/2": 2}), "cancelled for reason 2 in Omnitron, for 1"),
    "no cancel": (replace(SIDE, cancels={}), "unit L/2 was cancelled at the channel, but has no cancellation plan"),
    "a cancel too many": (replace(SIDE, cancels={"L/1": 1, "L/2": 1}), "but was not cancelled at the channel"),
}


def test_the_same_agrees() -> None:
    assert agree.differences(SIDE, SIDE) == []


@pytest.mark.parametrize(("omnitron", "sentence"), OTHER.values(), ids=OTHER)
def test_every_difference_is_a_sentence(omnitron: Facts, sentence: str) -> None:
    found = agree.differences(SIDE, omnitron)
    assert len(found) == 1
    assert sentence in found[0]


def test_what_a_request_cancelled_needs_no_plan() -> None:
    facts = replace(SIDE, requests={("R", "L/2"): replace(REQUEST, kind="cancel", answer=Answer.ACCEPTED)})
    assert agree.differences(facts, replace(facts, cancels={})) == []


# Both sides from their databases --------------------------------------------------------------------------------------


class Sides:
    """One order of three units that is in Omnitron and at the marketplace, without any flow between them."""

    def __init__(self, home: Path, omnitron: str, shop: str) -> None:
        self.omnitron_file, self.shop_file = home / "omnitron.sqlite", home / "shop.sqlite"
        self.merchant = Merchant(omnitron, self.omnitron_file, MARKETPLACE.number)
        self.shop = MarketplaceShop(shop, self.shop_file, is_sync=True)
        self.api = httpx.Client(base_url=shop, headers={"X-Api-Key": KEY}, timeout=30, trust_env=False)

    @property
    def order(self) -> Sold:
        (found,) = self.merchant.sold()
        return found

    def channel(self) -> Facts:
        facts = facts_marketplace.read(self.shop_file, MARKETPLACE_REASONS)
        return replace(facts, orders={key: order for key, order in facts.orders.items() if key == self.order.key})

    def differences(self) -> list[str]:
        return check_story.differences(
            self.channel(), self.omnitron_file, MARKETPLACE.number, states={}, answers={}, refused=set()
        )

    def tamper(self, statement: str, *params: object) -> None:
        with closing(sqlite3.connect(self.omnitron_file)) as connection, connection:
            assert connection.execute(statement, params).rowcount, f"changed nothing: {statement}"

    def tell(self, path: str, body: dict[str, object]) -> None:
        self.api.post(path, json=body).raise_for_status()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An Omnitron to begin with: its places take a second or two to write."""
    database = tmp_path_factory.mktemp("empty") / "omnitron.sqlite"
    with running(create_omnitron(str(database), world(Secrets()))):
        pass
    return database


@pytest.fixture
def sides(tmp_path: Path, empty: Path) -> Iterator[Sides]:
    with closing(sqlite3.connect(empty)) as connection:
        connection.execute("VACUUM INTO ?", [str(tmp_path / "omnitron.sqlite")])
    shop = create_marketplace(
        str(tmp_path / "shop.sqlite"), seed=SEED, rate=RATE, bad=BAD, api_key=KEY, calls_per_second=None, until=END
    )
    omnitron = create_omnitron(str(tmp_path / "omnitron.sqlite"))
    with running(omnitron) as url, running(shop) as shop_url:
        sides = Sides(tmp_path, url, shop_url)
        key = order_of_several_units(sides.api)
        put_in_omnitron(sides.omnitron_file, key, sides.api.get(f"/api/orders/{key}").json()["lines"])
        yield sides
        sides.merchant.close()
        sides.shop.close()
        sides.api.close()


def order_of_several_units(api: httpx.Client) -> str:
    start, end = (int(moment.timestamp() * 1000) for moment in (START, END))
    query = {"modified_from": start, "modified_to": end, "size": 200}
    rows = api.get("/api/orders", params=query).json()["orders"]
    return next(str(row["orderId"]) for row in rows if any(line["quantity"] == 3 for line in row["lines"]))


def put_in_omnitron(database: Path, key: str, lines: list[dict[str, object]]) -> None:
    """As flow 1 leaves it, as far as it is looked at here."""
    columns = "channel, status, number, extra_field, modified_date"
    with closing(sqlite3.connect(database)) as connection, connection:
        head = (MARKETPLACE.number, "400", key, json.dumps({"id": key}), "2026-03-02T00:00:00.000000Z")
        order = connection.execute(f"INSERT INTO orders ({columns}) VALUES (?, ?, ?, ?, ?)", head).lastrowid
        for line in lines:
            for number in range(1, int(str(line["quantity"])) + 1):
                field = json.dumps({"id": f"{line['lineId']}/{number}"})
                item = (MARKETPLACE.number, order, "400", field)
                connection.execute(
                    'INSERT INTO order_items (channel, "order", status, extra_field) VALUES (?, ?, ?, ?)', item
                )


def ship_both(sides: Sides) -> None:
    sides.merchant.ship(sides.order.units, "TRK")
    sides.tell(f"/api/orders/{sides.order.key}/shipment", {"trackingNo": "TRK"})


def test_what_both_were_told_agrees_and_the_story_knows_what_it_was(sides: Sides) -> None:
    assert sides.differences() == []
    # when
    sides.merchant.ship(sides.order.units, "TRK")
    # then
    assert f"unit {sides.order.longest_line()[0].line}/1 is shipped in Omnitron, open at the channel" in " ".join(
        sides.differences()
    )
    # when
    sides.tell(f"/api/orders/{sides.order.key}/shipment", {"trackingNo": "TRK"})
    # then
    assert sides.differences() == []


def test_a_parcel_of_another_number_is_found(sides: Sides) -> None:
    sides.merchant.ship(sides.order.units, "TRK")
    sides.tell(f"/api/orders/{sides.order.key}/shipment", {"trackingNo": "OTHER"})
    assert any("travels in TRK in Omnitron, in OTHER at the channel" in sentence for sentence in sides.differences())


def test_an_invoice_of_the_marketplace_is_missed(sides: Sides) -> None:
    ship_both(sides)
    sides.shop.invoice(sides.order.key, "INV")
    assert sides.differences() == [f"order {sides.order.key}: its invoice is nothing in Omnitron, INV at the channel"]


def test_a_cancel_that_nobody_told_omnitron_is_missed_unit_by_unit(sides: Sides) -> None:
    line = sides.order.longest_line()
    # when
    sides.shop.take_back(sides.order.key, line[0].line, 1)
    # then: the last unit, once as it is and once for its missing plan
    unit = f"{line[0].line}/{len(line)}"
    assert [sentence for sentence in sides.differences() if unit not in sentence] == []
    assert len(sides.differences()) == 2


def test_a_delivered_unit_that_came_back_is_returned(sides: Sides) -> None:
    ship_both(sides)
    line = sides.order.longest_line()
    # when
    sides.shop.deliver(sides.order.key)
    sides.shop.ask_for_return(sides.order.key, {line[0].line: 1})
    claim = sides.api.get("/api/claims/1").json()
    sides.tell("/api/claims/1/approve", {})
    # then
    units = sides.channel().orders[sides.order.key].lines[line[0].line].units
    assert units == (State.DELIVERED,) * (len(line) - 1) + (State.RETURNED,)
    request = {("1", f"{line[0].line}/{claim['unitNumbers'][0]}"): Request("refund", Answer.ACCEPTED, 3)}
    assert sides.channel().requests == request


def test_what_the_story_did_but_the_channel_never_heard_is_found(sides: Sides) -> None:
    unit = f"{sides.order.longest_line()[0].line}/1"
    found = check_story.differences(
        sides.channel(),
        sides.omnitron_file,
        MARKETPLACE.number,
        states={unit: State.CANCELLED},
        answers={unit: Answer.ACCEPTED},
        refused={sides.order.key},
    )
    assert found == [
        f"unit {unit} is open at the channel, but was to be cancelled",
        f"the request for unit {unit} is not there at the channel, but was to be accepted",
        f"order {sides.order.key} was refused by the channel, but Omnitron has no such failure",
    ]


LEFT_OVER = {
    "batch request 1 of order is still in ongoing": (
        "INSERT INTO batch_requests (pk, channel, content_type, status) VALUES (1, ?, 'order', 'ongoing')"
    ),
    "cancellation plan 1 is still waiting": (
        "INSERT INTO cancellation_plans (pk, channel, \"order\", status) VALUES (1, ?, 1, 'waiting')"
    ),
    "order 7 (X) is linked in error": (
        "INSERT INTO integration_actions (channel, content_type, object_id, remote_id, status) "
        "VALUES (?, 'order', 7, 'X', 'error')"
    ),
}


@pytest.mark.parametrize(("sentence", "statement"), LEFT_OVER.items(), ids=LEFT_OVER)
def test_what_is_left_open_is_found(sides: Sides, sentence: str, statement: str) -> None:
    sides.tamper(statement, MARKETPLACE.number)
    assert sides.differences() == [sentence]


def test_a_refusal_of_the_channel_is_read_from_omnitron(sides: Sides) -> None:
    order = "(SELECT pk FROM orders)"
    sides.tamper("INSERT INTO batch_requests (pk, channel, status) VALUES (1, ?, 'done')", MARKETPLACE.number)
    sides.tamper(
        "INSERT INTO batch_objects (batch_request, content_type, object_id, failed_reason_type) "
        f"VALUES (1, 'order', {order}, 'remote')"
    )
    assert facts_omnitron.refused(sides.omnitron_file, MARKETPLACE.number) == {sides.order.key: {"remote"}}


def test_a_feed_counts_when_it_is_done(sides: Sides) -> None:
    for pk, feed, status in ((1, "7", "done"), (2, "8", "fail"), (3, None, "done")):
        row = "INSERT INTO batch_requests (pk, channel, remote_batch_id, status) VALUES (?, ?, ?, ?)"
        sides.tamper(row, pk, MARKETPLACE.number, feed, status)
    assert facts_omnitron.ended_feeds(sides.omnitron_file, MARKETPLACE.number) == ["7"]


def test_orders_that_nobody_can_read_are_not_missed(sides: Sides) -> None:
    facts = facts_marketplace.read(sides.shop_file, MARKETPLACE_REASONS)
    with closing(sqlite3.connect(sides.shop_file)) as connection:
        (bad,) = connection.execute(
            "SELECT COUNT(DISTINCT order_id) FROM orders WHERE expected <> 'arrives'"
        ).fetchone()
        (all_orders,) = connection.execute("SELECT COUNT(DISTINCT order_id) FROM orders").fetchone()
    assert len(facts.orders) == all_orders - bad > 0
