"""What differs is looked into: who knows of it already, what is on its way, and what a person must hear of."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.channels.commands import Record, Window
from order_integration.dto import OrderState
from order_integration.errors import ContractError, RefusedError, RetriableError
from order_integration.flows.comparing import is_ahead, is_same, state_of
from order_integration.flows.reconcile_orders import park_missing, reconcile
from order_integration.flows.reconciliation import Finding, Kind, Reconciliation, What, as_table, lasting, news, summary
from order_integration.flows.windows import Reading
from order_integration.staging import Ended, Places
from tests.conftest import BackOffice
from tests.flows.replay_shelf import ReplayShelf
from tests.flows.steps import Steps, config
from tests.shelf import Shelf, item
from tests.shelf import order as shelf_order

SHELF = "tests.flows.replay_shelf:ReplayShelf"
ORDERS, CANCELS, NEWS = "fetch_orders", "fetch_and_create_cancel", "fetch_and_update_order_items"
SENT = "/api/v1/channel/1"


def order(key: str, state: str = "open", *, units: int = 1, hours: float = 2, **own: Any) -> Record:
    """Placed some hours ago."""
    changed = (datetime.now(UTC) - timedelta(hours=hours)).isoformat()
    items = [item(key, unit=number + 1) for number in range(units)]
    row = shelf_order(key, items=items, amount=f"{10 + 50 * units}.00", **own)
    return {**row, "changed": changed, "state": state}


class Sides:
    """A shelf and Omnitron, which have the same orders when it begins."""

    def __init__(self, url: str, home: Path, office: BackOffice) -> None:
        ReplayShelf.shown.clear()
        self.office = office
        self.before: Callable[[str, str], None] = lambda method, path: None
        self.steps = Steps(url, home, config(connector=SHELF, reconcile_grace="0s"))

    def have(self, *orders: Record) -> "Sides":
        """The channel has these, and they arrive."""
        Shelf.orders[:] = orders
        start = datetime.now(UTC) - timedelta(days=3)
        self.steps.run(Reading(Window(start, datetime.now(UTC)), start))
        return self

    def become(self, key: str, state: str, **own: Any) -> "Sides":
        """What the channel says of it by now."""
        row = next(row for row in Shelf.orders if row["id"] == key)
        row |= {"state": state, **own}
        return self

    def set(self, key: str, status: str, *units: int) -> "Sides":
        """The merchant's OMS moves units (all, where none is named)."""
        for one in self.items(key):
            number = int(one["extra_field"]["id"].rpartition("/")[2])
            if not units or number in units:
                path = f"/admin/order_items/{one['pk']}"
                self.office.patch(path, json={"status": status}).raise_for_status()
        return self

    def items(self, key: str) -> list[dict[str, Any]]:
        return self.office.rows("order_items", order=self.office.linked("order")[key])

    def link(self, remote_id: str) -> None:
        """The order is linked with another id."""
        [link] = self.office.rows("integration_actions", content_type_name="order")
        path = f"{SENT}/integration_actions/{link['pk']}/"
        self.office.patch(path, json={"remote_id": remote_id}).raise_for_status()

    def told(self) -> "Sides":
        """The channel heard of everything."""
        for link in self.office.rows("integration_actions", content_type_name="order"):
            self.office.patch(
                f"{SENT}/integration_actions/{link['pk']}/", json={"version_date": datetime.now(UTC).isoformat()}
            ).raise_for_status()
        return self

    def places(self, flow: str = ORDERS) -> Places:
        return Places.of(self.steps.staging, self.steps.channel.name, flow)

    def waits(self, key: str, flow: str, reason: str) -> None:
        row = {"reason": reason, "field": "", "sentence": "", "record": None, "read_at": "2026"}
        self.places(flow).parked.put(key, row, run="r", now="2026")

    def reconciled(self, run: str = "", read_until: datetime | None = None, **own: Any) -> Reconciliation:
        channel = self.steps.channel.model_copy(update=own)
        steps = Steps(self.steps.url, self.steps.home, channel, before=self.before)

        async def both() -> Reconciliation:
            async with steps.omnitron() as omnitron, steps.connector() as connector:
                now = datetime.now(UTC)
                return await reconcile(omnitron, connector, steps.staging, now, read_until=read_until, run=run)

        return asyncio.run(both())

    def one(self, **own: Any) -> Finding | None:
        found = self.reconciled(**own).findings
        assert len(found) <= 1
        return found[0] if found else None


@pytest.fixture
def sides(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Iterator[Sides]:
    Shelf.orders.clear()
    yield Sides(omnitron_url, tmp_path, back_office)
    Shelf.orders.clear()


def said(found: Finding | None) -> tuple[str, str]:
    return (found.kind.value, found.reason) if found else ("agree", "")


# states ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("statuses", "state"),
    [
        (["400", "450"], "open"),
        (["500", "400"], "open"),
        (["500", "540", "520"], "shipped"),
        (["550", "500"], "shipped"),
        (["550", "100"], "delivered"),
        (["550", "600"], "delivered"),
        (["600", "600"], "returned"),
        (["100", "50"], "cancelled"),
        (["999", ""], "open"),
    ],
)
def test_an_order_of_omnitron_is_as_far_as_its_least_far_item(statuses: list[str], state: str) -> None:
    assert state_of(statuses) == state


def test_what_is_gone_is_ahead_of_all_and_a_cancel_of_what_was_shipped_is_a_refund() -> None:
    opened, shipped, gone, back = (OrderState(one) for one in ("open", "shipped", "cancelled", "returned"))
    assert is_ahead(shipped, opened)
    assert not is_ahead(opened, shipped)
    assert is_ahead(gone, opened)
    assert not is_ahead(opened, gone)
    assert is_same(back, gone)
    assert not is_same(back, shipped)


@pytest.mark.parametrize(
    ("channel", "omnitron"),
    [
        ("open", "400"),
        ("shipped", "510"),
        ("delivered", "550"),
        ("cancelled", "100"),
        ("cancelled", "50"),
        ("cancelled", "600"),
    ],
)
def test_both_sides_agree(sides: Sides, channel: str, omnitron: str) -> None:
    assert said(sides.have(order("1")).set("1", omnitron).become("1", channel).told().one()) == ("agree", "")


@pytest.mark.parametrize(
    ("channel", "omnitron"), [("open", "100"), ("shipped", "400"), ("open", "550"), ("returned", "550")]
)
def test_what_differs_and_nobody_is_about_to_tell_is_a_difference_in_status_alone(
    sides: Sides, channel: str, omnitron: str
) -> None:
    found = sides.have(order("1", units=2)).set("1", omnitron).become("1", channel).told().one()

    assert found is not None
    assert (found.kind, found.what, found.channel) == (Kind.DIFFERENT, (What.STATUS,), channel)


def test_a_cancelled_unit_changes_neither_the_amount_nor_the_state(sides: Sides) -> None:
    sides.have(order("1", units=3))
    pk = sides.office.linked("order")["1"]
    first = sides.items("1")[0]["pk"]
    body = {"order": pk, "cancel_items": [first], "reasons": {str(first): 1}}
    sides.office.post(f"{SENT}/orders/{pk}/cancel/", json=body).raise_for_status()

    waiting = said(sides.one())
    sides.office.post(f"/admin/orders/{pk}/plan/complete").raise_for_status()

    assert waiting == ("agree", "")
    assert said(sides.one()) == ("agree", "")
    assert said(sides.set("1", "500", 2, 3).become("1", "shipped").one()) == ("agree", "")


def test_a_plan_that_omnitron_has_not_carried_out_is_on_its_way(sides: Sides) -> None:
    assert said(sides.have(order("1")).set("1", "50").told().one()) == ("on_its_way", "cancel_waiting")


@pytest.mark.parametrize(("flow", "key"), [(CANCELS, "1"), (NEWS, "1-1/1"), (NEWS, "1|1-1/1")])
def test_what_the_flow_of_it_has_parked_waits(sides: Sides, flow: str, key: str) -> None:
    sides.have(order("1")).become("1", "cancelled" if flow == CANCELS else "delivered").waits(key, flow, "item_unknown")

    assert said(sides.one()) == ("waiting", "item_unknown")


@pytest.mark.parametrize(
    ("status", "linked", "expected"),
    [
        ("waiting_approval", False, ("on_its_way", "request")),
        ("rejected", False, ("different", "")),
        ("completed", False, ("on_its_way", "request")),
        ("completed", True, ("different", "")),
    ],
)
def test_a_return_is_on_its_way_while_its_request_is(
    sides: Sides, status: str, linked: bool, expected: tuple[str, str]
) -> None:
    sides.have(order("1")).set("1", "550").become("1", "returned").told()
    body = {"order_item": sides.items("1")[0]["pk"], "reason": 1, "cancellation_type": "refund", "description": "x"}
    made = sides.office.post(f"{SENT}/cancellation_requests/", json=body).raise_for_status().json()
    steps = {"rejected": ["rejected"], "completed": ["approved", "confirmed", "completed"]}
    for step in steps.get(status, []):
        sides.office.patch(f"/admin/cancellation_requests/{made['id']}", json={"status": step}).raise_for_status()
    if linked:
        link = {"channel_id": 1, "content_type": "cancellationrequest", "object_id": made["id"], "remote_id": "R"}
        version = {"version_date": datetime.now(UTC).isoformat()}
        sides.office.post(f"{SENT}/integration_actions/", json={**link, **version}).raise_for_status()

    assert said(sides.one()) == expected


def test_a_channel_that_can_not_tell_has_its_amounts_compared_alone(sides: Sides, monkeypatch: Any) -> None:
    sides.have(order("1"), order("2")).set("1", "550").told()
    monkeypatch.setattr("tests.flows.replay_shelf.ReplayGetOrders.order_state", lambda self, record: None)
    Shelf.orders[1]["dto"]["order"] |= {"amount": "61.00", "shipping_amount": "11.00"}

    [found] = sides.reconciled().findings

    assert (found.key, found.what, found.channel, found.omnitron) == ("2", (What.AMOUNT,), "61.00", "60.00")


def test_other_items_are_a_difference_though_the_amount_is_the_same(sides: Sides) -> None:
    sides.have(order("1"))
    Shelf.orders[0]["dto"]["order_item"][0]["product"] = "SKU-2"

    found = sides.one()

    assert found is not None
    assert (found.kind, found.what) == (Kind.DIFFERENT, (What.ITEMS,))


def test_a_contradiction_that_is_in_quarantine_waits_for_whoever_looks_into_it(sides: Sides) -> None:
    changed = order("1")
    sides.have(order("1"))
    changed["dto"]["order"] |= {"amount": "61.00", "shipping_amount": "11.00"}

    before = said(sides.have(changed).one())

    assert before == ("waiting", "conflict")


# what is not there ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("end", "state", "expected"),
    [
        (Ended.RESOLVED, "open", ("waiting", "resolved")),
        (Ended.CANCELLED_AT_CHANNEL, "cancelled", ("waiting", "cancelled_at_channel")),
        (Ended.CANCELLED_AT_CHANNEL, "open", ("missing", "")),
        (Ended.SUPERSEDED, "open", ("missing", "")),
        (Ended.EXPIRED, "open", ("missing", "")),
    ],
)
def test_what_was_decided_is_not_missing(sides: Sides, end: Ended, state: str, expected: tuple[str, str]) -> None:
    Shelf.orders[:] = [order("1", state)]
    sides.waits("1", ORDERS, "product_unknown")
    assert said(sides.one()) == ("waiting", "product_unknown")
    sides.places().parked.close("1", end, now="2027", read_at="2027")

    assert said(sides.one()) == expected


def test_every_try_of_a_run_says_the_same_of_what_it_parked(sides: Sides) -> None:
    Shelf.orders[:] = [order("1")]
    found = sides.reconciled("this").of(Kind.MISSING)

    assert park_missing(sides.steps.staging, "shelf", found, run="this", now=datetime.now(UTC)) == ["1"]

    assert sides.places().parked.open_keys()["1"]["record"] is None
    assert said(sides.one(run="this")) == ("missing", "")
    assert said(sides.one(run="another")) == ("waiting", "missing")


def test_what_can_not_be_read_by_its_key_is_parked_as_it_was_read(sides: Sides, monkeypatch: Any) -> None:
    monkeypatch.setattr("tests.flows.replay_shelf.ReplayGetOrders.can_get_by_key", lambda self: False)
    Shelf.orders[:] = [order("1")]

    park_missing(sides.steps.staging, "shelf", sides.reconciled().of(Kind.MISSING), run="r", now=datetime.now(UTC))

    assert sides.places().parked.open_keys()["1"]["record"] == Shelf.orders[0]


def test_what_changed_just_now_is_not_judged_on_either_side(sides: Sides) -> None:
    hour = {"reconcile_grace": timedelta(hours=1)}
    sides.have(order("1")).become("1", "shipped")
    assert said(sides.one(**hour)) == ("not_judged", "it changed just now")
    Shelf.orders[:] = [order("1"), order("2", hours=0.5)]
    assert sides.reconciled(**hour).findings == []
    Shelf.orders.clear()
    assert sides.reconciled(**hour).findings == []
    assert [one.kind for one in sides.reconciled().findings] == [Kind.EXTRA]


def test_what_was_placed_before_the_channel_was_active_is_nobodys_to_miss(sides: Sides) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    Shelf.orders[:] = [order("old"), order("new", created_at=(yesterday + timedelta(hours=1)).isoformat())]
    Shelf.orders.append(order("older", hours=30))

    result = sides.reconciled(active_from=yesterday)

    assert result.window.start == yesterday
    assert [(one.key, *said(one)) for one in result.findings] == [
        ("new", "missing", ""),
        ("old", "not_judged", "it was placed before active_from"),
    ]


def test_what_no_window_has_read_yet_is_not_missing(sides: Sides) -> None:
    Shelf.orders[:] = [order("read", hours=5), order("not yet", hours=2)]

    found = sides.reconciled(read_until=datetime.now(UTC) - timedelta(hours=4)).findings

    assert [(one.key, one.kind) for one in found] == [("read", Kind.MISSING)]
    assert len(sides.reconciled().findings) == 2
    assert sides.reconciled(read_until=datetime.now(UTC) - timedelta(days=9)).findings == []


@pytest.mark.parametrize("hours", [2, 24 * 5])
def test_an_order_that_is_linked_is_not_extra_though_it_says_another_id_itself(sides: Sides, hours: float) -> None:
    sides.have(order("1"))
    pk = sides.office.linked("order")["1"]
    sides.office.patch(f"/admin/orders/{pk}", json={"extra_field": {"id": "of somebody else"}}).raise_for_status()
    Shelf.orders[:] = [order("1", hours=hours)]

    assert said(sides.one()) == ("agree", "")


def test_an_order_that_is_there_under_another_number_is_not_fetched_once_more(sides: Sides) -> None:
    sides.have(order("1"))
    [row] = sides.office.rows("orders")
    names = ("customer", "shipping_address", "billing_address", "cargo_company", "currency", "amount")
    line = {name: sides.items("1")[0][name] for name in ("product", "price", "price_currency")}
    head = {**{name: row[name] for name in names}, "number": "another", "extra_field": {"id": "2"}}
    sides.office.post(f"{SENT}/create_orders/", json={"order": head, "order_item": [line]}).raise_for_status()
    Shelf.orders.append(order("2"))

    found = sides.one()

    assert found is not None
    assert (found.kind, found.what, found.is_fetched) == (Kind.DIFFERENT, (What.NUMBER, What.LINK), False)


def test_a_link_that_a_run_may_be_about_to_write_is_not_judged(sides: Sides) -> None:
    sides.have(order("1"))
    sides.link("elsewhere")

    assert said(sides.one(reconcile_grace=timedelta(hours=1))) == ("not_judged", "it changed just now")
    found = sides.reconciled().of(Kind.DIFFERENT)
    assert [(one.key, one.what) for one in found] == [("1", (What.LINK,))]


@pytest.mark.parametrize("expected", [("not_judged", "it arrived meanwhile"), ("waiting", "product_unknown")])
def test_what_arrives_or_is_set_apart_while_both_sides_are_read_is_not_missing(
    sides: Sides, expected: tuple[str, str]
) -> None:
    sides.have(order("1")).link("elsewhere")
    seen = []

    def meanwhile(method: str, path: str) -> None:
        seen.append(path)
        if path.endswith("/orders/") and seen.count(path) == 2:  # the first one looks for its number
            if expected[0] == "waiting":
                sides.waits("1", ORDERS, expected[1])
            else:
                sides.link("1")

    sides.before = meanwhile

    assert said(sides.one()) == expected


# what the channel does not show ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ContractError("html"), RefusedError("no", status=410), KeyError("orderId")])
def test_an_order_that_the_channel_can_not_show_is_not_judged(sides: Sides, error: Exception) -> None:
    sides.have(order("1"))
    Shelf.orders.clear()
    ReplayShelf.shown["1"] = error

    assert said(sides.one()) == ("not_judged", "the channel does not show it")


def test_a_channel_that_does_not_answer_stops_the_run(sides: Sides) -> None:
    sides.have(order("1"))
    Shelf.orders.clear()
    ReplayShelf.shown["1"] = RetriableError("busy")

    with pytest.raises(RetriableError):
        sides.reconciled()


def test_without_get_by_key_nothing_is_called_extra(sides: Sides, monkeypatch: Any) -> None:
    sides.have(order("1"))
    Shelf.orders.clear()
    monkeypatch.setattr("tests.flows.replay_shelf.ReplayGetOrders.can_get_by_key", lambda self: False)

    assert said(sides.one()) == ("not_judged", "the connector can't ask for one order")


def test_an_omnitron_that_sorts_otherwise_is_noticed(sides: Sides) -> None:
    sides.have(order("1"), order("2"))
    rows = sides.office.rows("orders")
    body = '{"count": 2, "next": null, "previous": null, "results": %s}'
    sides.office.fault("GET", "/orders/$", "status", status=200, body=body % json.dumps(rows), skip=1)

    with pytest.raises(ContractError, match="sort"):
        sides.reconciled()


# the report -----------------------------------------------------------------------------------------------------------


def test_the_table_counts_reasons_and_shows_differences_first_and_not_too_many() -> None:
    found = [Finding(str(number), Kind.WAITING, reason="product_unknown") for number in range(60)]
    found += [Finding("x", Kind.DIFFERENT, "N-1", (7,), (What.STATUS,), "shipped", "open")]

    table = as_table({"compared": 99}, found).splitlines()

    assert "    waiting: product_unknown           60" in table
    assert table[2] == "  different  x  N-1  status  shipped at the channel, open in Omnitron"
    assert table[-1] == "  … and 11 more: see the report"


def test_a_difference_is_news_once_and_again_when_it_is_another_one() -> None:
    old = Finding("1", Kind.DIFFERENT, what=(What.STATUS,), channel="open")
    same = Finding("1", Kind.DIFFERENT, what=(What.STATUS,), channel="shipped")
    other = Finding("1", Kind.DIFFERENT, what=(What.AMOUNT,))
    harmless = Finding("2", Kind.WAITING)

    assert news([same, other, harmless], [old]) == [other]
    now = datetime.now(UTC)
    looked_at = Reconciliation(Window(now, now), 1, [same, harmless], frozenset({"1", "2"}))
    elsewhere = Finding("9", Kind.MISSING)
    assert lasting([old, other, elsewhere], looked_at) == [old, elsewhere]
    assert summary([other, Finding("3", Kind.MISSING), Finding("4", Kind.MISSING)]) == "2 missing, 1 different (amount)"
    assert [Finding.from_row(one.as_row()) for one in (old, harmless)] == [old, harmless]
