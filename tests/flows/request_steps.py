"""Flow 7 without Airflow, and what a merchant and a shopper do before it: orders, requests, decisions."""

import asyncio
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from order_integration.flows import update_cancellation_requests as flow
from order_integration.flows.outbound import How, Sending, Sent, kept
from order_integration.flows.outbound_settling import settle, verdict
from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config
from tests.shelf import Shelf, item, order
from tests.shelf_requests import RequestShelf, fine

API = "/api/v1/channel/1"
CONNECTOR = "tests.shelf_requests:RequestShelf"
MAPPING = {"CHANGED_MIND": 1, "DAMAGED": 2}
KIND = "cancellationrequest"


@dataclass
class RequestSteps:
    """Fetch, transform, send and settle, in the same order as the DAG's tasks."""

    steps: Steps
    office: BackOffice
    runs: int = 0
    attempts: int = 0

    def run(self, run: str = "") -> dict[str, Any]:
        """A whole run; returns its table."""
        return asyncio.run(self.whole(run))

    async def whole(self, run: str = "") -> dict[str, Any]:
        self.runs += 1
        run = run or f"run-{self.runs}"
        ready = await self.ready(run)
        sent = await self.send(ready, run)
        return await self.settle(sent, run)

    async def ready(self, run: str) -> Folder:
        """fetch and transform."""
        fetched, ready = self.folder(run, "fetch"), self.folder(run, "transform")
        async with self.steps.omnitron() as omnitron, self.steps.connector() as connector:
            await flow.fetch(omnitron, connector, fetched)
            await flow.transform(omnitron, connector, fetched, ready)
        return ready

    async def send(self, ready: Folder, run: str) -> Folder:
        """Where the outcomes are."""
        async with self.steps.omnitron() as omnitron, self.steps.connector() as connector:
            sending = self.sending(omnitron, run, "send")
            said = await flow.send(sending, connector, ready, How())
        return Folder(self.steps.staging, said.get("folder", sending.folder.path))

    async def settle(self, sent: Folder, run: str) -> dict[str, Any]:
        async with self.steps.omnitron() as omnitron:
            return await settle(self.sending(omnitron, run, "settle"), kept(sent))

    def sending(self, omnitron: Any, run: str, task: str) -> Sending:
        self.attempts += 1
        owner = {"dag": "d", "run": run, "task": task, "map_index": -1, "try": self.attempts}
        folder, now = self.folder(run, f"{task}-{self.attempts}"), datetime.now(UTC)
        batches = replace(self.steps.batches, flow=flow.FLOW)
        return Sending(
            omnitron, flow.FLOW, self.steps.channel, flow.CONTENT_TYPE, batches, folder, owner, now, lock_waits=(0.01,)
        )

    def folder(self, run: str, task: str) -> Folder:
        return Folder.of_attempt(self.steps.staging, self.steps.channel.name, flow.FLOW, run, task)

    def sents(self) -> dict[str, Sent]:
        """What the last send said of each request, by key."""
        folder = self.folder(f"run-{self.runs}", f"send-{self.attempts - 1}")
        return {sent.key: sent for sent in kept(folder)}

    def verdict(self) -> str | None:
        return verdict(list(self.sents().values()), self.steps.channel.limits)


def start(steps: Steps, office: BackOffice) -> RequestSteps:
    """Two reasons, and a shelf that sold two orders of three units each."""
    RequestShelf.start_again()
    office.told(cancellation_reasons=[{"id": 2, "subject": "Kırık", "cancellation_type": "refund"}])
    map_reasons(office, MAPPING)
    steps.channel = config(connector=CONNECTOR)
    units = {key: [item(key, unit=unit, price="10.00") for unit in (1, 2, 3)] for key in ("1", "2")}
    Shelf.orders[:] = [order(key, items=some, amount="40.00") for key, some in units.items()]
    steps.run()
    return RequestSteps(steps, office)


def map_reasons(office: BackOffice, mapping: Any) -> None:
    office.patch("/admin/channels/1", json={"conf": {"reason_mapping": mapping}}).raise_for_status()


def ask(office: BackOffice, unit: str, remote_id: str | None, *, reason: int = 1, **own: Any) -> int:
    """A shopper's request for one unit as flow 6 leaves it: in Omnitron, and linked. Returns its pk."""
    body = {"order_item": office.linked("orderitem")[unit], "reason": reason, "description": "Olmadı.", **own}
    made = office.post(f"{API}/cancellation_requests/", json={"cancellation_type": "refund", **body})
    made.raise_for_status()
    row = made.json()
    link(office, row["pk"], row["modified_date"], remote_id)
    return int(row["pk"])


def link(office: BackOffice, pk: int, version_date: str, remote_id: str | None) -> None:
    said = {"channel_id": 1, "content_type": KIND, "object_id": pk, "remote_id": remote_id}
    office.post(f"{API}/integration_actions/", json={**said, "version_date": version_date}).raise_for_status()


def decide(office: BackOffice, pk: int, *statuses: str) -> None:
    """The merchant's decision; `completed` is reached over the steps before it."""
    for status in statuses or ("confirmed", "completed"):
        office.patch(f"/admin/cancellation_requests/{pk}", json={"status": status}).raise_for_status()


def reject(office: BackOffice, pk: int) -> None:
    decide(office, pk, "rejected")


def due(office: BackOffice) -> set[int]:
    """What Omnitron offers now."""
    office.switch(updates_as_array=False)
    return {row["pk"] for row in office.rows("cancellation_requests/updates")}


def told() -> list[list[tuple[str | None, str]]]:
    """Remote id and status of each request, call by call."""
    return [[(one.remote_id, one.status) for one in call] for call in RequestShelf.told]


def batches(office: BackOffice) -> list[str]:
    """Of this content type: the orders' are another flow's."""
    return [row["status"] for row in office.rows("batch_requests", content_type=KIND)]


def failed_as(office: BackOffice) -> dict[int, str | None]:
    """Object → failed_reason_type in the latest batch request."""
    latest = office.rows("batch_requests", content_type=KIND)[-1]["pk"]
    objects = office.get(f"{API}/batch_requests/{latest}/").json()["objects"] or []
    return {row["pk"]: row["failed_reason_type"] for row in objects}


def writes(office: BackOffice) -> list[str]:
    """Calls that change something, since the list of calls was emptied."""
    calls = office.get("/admin/requests").json()
    return [call["path"] for call in calls if call["method"] != "GET" and "/channel/" in call["path"]]


def reports(office: BackOffice) -> list[str]:
    return [row["error_desc"] for row in office.rows("error_reports")]


def answer(**by_id: Any) -> Any:
    """Told a request of such an id, the shelf answers this (or raises it); every other one is fine."""

    def said(told: Any) -> Any:
        for one in told:
            if isinstance(by_id.get(one.remote_id), BaseException):
                raise by_id[one.remote_id]
        return [{**row, **by_id.get(row["remote_id"], {})} for row in fine(told)]

    RequestShelf.answer = staticmethod(said)
    return said
