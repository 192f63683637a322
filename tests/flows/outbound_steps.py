"""Flow 2 and 3 without Airflow: the same functions in the same order as the DAGs' tasks."""

import asyncio
from collections.abc import Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from order_integration.flows import update_orders as flow
from order_integration.flows.check_orders import Checked, check
from order_integration.flows.outbound import How, Sending, Sent, kept
from order_integration.flows.outbound_settling import settle, verdict
from order_integration.flows.sweeping import Swept, sweep
from order_integration.staging import Folder, OpenBatches, Staging
from tests.conftest import BackOffice
from tests.flows.state import HOLDS_LOCK
from tests.flows.steps import Steps, config
from tests.shelf_outbound import Board

FLOW = "update_orders"
Row = dict[str, Any]


def outbound_config(folder: Path, connector: str = "OutboundShelf", **own: Any) -> Any:
    return config(**{"connector": f"tests.shelf_outbound:{connector}", "settings": {"folder": str(folder)}, **own})


@dataclass
class Told:
    """A run that is over: its table, its colour, and what became of each order, by its remote id."""

    table: Row
    verdict: str | None
    sents: dict[str, Sent]

    def states(self) -> dict[str, str]:
        return {key: str(sent.state) for key, sent in self.sents.items()}

    def reasons(self) -> dict[str, str]:
        return {key: str(sent.failed_reason_type) for key, sent in self.sents.items() if sent.failed_reason_type}


@dataclass
class OutboundSteps:
    """One deployment with a shelf that is told of updates."""

    url: str
    home: Path
    connector_name: str = "OutboundShelf"
    own: Row = field(default_factory=dict)
    attempts: int = 0
    before: Callable[[str, str], None] = lambda method, path: None
    now: datetime | None = None

    def __post_init__(self) -> None:
        self.board = Board(self.home / "board")
        self.channel = outbound_config(self.home / "board", self.connector_name, **self.own)
        self.steps = Steps(self.url, self.home, channel=self.channel)

    @property
    def staging(self) -> Staging:
        return self.steps.staging

    def batches(self, flow_name: str = FLOW) -> OpenBatches:
        return OpenBatches(self.staging, self.channel.name, flow_name)

    @asynccontextmanager
    async def both(self) -> Any:
        self.steps.before = self.before
        async with self.steps.connector() as connector, self.steps.omnitron() as omnitron:
            yield connector, omnitron

    def sending(self, omnitron: Any, run: str, task: str, ready: str = "", flow_name: str = FLOW) -> Sending:
        self.attempts += 1
        folder = self.folder(run, f"{task}-0-{self.attempts}-{datetime.now(UTC).timestamp()}", flow_name)
        owner = {"dag": FLOW, "run": f"{FLOW}/{run}", "task": task, "map_index": -1, "try": 1, "ready": ready}
        now = self.now or datetime.now(UTC)
        batches = self.batches(flow_name)
        return Sending(omnitron, flow_name, self.channel, "order", batches, folder, owner, now, lock_waits=(0.0, 0.0))

    def folder(self, run: str, task: str, flow_name: str = FLOW) -> Folder:
        return Folder.of_attempt(self.staging, self.channel.name, flow_name, run, task)

    async def staged(self, run: str) -> Folder:
        """fetch and transform."""
        fetched, ready = self.folder(run, "fetch"), self.folder(run, "transform")
        async with self.both() as (connector, omnitron):
            await flow.fetch(omnitron, connector, fetched)
            await flow.transform(omnitron, connector, fetched, ready)
        return ready

    async def send(self, ready: Folder, run: str, *, is_sync: bool = True, last_try: bool = True) -> Row:
        async with self.both() as (connector, omnitron):
            sending = self.sending(omnitron, run, "send", ready.path)
            said = await flow.send(sending, connector, ready, How(is_sync, last_try))
        return {"folder": sending.folder.path, **said}

    async def check(self, said: Row, run: str) -> Checked | None:
        async with self.both() as (connector, omnitron):
            sending = self.sending(omnitron, run, "check_orders")
            deadline = datetime.fromisoformat(said["accepted_at"]) + self.channel.feed_deadline
            return await check(sending, connector, said["batch_pk"], deadline)

    async def settle(self, said: Row, checked: Checked | None, run: str) -> Told:
        sents = {sent.pk: sent for sent in kept(Folder(self.staging, said["folder"]))}
        sents |= {sent.pk: sent for sent in checked.sents} if checked else {}
        async with self.both() as (_, omnitron):
            table = await settle(self.sending(omnitron, run, "settle"), list(sents.values()))
        sentence = verdict(list(sents.values()), self.channel.limits, checked.trouble if checked else "")
        return Told(table, sentence, {sent.key: sent for sent in sents.values()})

    def run(self, run: str = "run", *, is_sync: bool = True) -> Told:
        """A whole run; its job, if there is one, has been decided."""

        async def story() -> Told:
            said = await self.send(await self.staged(run), run, is_sync=is_sync)
            checked = await self.check(said, run) if said.get("batch_pk") else None
            return await self.settle(said, checked, run)

        return asyncio.run(story())

    def sent(self, run: str = "run", **how: Any) -> Row:
        """A run as far as its job was accepted."""

        async def story() -> Row:
            return await self.send(await self.staged(run), run, **how)

        return asyncio.run(story())

    def checked(self, said: Row, run: str = "run") -> Checked | None:
        return asyncio.run(self.check(said, run))

    def settled(self, said: Row, checked: Checked | None, run: str = "run") -> Told:
        return asyncio.run(self.settle(said, checked, run))

    def sweep(self, *alive: str) -> Swept:
        """With these runs still going on."""

        async def story() -> Swept:
            async with self.both() as (connector, omnitron):
                sending = self.sending(omnitron, "sweep", "sweep", flow_name="check_orders")
                return await sweep(
                    sending, connector, lambda owner: owner["run"] not in {f"{FLOW}/{run}" for run in alive}
                )

        return asyncio.run(story())

    def later(self, **time: float) -> None:
        self.now = datetime.now(UTC) + timedelta(**time)


def due(office: BackOffice) -> list[str]:
    """The channel's ids of the orders that Omnitron offers."""
    return [row["extra_field"]["id"] for row in office.rows("orders/updates")]


def change(office: BackOffice, *keys: str, status: str = "500") -> None:
    """The merchant ships orders."""
    for row in office.rows("orders"):
        if row["extra_field"]["id"] in keys:
            office.patch(f"/admin/orders/{row['pk']}", json={"status": status}).raise_for_status()


def actions(office: BackOffice, content_type: str = "order") -> dict[str, Row]:
    return {row["remote_id"]: row for row in office.rows("integration_actions", content_type_name=content_type)}


def statuses(office: BackOffice) -> list[str]:
    return [row["status"] for row in office.rows("batch_requests")]


def nothing_is_open(office: BackOffice) -> bool:
    return not set(statuses(office)) & HOLDS_LOCK
