"""A week of 15-minute windows at a hostile marketplace, a third of them missed and caught up while the others run."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from order_integration.errors import Reason
from order_integration.flows.outcomes import Balance
from order_integration.flows.replaying import What, park, selected
from order_integration.flows.windows import scheduled
from order_integration.staging import Places
from sandbox.marketplace.generator import orders_between
from sandbox.marketplace.hostility import Settings
from sandbox.marketplace.kinds import ALL_BAD
from sandbox.marketplace.order import millis
from sandbox.run import check_marketplace
from sandbox.storms import WAYS, storm
from tests.conftest import PASSWORD, USER
from tests.hostile import judging
from tests.hostile.deployment import SLOW, Deployment, deployed, kervan
from tests.hostile.judging import CANCELS, ITEMS, ORDERS, REQUESTS
from tests.hostile.life import BackOffice, Life, events
from tests.hostile.outbound import Outbound
from tests.hostile.patience import AsyncPatient
from tests.hostile.servers import CHANNEL, Market, Servers, started
from tests.hostile.telling import Told, asked, cpu_seconds, fired_of

WEEK = 672
FLOWS = (ORDERS, CANCELS, ITEMS, REQUESTS)
START = datetime(2026, 3, 23, tzinfo=UTC)
TELLING = ("update_orders", "update_cancellation_requests")
TOLD_EVERY = 4  # windows
WINDOW = timedelta(minutes=15)
RATE, BAD, SEED = 12.0, 5.0, 1
SHARE = 0.05  # of all calls fail, at either side
AT_ONCE = 2  # runs of a DAG, and of a backfill
MISSED = 1 / 3
LONGEST_OUTAGE = 24  # windows
# After the last window some more: nobody modifies anything any more, then the new states are known. What failed even in
# the last of them is parked, so that there has to be another one.
CALMER = ({"moved": 0}, {}, {"strange": 0}, {})
CLOSING_AT_MOST = 12
PAGE_SIZE = 3  # so that a window has pages, between which things move
HOSTILE = Settings(seed=SEED, faults=SHARE, slow_seconds=SLOW)
# What is done late would be done after the next windows: here 15 minutes pass in the blink of an eye.
AT_ONCE_OR_NEVER = tuple(way for way in WAYS if way != "time-out, done late")


@dataclass
class Week:
    """The flows of one deployment, and which windows they were too late for."""

    flows: Mapping[str, Deployment]
    outbound: tuple[Outbound, ...]
    life: Life
    office: BackOffice
    missed: frozenset[int]
    balances: list[Balance] = field(default_factory=list)
    now: datetime = START
    counts: Counter[str] = field(default_factory=Counter)
    open_ends: list[str] = field(default_factory=list)
    _live: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _catching_up: dict[str, asyncio.Semaphore] = field(default_factory=dict)
    _chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    def __post_init__(self) -> None:
        self._live = {name: asyncio.Semaphore(AT_ONCE) for name in self.flows}
        self._catching_up = {name: asyncio.Semaphore(AT_ONCE) for name in self.flows}

    async def go(self, first: int, last: int) -> None:
        """Windows `first` to `last`, the second not included, and all that was missed among them."""
        live: set[asyncio.Task[None]] = set()
        late: set[asyncio.Task[None]] = set()
        backlog: list[int] = []
        for number in range(first, last):
            self.now = START + (number + 1) * WINDOW
            await self.life.until(millis(self.now))
            self.office.carry_out()
            if number % TOLD_EVERY == 0:
                self.office.work()
                late |= {asyncio.create_task(self._tell(one)) for one in self.outbound}
            if number in self.missed:
                backlog.append(number)
                continue
            late |= self._started(self._shuffled(backlog), self._catching_up)
            backlog.clear()
            live |= self._started([number], self._live)
            while len(live) > len(self.flows):  # two at once: the next window does not wait for the slowest flow
                done, live = await asyncio.wait(live, return_when=asyncio.FIRST_COMPLETED)
                await asyncio.gather(*done)
        await asyncio.gather(*live, *late, *self._started(self._shuffled(backlog), self._catching_up))

    async def close(self) -> None:
        """What is left of news for the channel is told; then it says so itself, and nothing is due any more."""
        for one in self.outbound:
            if left := await one.drained():
                self.open_ends.append(f"{one.flow}: {left} are still due after so many runs")

    def is_settled(self) -> bool:
        """Whether all that still waits waits for its order."""
        waiting = [row["reason"] for flow in self.flows.values() for row in flow.parked.open_keys().values()]
        return set(waiting) <= {Reason.ORDER_UNKNOWN.value}

    async def _tell(self, one: Outbound) -> None:
        await one.run()

    def _shuffled(self, numbers: list[int]) -> list[int]:
        return self._chance.sample(numbers, len(numbers))

    def _started(self, numbers: list[int], slots: dict[str, asyncio.Semaphore]) -> set[asyncio.Task[None]]:
        return {asyncio.create_task(self._run(name, number, slots[name])) for number in numbers for name in self.flows}

    async def _run(self, name: str, number: int, slot: asyncio.Semaphore) -> None:
        async with slot:
            flow, start = self.flows[name], START + number * WINDOW
            reading = scheduled(flow.channel, start, start + WINDOW, self.now)
            self.balances.append(await flow.settled(reading, f"{number:04}"))


def outages(windows: int) -> frozenset[int]:
    """A third of the windows, in stretches: a scheduler that was down, a DAG that was paused."""
    chance = random.Random(SEED)
    longest = min(LONGEST_OUTAGE, max(windows // 12, 1))
    missed: set[int] = set()
    while len(missed) < windows * MISSED:
        begin = chance.randrange(1, windows)
        missed |= set(range(begin, min(begin + chance.randint(1, longest), windows)))
    return frozenset(missed)


def run(home: Path, windows: int = WEEK) -> Told:
    """All of it; the result tells what there was, and what differs."""
    began, end = time.monotonic(), START + windows * WINDOW
    market = Market(RATE, BAD, millis(START), end, seed=SEED)
    expected = check_marketplace.expected(SEED, RATE, START, end, bad=BAD, rotation=ALL_BAD)
    with started(home, market, HOSTILE, (USER, PASSWORD)) as servers:
        channel = kervan(page_size=PAGE_SIZE, active_from=START, settings={"reject_reason": "PERIOD_OVER"})
        flows = {name: deployed(servers, home, name, channel) for name in FLOWS}
        rules = storm(SHARE, seconds=SLOW, ways=AT_ONCE_OR_NEVER)
        asked(servers.omnitron, "/admin/faults", json=rules)
        week = asyncio.run(_told(servers, flows, end))
        put_aside = expected.quarantined.keys() - judging.cancelled_meanwhile(servers, flows[ORDERS])
        found = [*_books(week), *judging.differences(servers, expected, flows), *_waiting(week, put_aside)]
        found += week.open_ends
        fired = fired_of(servers)
        struck = asked(servers.marketplace, "/admin/hostile")["struck"]
    told = {name: flow.told for name, flow in flows.items()} | {one.flow: one.told for one in week.outbound}
    counts = {
        "windows": windows,
        "windows missed and caught up": len(week.missed),
        "orders that arrived": len(expected.orders),
        "orders in quarantine": len(expected.quarantined),
        **week.life.counts(),
        **week.office.counts,
        **dict(sorted(struck.items())),
        **week.counts,
        "runs whose balance holds": sum(balance.holds for balance in week.balances),
    }
    return Told(f"{windows} windows", time.monotonic() - began, told, fired, counts, found, cpu_seconds())


async def _told(servers: Servers, flows: Mapping[str, Deployment], end: datetime) -> Week:
    async with httpx.AsyncClient(base_url=servers.marketplace, transport=AsyncPatient(), timeout=30) as market:
        windows = (end - START) // WINDOW
        rows = orders_between(SEED, RATE, START, end, bad=BAD, rotation=ALL_BAD)
        outbound = tuple(Outbound(flows[ORDERS], name) for name in TELLING)
        life = Life(market, events(rows, SEED, millis(end)))
        office = BackOffice.opened(servers.omnitron, servers.omnitron_database, CHANNEL)
        week = Week(flows, outbound, life, office, outages(windows))
        await week.go(0, windows)
        for number in range(windows, windows + CLOSING_AT_MOST):
            if number >= windows + len(CALMER) and week.is_settled():
                break
            for calmer in CALMER[number - windows : number - windows + 1]:
                (await market.put("/admin/hostile", json=calmer)).raise_for_status()
            _replay(flows)
            await week.go(number, number + 1)
            await week.close()
        week.open_ends += await judging.reconciled(flows[ORDERS], START, week.counts)
        return week


def _replay(flows: Mapping[str, Deployment]) -> None:
    """What a person does about states that nobody knew: all of them are to be tried once more."""
    for name in (ITEMS, REQUESTS):
        area, channel = flows[name].staging, flows[name].channel.name
        keys = [str(row["key"]) for row in selected(area, channel, name, What.ALL)]
        said = {"run": "by hand", "by": "a person", "note": "it is known by now"}
        park(Places.of(area, channel, name), keys, **said, now=datetime.now(UTC))


def _books(week: Week) -> Iterator[str]:
    yield from ("the balance of a run does not hold" for balance in week.balances if not balance.holds)
    yield from (f"{name}: links are still owed" for name, flow in week.flows.items() if flow.owed.all())


def _waiting(week: Week, put_aside: AbstractSet[str]) -> Iterator[str]:
    """What was done to orders that are put aside waits, and nothing else does."""
    happened = [event for event in week.life.done if str(event.order) in put_aside]
    wanted = {
        CANCELS: {str(event.order) for event in happened if event.what == "cancel"},
        ITEMS: {str(event.order) for event in happened if event.what == "ship"},
        REQUESTS: set[str](),
    }
    for name, orders in wanted.items():
        flow = week.flows[name]
        parked = set(flow.parked.open_keys())
        waiting = {key.partition("-")[0] for key in parked}
        if waiting != orders:
            yield f"{name}: parked are {sorted(waiting ^ orders)} too many or too few"
        for key, (reason, _) in flow.keys(flow.quarantine).items():
            if key not in parked:  # tried again, it waits for its order now; what was wrong with it stays to be seen
                yield f"{name}: {key} is in quarantine: {reason}"
