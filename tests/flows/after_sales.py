"""A channel whose orders are in Omnitron already, for the flows that follow; and how one of their tasks is killed."""

import asyncio
import time
from pathlib import Path
from typing import Any

from order_integration.channels.commands import Record
from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.steps import DAY, Steps, config
from tests.shelf import NewsShelf
from tests.shelf import order as shelf_order

UPDATES = "fetch_and_update_order_items"
REQUESTS = "fetch_and_create_cancellation_requests"
SIZE = 7  # the reason that the channel's code "size" is mapped to


def steps_of(flow: str, url: str, home: Path, connector: str = "NewsShelf") -> Steps:
    return Steps(url, home, config(connector=f"tests.shelf:{connector}"), flow=flow)


def arrive(steps: Steps, *orders: Record) -> None:
    """Orders come to Omnitron and are linked."""
    NewsShelf.orders[:] = orders
    Steps(steps.url, steps.home).run()
    NewsShelf.orders.clear()


def order(key: str, items: list[dict[str, Any]]) -> Record:
    """An order whose amount is that of its items."""
    return shelf_order(key, items=items, amount=f"{10 + 50 * len(items)}.00")


def writes(office: BackOffice) -> list[tuple[str, str]]:
    """Calls that change something; a log-in changes nothing."""
    calls = office.get("/admin/requests").json()
    return [
        (call["method"], call["path"].partition("/channel/1/")[2])
        for call in calls
        if call["method"] != "GET" and not call["path"].endswith("auth/login/")
    ]


def from_now_on(office: BackOffice) -> None:
    """What was called before does not count."""
    office.delete("/admin/requests")


def last_batch(office: BackOffice) -> dict[str, Any]:
    """The newest batch request, with its objects."""
    pk = office.rows("batch_requests")[-1]["pk"]
    return dict(office.get(f"/api/v1/channel/1/batch_requests/{pk}/").json())


def map_reasons(office: BackOffice, **codes: int) -> None:
    """The merchant maps the channel's codes."""
    office.patch("/admin/channels/1", json={"conf": {"reason_mapping": codes}}).raise_for_status()


def one_push(flow: str, url: str, home: Path, run: str, chunks: str) -> None:
    """A push task in a process of its own."""
    steps = steps_of(flow, url, home)
    asyncio.run(steps.push(Folder(steps.staging, chunks), 0, run, last_try=False))


def killed_push(processes: Any, steps: Steps, office: BackOffice, at: tuple[str, str, int]) -> Folder:
    """Stages a run, starts its push, and kills it in the call that hangs; returns the chunks."""
    method, path, skip = at
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    office.fault(method, path, "latency", seconds=3600, skip=skip)
    task = processes.Process(target=one_push, args=(steps.flow, steps.url, steps.home, "run", chunks.path))
    task.start()
    try:
        give_up = time.monotonic() + 60
        while not any(call["fault"] == "latency" for call in office.get("/admin/requests").json()):
            assert task.is_alive(), "the task ended before the call that was to hang"
            assert time.monotonic() < give_up
            time.sleep(0.02)
    finally:
        task.kill()
        task.join()
    office.delete("/admin/faults")
    return chunks
