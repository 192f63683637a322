"""Flow 7: send is killed, as a whole process and without a word; what was not said for sure is said again."""

import asyncio
import multiprocessing
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.request_steps import CONNECTOR, RequestSteps, ask, due, failed_as, reject, start, told
from tests.flows.state import no_batch_is_open
from tests.flows.steps import Steps, config

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.flows.request_steps"])
FOREVER = 3600  # seconds: the call that hangs is never carried out in the time of a test
PATIENCE = 60.0
PLACES = {
    "before the batch request": ("POST", "/batch_requests/$", 0),
    "before the commit": ("PATCH", "/batch_requests/", 0),
    "before the channel was told": ("GET", "/cancellation_requests/$", 0),
    "after the channel was told": ("PATCH", "/batch_requests/", 1),
}


@pytest.fixture
def requests(steps: Steps, back_office: BackOffice, shelf: Any) -> RequestSteps:
    return start(steps, back_office)


def send(url: str, home: Path, ready: str) -> None:
    """In a process of its own: what its shelf is told, nobody hears."""
    steps = Steps(url, home, config(connector=CONNECTOR))
    with BackOffice() as nobody:
        asyncio.run(RequestSteps(steps, nobody).send(Folder(steps.staging, ready), "run"))


def kill(requests: RequestSteps, ready: Folder, method: str, path: str, skip: int) -> None:
    """Starts send, waits until the call hangs, and kills the process."""
    office = requests.office
    office.fault(method, path, "latency", seconds=FOREVER, skip=skip)
    task = PROCESSES.Process(target=send, args=(requests.steps.url, requests.steps.home, ready.path))
    task.start()
    try:
        give_up = time.monotonic() + PATIENCE
        while not any(call["fault"] == "latency" for call in office.get("/admin/requests").json()):
            assert task.is_alive(), "the task ended before the call that was to hang"
            assert time.monotonic() < give_up
            time.sleep(0.02)
    finally:
        task.kill()
        task.join()
    assert task.exitcode == -signal.SIGKILL
    office.delete("/admin/faults")


@pytest.mark.defect("B1")
@pytest.mark.parametrize("place", PLACES)
def test_a_retry_of_a_killed_send_ends_what_was_open_and_tells_everything(
    requests: RequestSteps, back_office: BackOffice, place: str
) -> None:
    pks = [ask(back_office, f"1-1/{unit}", f"R{unit}") for unit in (1, 2)]
    for pk in pks:
        reject(back_office, pk)
    ready = asyncio.run(requests.ready("run"))
    kill(requests, ready, *PLACES[place])

    sent = asyncio.run(requests.send(ready, "run"))
    table = asyncio.run(requests.settle(sent, "run"))

    assert sorted(told()) == [[("R1", "rejected")], [("R2", "rejected")]]
    assert table["succeeded"] == 2
    assert failed_as(back_office) == dict.fromkeys(pks)
    assert no_batch_is_open(back_office)
    assert due(back_office) == set()


@pytest.mark.defect("B1")
@pytest.mark.parametrize("place", PLACES)
def test_without_a_retry_a_later_run_does_it(requests: RequestSteps, back_office: BackOffice, place: str) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    kill(requests, asyncio.run(requests.ready("run")), *PLACES[place])

    requests.run("the next")
    requests.run("the one after")

    assert told() == [[("R1", "rejected")]]
    assert no_batch_is_open(back_office)
    assert due(back_office) == set()


def test_a_try_that_was_killed_after_all_was_said_is_not_repeated(
    requests: RequestSteps, back_office: BackOffice
) -> None:
    """Between the end of the batch request and the end of the task."""
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    ready = asyncio.run(requests.ready("run"))
    asyncio.run(requests.send(ready, "run"))

    sent = asyncio.run(requests.send(ready, "run"))
    table = asyncio.run(requests.settle(sent, "run"))

    assert told() == [[("R1", "rejected")]]
    assert table["succeeded"] == 1
    assert no_batch_is_open(back_office)
