"""Flows 2 and 7 as their DAGs run them, without Airflow: what changed in Omnitron is told to the channel."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from typing import Any

from order_integration.errors import IntegrationError
from order_integration.flows.outbound import How, Sending, kept
from order_integration.flows.outbound_settling import settle, verdict
from order_integration.staging import Folder, OpenBatches
from tests.hostile.deployment import CLEARS, RETRY_DELAY, TRIES, Deployment

DRAINED_WITHIN = 6  # runs: what one of them leaves is offered to the next


@dataclass
class Outbound:
    """One of the two, in the deployment of the flows from the channel. Runs are one at a time, as in their DAGs."""

    inbound: Deployment
    flow: str
    told: Counter[str] = field(default_factory=Counter)
    attempts: int = 0
    alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def module(self) -> Any:
        return import_module(f"order_integration.flows.{self.flow}")

    async def drained(self) -> int:
        """Runs until nothing is due any more; returns how much is left in the end."""
        for _ in range(DRAINED_WITHIN):
            if not await self.run():
                return 0
        return await self.run()

    async def run(self) -> int:
        """A run, cleared until it comes to an end; returns how many objects were due."""
        async with self.alone:
            self.told["runs"] += 1
            name = f"{self.flow}/{self.told['runs']}"
            for clear in range(CLEARS):
                try:
                    return await self._once(f"{name}/{clear}")
                except IntegrationError:
                    self.told["cleared"] += 1
                    await asyncio.sleep(RETRY_DELAY)
        raise RuntimeError(f"{name} came to no end")

    async def _once(self, run: str) -> int:
        due, ready = await self._task(lambda _: self._ready(run))
        if not due:
            return 0
        sent = await self._task(lambda number: self._send(ready, run, is_last=number == TRIES))
        await self._task(lambda _: self._settle(sent, run))
        sents = kept(sent)
        self.told.update(f"  {one.state}" for one in sents)
        self.told["red"] += verdict(sents, self.inbound.channel.limits) is not None
        return due

    async def _task(self, step: Callable[[int], Awaitable[Any]]) -> Any:
        return await self.inbound.task(step)

    async def _ready(self, run: str) -> tuple[int, Folder]:
        self.attempts += 1
        fetched, ready = self._folder(run, f"fetch-{self.attempts}"), self._folder(run, f"transform-{self.attempts}")
        async with self.inbound.omnitron() as omnitron, self.inbound.connector() as connector:
            counts = await self.module.fetch(omnitron, connector, fetched)
            await self.module.transform(omnitron, connector, fetched, ready)
        return int(counts["due"]), ready

    async def _send(self, ready: Folder, run: str, *, is_last: bool) -> Folder:
        async with self.inbound.omnitron() as omnitron, self.inbound.connector() as connector:
            sending = self._sending(omnitron, run, "send", ready.path)
            said = await self.module.send(sending, connector, ready, How(is_sync=True, last_try=is_last))
        return Folder(self.inbound.staging, said.get("folder", sending.folder.path))

    async def _settle(self, sent: Folder, run: str) -> None:
        async with self.inbound.omnitron() as omnitron:
            await settle(self._sending(omnitron, run, "settle"), kept(sent))

    def _sending(self, omnitron: Any, run: str, task: str, ready: str = "") -> Sending:
        self.attempts += 1
        batches = OpenBatches(self.inbound.staging, self.inbound.channel.name, self.flow)
        owner = {"dag": self.flow, "run": run, "task": task, "map_index": -1, "try": self.attempts, "ready": ready}
        folder, now = self._folder(run, f"{task}-{self.attempts}"), datetime.now(UTC)
        kind = self.module.CONTENT_TYPE
        return Sending(omnitron, self.flow, self.inbound.channel, kind, batches, folder, owner, now, lock_waits=(0.01,))

    def _folder(self, run: str, task: str) -> Folder:
        return Folder.of_attempt(self.inbound.staging, self.inbound.channel.name, self.flow, run, task)
