"""One flow as its DAG runs it, without Airflow: tries of tasks, what a retry keeps, and who clears a red run."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from order_integration.channels.commands import ChannelConnection, Connector
from order_integration.errors import ConfigurationError, ContractError, IntegrationError, LockedError, RetriableError
from order_integration.flows.handing_over import keep_outcomes, said_before
from order_integration.flows.inbound import CHUNK
from order_integration.flows.outcomes import Balance, Outcome
from order_integration.flows.pushing import Pushing
from order_integration.flows.windows import Reading
from order_integration.staging import Folder
from sandbox.marketplace.app import LOOPBACK_KEY
from tests.flows.steps import Hasty, Steps, config
from tests.hostile.servers import Servers

TRIES = 4  # of a task: the DAGs' three retries
CLEARS = 20  # times that a person clears one run, at most
TIMEOUT = 1.5  # seconds; what is slow on purpose is slower by less than RETRY_DELAY
SLOW = 2.0
RETRY_DELAY = 0.7  # seconds instead of a minute, and longer than a server may still be at what timed out
LOCK_DELAY = 0.05
LIMITS = {"requests_per_second": 10_000, "omnitron_requests_per_second": 10_000, "timeout": timedelta(seconds=TIMEOUT)}


def kervan(**own: Any) -> Any:
    """The channel's settings."""
    return config(name="kervan", connector="marketplace", **{"limits": LIMITS, **own})


@dataclass
class Deployment(Steps):
    """`told`: how many runs, tries and clears it took, and what became of records."""

    told: Counter[str] = field(default_factory=Counter)

    def connector(self) -> Connector:
        connector = super().connector()
        connector.http.__class__ = Hasty  # as patient as ever, in less time
        return connector

    def omnitron(self, **own: Any) -> Any:
        return super().omnitron(**{"timeout": TIMEOUT, **own})

    async def settled(self, reading: Reading, name: str) -> Balance:
        """A run; one that came to no end is cleared until it does."""
        self.told["runs"] += 1
        for _ in range(CLEARS):
            try:
                balance = await self._once(reading, f"{self.flow}/{name}")
            except IntegrationError:
                self.told["cleared"] += 1
                await asyncio.sleep(RETRY_DELAY)
                continue
            self.told["red"] += self.verdict(balance) is not None
            self.told.update({f"  {result}": count for result, count in balance.results.items()})
            return balance
        raise RetriableError(f"{self.flow} {name} came to no end, whoever cleared it")

    async def _once(self, reading: Reading, run: str) -> Balance:
        chunks, manifest = await self.task(lambda _: self.staged(reading, run))
        pushed = await asyncio.gather(*(self._pushed(chunks, number, run) for number in range(manifest["chunks"])))
        async with self.settling:
            return await self.task(lambda _: self.settle(chunks, list(pushed), run))

    async def _pushed(self, chunks: Folder, number: int, run: str) -> Folder | None:
        """One push task. None: its last try left nothing, for Airflow forgets what a try published."""
        attempts: list[Folder] = []
        left: Folder | None = None

        async def attempt(try_number: int) -> None:
            nonlocal left
            left = None
            left = await self._attempt(chunks, number, run, (try_number, attempts))
            attempts.append(left)
            failed = [outcome for outcome in self.outcomes(left) if outcome.failed]
            if failed:
                wait = max(float(outcome.retry_after or 0) for outcome in failed)  # a Decimal, as staged
                raise RetriableError("some may still pass", retry_after=wait or None)

        try:
            async with self.pushing if self.spec.one_chunk else nullcontext():
                await self.task(attempt)
        except IntegrationError:  # a failed task: settle runs all the same
            self.told["failed pushes"] += 1
        return left

    async def _attempt(self, chunks: Folder, number: int, run: str, what: tuple[int, list[Folder]]) -> Folder:
        try_number, attempts = what
        self.attempts += 1
        folder = self.folder(run, f"push-{number}-{self.attempts}")
        before: dict[str, Outcome] = said_before(chunks, attempts)
        rows = [row for row in chunks.read(f"{CHUNK}-{number:03}") if row["key"] not in before]
        async with self.omnitron() as omnitron, self.connector() as connector:
            is_last = try_number == TRIES
            ctx = Pushing(omnitron, connector, self.channel, self.staging, run, try_number, is_last)
            outcomes = [*before.values(), *await self.spec.push(ctx, rows)]
        keep_outcomes(folder, chunks, outcomes, self.owed)
        return folder

    async def task(self, step: Callable[[int], Awaitable[Any]]) -> Any:
        """A task, in its tries. Waiting for somebody else's batch request costs none; some errors fail at once."""
        number = 1
        while True:
            try:
                return await step(number)
            except LockedError:
                self.told["waits for a lock"] += 1
                await asyncio.sleep(LOCK_DELAY)
            except (ConfigurationError, ContractError):
                raise
            except IntegrationError as error:
                if number == TRIES:
                    raise
                self.told["retries"] += 1
                number += 1
                await asyncio.sleep(max(RETRY_DELAY, getattr(error, "retry_after", None) or 0.0))


def deployed(servers: Servers, home: Path, flow: str, channel: Any) -> Deployment:
    """All flows of a channel share the staging area and the token."""
    connection = ChannelConnection(servers.marketplace, password=LOOPBACK_KEY)
    return Deployment(servers.omnitron, home, channel, connection, flow=flow)
