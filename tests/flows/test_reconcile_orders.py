"""Both sides compared, order by order: what is missing, extra, different, twice, and what only looks like it."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.flows.reconcile_orders import park_missing, reconcile
from order_integration.flows.reconciliation import DIFFERENCES, Finding, Kind, Reconciliation, What
from order_integration.flows.windows import Reading
from order_integration.omnitron.batch_requests import BatchRequests
from order_integration.omnitron.integration_actions import Link
from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config, results

WORLD = {
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "products": [{"channel": 1, "remote_id": product.id, "sku": product.id} for product in catalogue()],
}
CANCELS, NEWS = "fetch_and_create_cancel", "fetch_and_update_order_items"
LIMITS = {"requests_per_second": 1000, "omnitron_requests_per_second": 10_000}
HOURS = timedelta(hours=12)  # half of what is compared
RATE = 1.0  # orders an hour


class Market:
    """A marketplace whose clock is the real one, and both sides' people."""

    def __init__(self, http: httpx.Client, office: BackOffice, url: str, home: Path) -> None:
        self.http, self.office = http, office
        self.now = datetime.now(UTC)
        self.channel = config(
            name="kervan",
            connector="marketplace",
            limits=LIMITS,
            reconcile_days=1,
            reconcile_grace="0s",
            settings={"reject_reason": "USED"},
        )
        connection = ChannelConnection(str(http.base_url), password=LOOPBACK_KEY)
        self.steps = Steps(url, home, self.channel, connection)
        self.url, self.home = url, home

    def flow(self, name: str) -> Steps:
        return Steps(self.url, self.home, self.channel, self.steps.connection, flow=name)

    def fetched(self, start: datetime | None = None, **flow: str) -> Any:
        """A run of a flow over the last hours."""
        start = start or self.now - timedelta(hours=25)
        steps = self.flow(**flow) if flow else self.steps
        return steps.run(Reading(Window(start, datetime.now(UTC)), start))

    def reconciled(self, **own: Any) -> Reconciliation:
        channel = self.channel.model_copy(update=own)
        steps = Steps(self.url, self.home, channel, self.steps.connection)

        async def both() -> Reconciliation:
            async with steps.omnitron() as omnitron, steps.connector() as connector:
                return await reconcile(omnitron, connector, steps.staging, datetime.now(UTC))

        return asyncio.run(both())

    def orders(self) -> list[dict[str, Any]]:
        """Those of the last day that arrived, as the marketplace has them."""
        linked = self.office.linked("order")
        return [self.shown(key) for key in sorted(linked, key=int)]

    def shown(self, key: object) -> dict[str, Any]:
        return self.http.get(f"/api/orders/{key}").raise_for_status().json()

    def happens(self, order: dict[str, Any], what: str, **body: Any) -> None:
        self.http.post(f"/admin/orders/{order['orderId']}/{what}", json=body).raise_for_status()

    def items(self, order: dict[str, Any]) -> list[dict[str, Any]]:
        return self.office.rows("order_items", order=self.pk(order))

    def pk(self, order: dict[str, Any]) -> int:
        return self.office.linked("order")[str(order["orderId"])]

    def set_items(self, order: dict[str, Any], status: str, **own: Any) -> None:
        for item in self.items(order):
            self.office.patch(f"/admin/order_items/{item['pk']}", json={"status": status, **own}).raise_for_status()

    def copy(self, order: dict[str, Any], remote_id: str, number: str, **own: Any) -> int:
        """Somebody else's client makes an order of this; its links as well."""
        row = next(row for row in self.office.rows("orders") if row["pk"] == self.pk(order))
        names = ("customer", "shipping_address", "billing_address", "cargo_company", "currency", "amount")
        head = {**{name: row[name] for name in names}, "number": number, "extra_field": {"id": remote_id}, **own}
        item = self.items(order)[0]
        line = {name: item[name] for name in ("product", "price", "price_currency")}
        made = self.office.post("/api/v1/channel/1/create_orders/", json={"order": head, "order_item": [line]})
        return int(made.raise_for_status().json()["pk"])

    def link(self, pk: int, remote_id: str) -> None:
        body = {"channel_id": 1, "content_type": "order", "object_id": pk, "remote_id": remote_id}
        self.office.post("/api/v1/channel/1/integration_actions/", json=body).raise_for_status()

    def pk_of_number(self, order: dict[str, Any]) -> int:
        [row] = self.office.rows("orders", number=order["orderNumber"])
        return int(row["pk"])

    def told_in_batch(self, order: dict[str, Any], failed: str | None = None) -> None:
        """A job of flow 2, as far as Omnitron knows: the channel took it, or refused it."""
        [row] = self.office.rows("orders", pk__in=self.pk(order))
        link = Link("order", row["pk"], key_of(order), row["modified_date"])

        async def job() -> None:
            async with self.steps.omnitron() as omnitron:
                requests = BatchRequests(omnitron)
                batch = await requests.create()
                await requests.commit(batch, "order", [link])
                await requests.done(batch.pk, [replace(link, failed_reason_type=failed)])

        asyncio.run(job())


@pytest.fixture
def server() -> Iterator[httpx.Client]:
    app = create_app(calls_per_second=None, rate=RATE, until=datetime.now(UTC))
    with (
        running(app) as url,
        httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client,
    ):
        yield client


@pytest.fixture
def market(back_office: BackOffice, omnitron_url: str, tmp_path: Path, server: httpx.Client) -> Market:
    back_office.told(**WORLD)
    back_office.patch("/admin/channels/1", json={"conf": {"reason_mapping": {"CHANGED_MIND": 1}}}).raise_for_status()
    return Market(server, back_office, omnitron_url, tmp_path)


def kinds(found: Reconciliation) -> dict[str, int]:
    """Counts without zeros, and without what both sides agree on."""
    return {name: many for name, many in found.counts().items() if many and name not in {"compared", "agreed"}}


def waiting(found: Reconciliation) -> dict[str, str]:
    return {one.key: one.reason for one in found.of(Kind.WAITING)}


def key_of(order: dict[str, Any]) -> str:
    return str(order["orderId"])


def test_a_day_that_arrived_agrees_but_for_what_is_in_quarantine(market: Market) -> None:
    balance = market.fetched()
    quarantined = {key: row["reason"] for key, row in market.steps.quarantine.open_keys().items()}
    market.office.delete("/admin/requests")

    found = market.reconciled()

    assert found.of(*DIFFERENCES) == []
    assert kinds(found) == ({"waiting": len(quarantined)} if quarantined else {})
    assert waiting(found) == quarantined
    assert found.compared == balance.distinct
    assert found.counts()["agreed"] == results(balance)["created"]
    calls = market.office.get("/admin/requests").json()
    assert {call["method"] for call in calls if "login" not in call["path"]} == {"GET"}


def test_orders_that_never_arrived_are_missing_and_the_next_run_fetches_them_by_their_keys(market: Market) -> None:
    market.fetched(market.now - HOURS)
    known = set(market.office.linked("order"))

    found = market.reconciled()

    assert found.of(Kind.MISSING)
    assert set(kinds(found)) <= {"missing", "waiting"}
    missing = {one.key for one in found.of(Kind.MISSING)}
    assert not missing & known
    parked = park_missing(market.steps.staging, "kervan", found.of(Kind.MISSING), run="r", now=datetime.now(UTC))
    assert set(parked) == missing
    assert market.reconciled().of(Kind.MISSING) == []
    assert {waiting(market.reconciled())[key] for key in missing} == {"missing"}

    balance = market.steps.run(Reading(None, market.now))

    assert balance.distinct == len(missing)
    assert market.steps.parked.open_keys() == {}
    assert missing == set(market.office.linked("order")) - known | set(market.steps.quarantine.open_keys()) & missing
    assert market.reconciled().of(*DIFFERENCES) == []


def test_an_order_that_the_channel_does_not_know_is_extra(market: Market) -> None:
    market.fetched()
    order = market.orders()[0]
    pk, nameless = market.copy(order, "999999999", "X-1"), market.copy(order, "", "X-2", extra_field={})

    found = market.reconciled()

    assert [(one.key, one.number, one.pks) for one in found.of(Kind.EXTRA)] == [
        ("", "X-2", (nameless,)),
        ("999999999", "X-1", (pk,)),
    ]
    assert found.of(*DIFFERENCES) == found.of(Kind.EXTRA)


def test_an_order_whose_channel_date_lies_outside_is_asked_for_before_it_is_called_extra(market: Market) -> None:
    market.fetched(market.now - timedelta(days=3))

    found = market.reconciled()

    assert found.of(*DIFFERENCES) == []
    day_ago = (market.now - timedelta(days=1)).timestamp() * 1000
    assert any(order["changedAtMs"] < day_ago for order in market.orders())
    assert found.compared >= len(market.orders())


def test_another_amount_is_a_difference_to_the_last_digit(market: Market) -> None:
    market.fetched(market.now - HOURS)
    order = market.orders()[0]
    stranger = market.reconciled().of(Kind.MISSING)[0]
    theirs = Decimal(market.shown(stranger.key)["totals"]["payable"])
    pk = market.copy(order, stranger.key, stranger.number, amount=str(theirs + Decimal("0.01")))
    market.link(pk, stranger.key)

    [one] = market.reconciled().of(Kind.DIFFERENT)

    assert (one.key, one.pks, one.what) == (stranger.key, (pk,), (What.AMOUNT,))
    assert (Decimal(one.channel), Decimal(one.omnitron)) == (theirs, theirs + Decimal("0.01"))


def test_an_order_that_is_there_without_its_link_is_linked_by_the_next_run(market: Market) -> None:
    market.fetched(market.now - HOURS)
    order, stranger = market.orders()[0], market.reconciled().of(Kind.MISSING)[0]
    shown = market.shown(stranger.key)
    pk = market.copy(order, stranger.key, stranger.number, amount=shown["totals"]["payable"])

    found = market.reconciled()

    [one] = found.of(Kind.DIFFERENT)
    assert (one.key, one.pks, one.what, one.is_fetched) == (stranger.key, (pk,), (What.LINK,), True)
    market.steps.owed.owe("run", [{"content_type": "order", "pk": pk, "remote_id": stranger.key, "version_date": "x"}])
    assert waiting(market.reconciled())[stranger.key] == "link_owed"


def test_two_orders_of_one_remote_id_are_there_twice_linked_or_not(market: Market) -> None:
    market.fetched()
    one, other = market.orders()[:2]
    linked = market.copy(one, key_of(one), "T-1")
    market.link(linked, key_of(one))
    unlinked = market.copy(other, key_of(other), "T-2")

    found = market.reconciled()

    assert {two.key: two.pks for two in found.of(Kind.TWICE)} == {
        key_of(one): (market.pk_of_number(one), linked),
        key_of(other): (market.pk_of_number(other), unlinked),
    }
    assert found.of(*DIFFERENCES) == found.of(Kind.TWICE)


# status ---------------------------------------------------------------------------------------------------------------


def the_one(found: Reconciliation, order: dict[str, Any]) -> Finding | None:
    return next((one for one in found.findings if one.key == key_of(order)), None)


def test_what_the_merchant_shipped_is_on_its_way_until_the_channel_was_told(market: Market) -> None:
    market.fetched()
    order = market.orders()[0]
    market.set_items(order, "500", tracking_number="T1")

    one = the_one(market.reconciled(), order)

    assert one is not None
    assert (one.kind, one.what, one.reason) == (Kind.ON_ITS_WAY, (What.STATUS,), "due")
    assert (one.channel, one.omnitron) == ("open", "shipped")


def test_what_the_channel_was_told_and_does_not_show_is_a_difference(market: Market) -> None:
    market.fetched()
    order = market.orders()[0]
    market.set_items(order, "500", tracking_number="T1")
    market.told_in_batch(order)

    one = the_one(market.reconciled(), order)

    assert one is not None
    assert (one.kind, one.what) == (Kind.DIFFERENT, (What.STATUS,))


@pytest.mark.parametrize("retry", [{}, {"FAILED_INTEGRATION": {"DEFAULT": {"MAX_RETRY_COUNT": 0}}}])
def test_what_the_channel_refused_is_on_its_way_as_long_as_it_is_offered_again(market: Market, retry: Any) -> None:
    market.fetched()
    order = market.orders()[0]
    market.set_items(order, "500", tracking_number="T1")
    market.office.patch("/admin/channels/1", json={"conf": retry}).raise_for_status()
    market.told_in_batch(order, failed="remote")

    one = the_one(market.reconciled(), order)

    assert one is not None
    assert one.kind is (Kind.DIFFERENT if retry else Kind.ON_ITS_WAY)


def test_a_cancel_of_the_channel_is_a_difference_until_it_is_read_and_none_once_it_is_parked(market: Market) -> None:
    market.fetched()
    order, other, *_ = (one for one in market.orders() if one["state"] == "NEW" and "units" not in one["lines"][0])
    market.happens(order, "cancel", reason="CHANGED_MIND")
    market.happens(other, "cancel", reason="DAMAGED")

    before = market.reconciled()
    market.fetched(name=CANCELS)
    after = market.reconciled()

    assert {one.key: (one.channel, one.omnitron) for one in before.of(Kind.DIFFERENT)} == {
        key_of(order): ("cancelled", "open"),
        key_of(other): ("cancelled", "open"),
    }
    assert after.of(*DIFFERENCES) == []
    assert waiting(after)[key_of(other)] == "reason_unmapped"
    assert the_one(after, order) is None
