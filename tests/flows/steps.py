"""Flow 1 without Airflow: the same functions in the same order as the DAG's tasks."""

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from order_integration.channels.commands import ChannelConnection, Connector, Window
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.flows import fetch_orders as flow
from order_integration.flows.outcomes import Balance
from order_integration.flows.settling import Books, settle, verdict
from order_integration.flows.windows import Reading
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.token import SharedToken
from order_integration.staging import Folder, OpenBatches, Staging, Waiting
from order_integration.transport import HttpSession, Limits
from tests.conftest import PASSWORD, USER
from tests.shelf import NOON

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


@dataclass
class Steps:
    """One deployment: a staging area, a token folder, a channel."""

    url: str
    home: Path
    channel: ChannelConfig = field(default_factory=config)
    runs: int = 0

    @property
    def staging(self) -> Staging:
        return Staging(f"file://{self.home}/staging")

    @property
    def quarantine(self) -> Waiting:
        return Waiting.quarantine(self.staging, self.channel.name, flow.FLOW)

    @property
    def parked(self) -> Waiting:
        return Waiting.parked(self.staging, self.channel.name, flow.FLOW)

    @property
    def batches(self) -> OpenBatches:
        return OpenBatches(self.staging, self.channel.name, flow.FLOW)

    def connector(self) -> Connector:
        return connector_class(self.channel)(self.channel, ChannelConnection("http://127.0.0.1:9"))

    @asynccontextmanager
    async def omnitron(self, **own: Any) -> Any:
        address = f"{self.url}/api/v1/"
        limits = Limits(in_flight=16, requests_per_second=10_000, first_wait=0.01, timeout=own.pop("timeout", 10.0))
        token = SharedToken(address, own.pop("user", USER), own.pop("password", PASSWORD), self.home / "state")
        async with HttpSession(address, token, limits) as http:
            yield Omnitron(http, own.pop("channel_id", self.channel.omnitron_channel_id))

    def run(self, reading: Reading = DAY, **own: Any) -> Balance:
        """A whole run; own: `run` (its name, to run again), `tries` (of push and settle)."""
        self.runs += 1
        return asyncio.run(self._run(reading, own.get("run", f"run-{self.runs}")))

    async def _run(self, reading: Reading, run: str) -> Balance:
        chunks, manifest = await self.staged(reading, run)
        pushed = [await self.push(chunks, number, run) for number in range(manifest["chunks"])]
        return await self.settle(chunks, pushed, run)

    async def staged(self, reading: Reading, run: str) -> tuple[Folder, dict[str, Any]]:
        """fetch and transform."""
        fetched, chunks = self.folder(run, "fetch"), self.folder(run, "transform")
        async with self.omnitron() as omnitron:
            identifier = await flow.preflight(omnitron, self.channel.catalog_id)
        async with self.connector() as connector:
            await flow.fetch(connector, reading, self.parked, fetched)
            return chunks, await flow.transform(connector, fetched, reading.fresh_from, identifier, chunks)

    async def push(self, chunks: Folder, number: int, run: str, *, last_try: bool = True) -> Folder:
        async with self.omnitron() as omnitron:
            orders = await flow.prepared(omnitron, self.channel, run)
            outcomes = await flow.push(orders, chunks.read(f"{flow.CHUNK}-{number:03}"), last_try=last_try)
        folder = self.folder(run, f"push-{number}")
        folder.write(flow.OUTCOMES, (outcome.as_row() for outcome in outcomes))
        return folder

    async def settle(self, chunks: Folder, pushed: list[Folder | None], run: str) -> Balance:
        settlement, balance = flow.collected(chunks, pushed)
        owner = {"dag": "d", "run": run, "task": "settle", "map_index": -1, "try": 1}
        async with self.omnitron() as omnitron:
            books = Books(
                omnitron, flow.FLOW, "order", self.quarantine, self.parked, self.batches, owner, datetime.now(UTC)
            )
            await settle(books, settlement, balance)
        return balance

    def verdict(self, balance: Balance) -> str | None:
        return verdict(balance, self.channel.limits)

    def folder(self, run: str, task: str) -> Folder:
        return Folder.of_attempt(self.staging, self.channel.name, flow.FLOW, run, task)


def results(balance: Balance) -> Counter[str]:
    """Results as texts, without zeros."""
    return Counter({str(name): count for name, count in balance.results.items() if count})
