"""Ten thousand orders, 5 % of them bad in 20 ways, over two servers that fail a tenth of all calls in every way."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from order_integration.channels.commands import Window
from order_integration.flows.outcomes import Balance
from order_integration.flows.windows import Reading, scheduled
from sandbox.marketplace.generator import Plan, orders_between
from sandbox.marketplace.hostility import Settings
from sandbox.marketplace.kinds import ALL_BAD
from sandbox.run import check_marketplace
from sandbox.run.expected import Expected
from sandbox.storms import WAYS, storm
from tests.conftest import PASSWORD, USER
from tests.hostile import judging
from tests.hostile.deployment import SLOW, Deployment, deployed, kervan
from tests.hostile.servers import Market, started
from tests.hostile.telling import Told, asked, cpu_seconds, fired_of

SEED, RATE, BAD = 1, 600.0, 5.0
START = datetime(2026, 3, 20, tzinfo=UTC)
WINDOW = timedelta(hours=1)
AT_ONCE = 2  # runs of a DAG: max_active_runs
SHARE = 0.1  # of all calls
# The marketplace lists nothing late or twice here: the faults are what is tried.
FAULTS_ALONE = Settings(late=0, twice=0, strange=0, moved=0, faults=SHARE, slow_seconds=SLOW)
CLOSING_RUNS = 10  # with nothing but what was parked, until nothing is


@dataclass(frozen=True)
class Crowd:
    """The orders: exactly so many good and so many bad ones; `without` are too many of the good ones."""

    end: datetime
    expected: Expected
    without: frozenset[int] = field(repr=False, default=frozenset())


def crowd(orders: int) -> Crowd:
    """A twentieth of them bad. A window of the generator ends behind the last bad one; some good ones are left out."""
    bad = round(orders * BAD / 100)
    plan = Plan(SEED, RATE, BAD, ALL_BAD)
    first = plan.slot_at(int(START.timestamp() * 1000))
    slots = int(100 / BAD) * bad
    end = datetime.fromtimestamp(plan.begin_of(first + slots) / 1000, UTC)
    rows = orders_between(SEED, RATE, START, end, bad=BAD, rotation=ALL_BAD)
    arriving = {row.id for row in rows} - {row.id for row in rows if row.reason}
    plain = [row.id for row in rows if row.fault is None]
    without = frozenset(plain[: len(arriving) - (orders - bad)])
    expected = check_marketplace.expected(SEED, RATE, START, end, bad=BAD, rotation=ALL_BAD)
    kept = [order for order in expected.orders if int(order.key) not in without]
    return Crowd(end, replace(expected, orders=kept, rows=expected.rows - len(without)), without)


def run(home: Path, orders: int) -> Told:
    """All of it; the result tells what there was, and what differs."""
    some = crowd(orders)
    now = some.end + timedelta(days=1)
    market = Market(RATE, BAD, int(now.timestamp() * 1000), some.end, some.without, SEED)
    began = time.monotonic()
    with started(home, market, FAULTS_ALONE, (USER, PASSWORD)) as servers:
        asked(servers.omnitron, "/admin/faults", json=storm(SHARE, seconds=SLOW))
        flow = deployed(servers, home, judging.ORDERS, kervan())
        counts = Counter[str]()
        balances, reconciliation = asyncio.run(_all_windows(flow, some.end, now, counts))
        fired = fired_of(servers)
        flows = {flow.flow: flow}
        found = [*_books(flow, balances, some.expected), *judging.differences(servers, some.expected, flows)]
    found += [f"{side} never failed with {way}" for side, way in _never(fired)] if orders > len(WAYS) * 100 else []
    found += reconciliation
    counts |= {
        "orders that arrived": len(some.expected.orders),
        "orders in quarantine": len(some.expected.quarantined),
        "kinds of them": len(set(some.expected.quarantined.values())),
    }
    counts["runs whose balance holds"] = sum(balance.holds for balance in balances)
    return Told(
        f"{orders} records", time.monotonic() - began, {flow.flow: flow.told}, fired, counts, found, cpu_seconds()
    )


async def _all_windows(
    flow: Deployment, end: datetime, now: datetime, counts: Counter[str]
) -> tuple[list[Balance], list[str]]:
    """Every hour, two at once; then what was parked, until nothing is; then reconciliation."""
    slots = asyncio.Semaphore(AT_ONCE)
    starts = [START + number * WINDOW for number in range(-(-(end - START) // WINDOW))]

    async def one(start: datetime) -> Balance:
        async with slots:
            reading = scheduled(flow.channel, start, start + WINDOW, now)
            if start == START:  # nobody asks what was before
                reading = Reading(Window(START, start + WINDOW), START)
            return await flow.settled(reading, start.isoformat())

    balances = list(await asyncio.gather(*(one(start) for start in starts)))
    for number in range(CLOSING_RUNS):
        if not flow.parked.open_keys():
            break
        empty = Reading(Window(now, now + WINDOW), now)
        balances.append(await flow.settled(empty, f"closing-{number}"))
    return balances, await judging.reconciled(flow, START, counts)


def _books(flow: Deployment, balances: list[Balance], expected: Expected) -> Iterator[str]:
    """Each run adds up; together they made every order once."""
    yield from ("the balance of a run does not hold" for balance in balances if not balance.holds)
    created = sum(balance.results["created"] for balance in balances)
    if created > len(expected.orders):
        yield f"{created} orders were counted as created, and there are {len(expected.orders)}"
    if sum(balance.rows for balance in balances) < expected.rows:
        yield "fewer rows were read than there are"
    if flow.owed.all():
        yield "links are still owed"


def _never(fired: dict[str, dict[str, int]]) -> Iterator[tuple[str, str]]:
    return ((side, way) for side, ways in fired.items() for way, times in ways.items() if not times)
