"""A flow from a channel to Omnitron without Airflow: the same functions in the same order as the DAG's tasks."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

from order_integration.channels.commands import ChannelConnection, Connector, Window
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.errors import ConfigurationError, ContractError, IntegrationError, LockedError, RetriableError
from order_integration.flows.books import Books
from order_integration.flows.handing_over import OUTCOMES, collected, keep_outcomes
from order_integration.flows.inbound import CHUNK, Inbound, fetch, transform
from order_integration.flows.outcomes import Balance, Outcome, Result
from order_integration.flows.pushing import Pushing
from order_integration.flows.settling import settle, verdict
from order_integration.flows.windows import Reading
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.shared_token import SharedToken
from order_integration.staging import Folder, OpenBatches, OwedLinks, Staging, Waiting
from order_integration.transport import HttpSession, Limits
from tests.conftest import PASSWORD, USER
from tests.shelf import NOON

LONGEST_PAUSE = 0.02  # seconds between two tries of a call; the waits themselves are tested with the transport

DAY = Reading(Window(NOON - timedelta(hours=12), NOON + timedelta(hours=12)), NOON - timedelta(hours=12))


def config(**own: Any) -> ChannelConfig:
    settings = {
        "name": "shelf",
        "connector": "tests.shelf:Shelf",
        "connection": "shelf",
        "omnitron_channel_id": 1,
        "catalog_id": 1,
        "active_from": "2026-01-01T00:00:00Z",
    }
    return ChannelConfig(**{**settings, **own})


class Hasty(HttpSession):
    """Tries as often as ever, and waits less in between. `before`: what happens just before a call is sent."""

    before: Callable[[str, str], None] = staticmethod(lambda method, path: None)

    async def _once(self, method: str, path: str, *more: Any) -> Any:
        self.before(method, path)
        return await super()._once(method, path, *more)

    def _wait(self, state: Any) -> float:
        return min(super()._wait(state), LONGEST_PAUSE)


@dataclass
class Steps:
    """One deployment: a staging area, a token folder, a channel; and the flow that is run in it."""

    url: str
    home: Path
    channel: ChannelConfig = field(default_factory=config)
    connection: ChannelConnection = field(default_factory=lambda: ChannelConnection("http://127.0.0.1:9"))
    before: Callable[[str, str], None] = lambda method, path: None
    flow: str = "fetch_orders"
    lock_waits: tuple[float, ...] = ()
    runs: int = 0
    attempts: int = 0
    # As in the DAG: settle runs once at a time (max_active_tis_per_dag), and so does a push in one chunk.
    settling: asyncio.Lock = field(default_factory=asyncio.Lock)
    pushing: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def spec(self) -> Inbound[Any]:
        return import_module(f"order_integration.flows.{self.flow}").SPEC

    @property
    def staging(self) -> Staging:
        return Staging(f"file://{self.home}/staging")

    @property
    def quarantine(self) -> Waiting:
        return Waiting.quarantine(self.staging, self.channel.name, self.flow)

    @property
    def parked(self) -> Waiting:
        return Waiting.parked(self.staging, self.channel.name, self.flow)

    @property
    def owed(self) -> OwedLinks:
        return OwedLinks(self.staging, self.channel.name, self.flow)

    @property
    def batches(self) -> OpenBatches:
        return OpenBatches(self.staging, self.channel.name, self.flow)

    def connector(self) -> Connector:
        return connector_class(self.channel)(self.channel, self.connection)

    @asynccontextmanager
    async def omnitron(self, **own: Any) -> Any:
        address = f"{self.url}/api/v1/"
        timeout = own.pop("timeout", min(10.0, self.channel.limits.timeout.total_seconds()))
        limits = Limits(in_flight=16, requests_per_second=10_000, first_wait=0.01, timeout=timeout)
        token = SharedToken(address, own.pop("user", USER), own.pop("password", PASSWORD), self.home / "state")
        async with Hasty(address, token, limits) as http:
            http.before = self.before
            yield Omnitron(http, own.pop("channel_id", self.channel.omnitron_channel_id))

    def run(self, reading: Reading = DAY, **own: Any) -> Balance:
        """A whole run; own: `run` (its name, to run again), `tries` (of each step, as Airflow would)."""
        return asyncio.run(self.whole(reading, **own))

    async def whole(
        self, reading: Reading = DAY, run: str | None = None, tries: int = 1, *, patient: bool = False
    ) -> Balance:
        """`patient`: settle waits while somebody else's batch request is in the way."""
        self.runs += 1
        run = run or f"run-{self.runs}"
        chunks, manifest = await in_tries(tries, lambda _: self.staged(reading, run))
        numbers = range(manifest["chunks"])
        pushed = await asyncio.gather(*(self.pushed(chunks, number, run, tries) for number in numbers))
        async with self.settling:
            while True:
                try:
                    return await in_tries(tries, lambda _: self.settle(chunks, pushed, run))
                except LockedError:
                    if not patient:
                        raise
                    await asyncio.sleep(0.01)

    async def pushed(self, chunks: Folder, number: int, run: str, tries: int) -> Folder | None:
        """One push task with its tries; None where its last one left nothing (Airflow forgets what a try published)."""

        async def attempt(last: bool) -> Folder:
            nonlocal left
            left = None
            left = await self.push(chunks, number, run, last_try=last)
            if not last and any(outcome.result is Result.FAILED for outcome in self.outcomes(left)):
                raise RetriableError("some may still pass")
            return left

        left: Folder | None = None
        try:
            async with self.pushing if self.spec.one_chunk else nullcontext():
                return await in_tries(tries, attempt)
        except IntegrationError:  # a failed task: settle runs all the same
            return left

    def outcomes(self, folder: Folder) -> list[Outcome]:
        return [Outcome.from_row(row) for row in folder.read(OUTCOMES)]

    async def staged(self, reading: Reading, run: str) -> tuple[Folder, dict[str, Any]]:
        """fetch and transform."""
        fetched, chunks = self.folder(run, "fetch"), self.folder(run, "transform")
        async with self.omnitron() as omnitron:
            found = await self.spec.preflight(omnitron, self.channel)
        async with self.connector() as connector:
            await fetch(self.spec, connector, reading, self.staging, fetched)
            return chunks, await transform(self.spec, connector, fetched, reading.fresh_from, found, chunks)

    async def push(self, chunks: Folder, number: int, run: str, *, last_try: bool = True) -> Folder:
        self.attempts += 1
        async with self.omnitron() as omnitron, self.connector() as connector:
            ctx = Pushing(omnitron, connector, self.channel, self.staging, run, self.attempts, last_try)
            outcomes = await self.spec.push(ctx, list(chunks.read(f"{CHUNK}-{number:03}")))
        folder = self.folder(run, f"push-{number}-{self.attempts}")
        keep_outcomes(folder, chunks, outcomes, self.owed)
        return folder

    async def settle(self, chunks: Folder, pushed: list[Folder | None], run: str) -> Balance:
        settlement, balance = collected(chunks, pushed)
        owner = {"dag": "d", "run": run, "task": "settle", "map_index": -1, "try": 1}
        async with self.omnitron() as omnitron:
            books = Books(
                omnitron,
                self.flow,
                self.spec.content_type,
                self.quarantine,
                self.parked,
                self.batches,
                self.owed,
                owner,
                datetime.now(UTC),
                self.channel.link_beside_open_jobs,
                self.lock_waits,
            )
            await settle(books, settlement, balance)
        return balance

    def keys(self, waiting: Waiting) -> dict[str, tuple[str, str]]:
        """Reason and field of all that wait, by key."""
        return {key: (row["reason"], row["field"]) for key, row in waiting.open_keys().items()}

    def verdict(self, balance: Balance) -> str | None:
        return verdict(balance, self.channel.limits)

    def folder(self, run: str, task: str) -> Folder:
        return Folder.of_attempt(self.staging, self.channel.name, self.flow, run, task)


def results(balance: Balance) -> Counter[str]:
    """Results as texts, without zeros."""
    return Counter({str(name): count for name, count in balance.results.items() if count})


async def in_tries(tries: int, step: Callable[[bool], Awaitable[Any]]) -> Any:
    """`step` as a task of Airflow: tried again after any error but those that no retry can mend."""
    for number in range(1, tries + 1):
        try:
            return await step(number == tries)
        except (ConfigurationError, ContractError, LockedError):
            raise
        except IntegrationError:
            if number == tries:
                raise
    raise AssertionError("at least one try is needed")
