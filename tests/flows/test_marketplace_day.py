"""A day of the sandbox marketplace, with all that its sellers and buyers get wrong, from end to end."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.errors import RetriableError
from order_integration.flows.windows import Reading, scheduled
from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.generator import DEFAULT_RATE, DEFAULT_SEED, expected_of, orders_between
from tests.conftest import BackOffice
from tests.flows.state import linked, no_batch_is_open, state_of
from tests.flows.steps import Steps, config, results

NOW = datetime(2026, 3, 20, 9, 46, 40, tzinfo=UTC)
DAY = Window(NOW - timedelta(hours=24), NOW)
ROWS = orders_between(DEFAULT_SEED, DEFAULT_RATE, DAY.start, DAY.end)
QUARANTINED = {str(row.id): row.reason for row in ROWS if row.reason}
ARRIVING = {str(row.id) for row in ROWS} - set(QUARANTINED)
WORLD = {
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "products": [{"channel": 1, "remote_id": product.id, "sku": product.id} for product in catalogue()],
}
NO_JSON = {"kind": "status", "status": 200, "body": "<html>Bakımdayız</html>", "headers": {"Content-Type": "text/html"}}
LIMITS = {"requests_per_second": 1000, "omnitron_requests_per_second": 10_000}


@pytest.fixture(scope="module")
def market() -> Iterator[httpx.Client]:
    app = create_app(calls_per_second=None, clock=lambda: int(NOW.timestamp() * 1000))
    with running(app) as url, httpx.Client(base_url=url) as client:
        yield client


@pytest.fixture
def day(back_office: BackOffice, omnitron_url: str, tmp_path: Path, market: httpx.Client) -> Steps:
    market.delete("/admin/faults")
    back_office.told(**WORLD)
    return of_the_market(omnitron_url, tmp_path, market)


def of_the_market(url: str, home: Path, market: httpx.Client, **own: Any) -> Steps:
    channel = config(name="kervan", connector="marketplace", limits=LIMITS, **own)
    return Steps(url, home, channel, ChannelConnection(str(market.base_url), password=LOOPBACK_KEY))


def quarantined(steps: Steps) -> dict[str, str]:
    return {key: reason for key, (reason, _) in steps.keys(steps.quarantine).items()}


def test_a_day_arrives_as_the_generator_says_and_a_second_run_makes_nothing(
    day: Steps, back_office: BackOffice
) -> None:
    expected = expected_of(ROWS)
    reading = Reading(DAY, DAY.start)

    balance = day.run(reading)

    assert (balance.rows, balance.distinct, balance.duplicates) == (
        expected.rows,
        expected.distinct,
        expected.duplicates,
    )
    assert results(balance) == {"created": expected.arrives, "quarantined": sum(expected.quarantined.values())}
    assert dict(sorted(balance.reasons.items())) == expected.quarantined
    assert quarantined(day) == QUARANTINED
    assert day.verdict(balance) is None
    assert everything_is_there_once(back_office)
    before = state_of(back_office)

    again = day.run(reading)

    assert results(again) == {"already_there": expected.arrives, "quarantined": len(QUARANTINED)}
    assert again.new_in_quarantine == 0
    assert state_of(back_office) == before


def everything_is_there_once(office: BackOffice) -> bool:
    rows = office.rows("orders")
    assert sorted(row["extra_field"]["id"] for row in rows) == sorted(ARRIVING)
    bodies = {str(row.id): row.body for row in ROWS if not row.reason}
    units = {
        f"{line['lineId']}/{unit}"
        for body in bodies.values()
        for line in body["lines"]
        for unit in range(1, line["quantity"] + 1)
    }
    assert {row["extra_field"]["id"] for row in office.rows("order_items")} == units
    assert {row["extra_field"]["id"]: row["amount"] for row in rows} == {
        key: str(body["totals"]["payable"]) for key, body in bodies.items()
    }
    assert {row["email"] for row in office.rows("customers")} == {body["buyer"]["email"] for body in bodies.values()}
    return len(linked(office)) == len(rows) + len(units) and no_batch_is_open(office)


def test_the_day_in_hours_that_overlap_ends_as_the_day_in_one(
    day: Steps, back_office: BackOffice, omnitron_url: str, tmp_path: Path, market: httpx.Client
) -> None:
    day.run(Reading(DAY, DAY.start))
    wanted, codes = state_of(back_office), quarantined(day)
    back_office.start_again()
    back_office.told(**WORLD)
    hourly = of_the_market(omnitron_url, tmp_path / "hourly", market)

    balances = [
        hourly.run(scheduled(hourly.channel, start, start + timedelta(hours=1), NOW + timedelta(hours=1)))
        for start in (DAY.start + timedelta(hours=hour) for hour in range(24))
    ]

    in_the_day = {key: reason for key, reason in quarantined(hourly).items() if key in QUARANTINED}
    assert in_the_day == codes
    assert all(balance.holds and hourly.verdict(balance) is None for balance in balances)
    assert any(results(balance)["seen_before"] for balance in balances)
    got = state_of(back_office)
    for name in ("orders", "items", "links", "customers", "addresses"):
        assert {one: times for one, times in got[name].items() if one in wanted[name]} == wanted[name]
    ids = [row["extra_field"]["id"] for row in back_office.rows("orders")]
    assert len(ids) == len(set(ids))


def test_a_page_that_is_not_json_is_asked_for_again(day: Steps, market: httpx.Client) -> None:
    hour = Reading(Window(NOW - timedelta(hours=1), NOW), NOW - timedelta(hours=1))
    market.post("/admin/faults", json={"path": "/api/orders", "times": 1, "action": NO_JSON}).raise_for_status()

    balance = day.run(hour)

    assert balance.distinct == expected_of(orders_between(1, DEFAULT_RATE, hour.window.start, NOW)).distinct


def test_a_page_that_never_is_json_ends_the_fetch_and_may_be_tried_again(
    day: Steps, back_office: BackOffice, market: httpx.Client
) -> None:
    market.post("/admin/faults", json={"path": "/api/orders", "action": NO_JSON}).raise_for_status()

    with pytest.raises(RetriableError, match="not JSON"):
        asyncio.run(day.staged(Reading(DAY, DAY.start), "run"))

    assert back_office.rows("orders") == []
