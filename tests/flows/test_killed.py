"""A task is killed, as a whole process and without a word, in the middle of its work."""

import asyncio
import logging
import multiprocessing
import signal
import time
from multiprocessing import forkserver
from pathlib import Path

import pytest

from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.one_step import run_step
from tests.flows.state import HOLDS_LOCK, linked, no_batch_is_open
from tests.flows.steps import DAY, Steps, results
from tests.shelf import item, order

# A server that has imported everything forks the processes: importing takes longer than the tests.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.flows.one_step"])
ROOMS = Path(__file__).parents[2]
FOREVER = 3600  # seconds: the call that hangs is never carried out in the time of a test
PATIENCE = 60.0

IN_PUSH = {
    "before the customer": ("POST", "/customers/$", 0),
    "before an address": ("POST", "/addresses/$", 0),
    "before the first order": ("POST", "/create_orders/$", 0),
    "before another order": ("POST", "/create_orders/$", 2),
    "between an order and its links": ("GET", "/order_items/$", 0),
    "after most orders": ("GET", "/order_items/$", 3),
}
IN_SETTLE = {
    "before the batch request": ("POST", "/batch_requests/$", 0),
    "before the commit": ("PATCH", "/batch_requests/", 0),
    "between commit and done": ("PATCH", "/batch_requests/", 1),
    "before the reports": ("POST", "/error_reports/$", 0),
}


def orders() -> list[dict]:
    return [
        order("1", items=[item("1"), item("1", unit=2)], amount="110.00"),
        order("2", minutes=1, buyer="1"),
        order("3", minutes=2),
        order("4", minutes=3),
        order("x", minutes=4, cargo_company="guvercin"),
    ]


class Killed:
    """A run up to the task that is killed."""

    def __init__(self, steps: Steps, office: BackOffice) -> None:
        self.steps, self.office = steps, office
        self.chunks, manifest = asyncio.run(steps.staged(DAY, "run"))
        assert manifest["chunks"] == 1

    def kill(self, step: str, at: tuple[str, str, int], *pushed: Folder) -> None:
        """Starts the step, waits until the call hangs, and kills the process."""
        method, path, skip = at
        self.office.fault(method, path, "latency", seconds=FOREVER, skip=skip)
        folders = [self.chunks.path, *(folder.path for folder in pushed)]
        task = PROCESSES.Process(target=run_step, args=(step, self.steps.url, self.steps.home, "run", *folders))
        task.start()
        try:
            give_up = time.monotonic() + PATIENCE
            while not any(call["fault"] == "latency" for call in self.office.get("/admin/requests").json()):
                assert task.is_alive(), "the task ended before the call that was to hang"
                assert time.monotonic() < give_up
                time.sleep(0.02)
        finally:
            task.kill()
            task.join()
        assert task.exitcode == -signal.SIGKILL
        self.office.delete("/admin/faults")

    def push(self) -> Folder:
        return asyncio.run(self.steps.push(self.chunks, 0, "run"))

    def settle(self, pushed: Folder | None):
        return asyncio.run(self.steps.settle(self.chunks, [pushed], "run"))


def is_no_end_of_a_call_that_hangs(record: logging.LogRecord) -> bool:
    """The server breaks such calls off when it stops, and says so at length."""
    return not (record.exc_info and record.exc_info[0] is asyncio.CancelledError)


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOMS}:{ROOMS / 'plugins'}")
        forkserver.ensure_running()


@pytest.fixture
def killed(steps: Steps, back_office: BackOffice, shelf) -> Killed:
    shelf(*orders())
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    return Killed(steps, back_office)


def is_whole(office: BackOffice) -> bool:
    """Every order once, all linked, nobody doubled, nothing open."""
    rows, items = office.rows("orders"), office.rows("order_items")
    assert sorted(row["extra_field"]["id"] for row in rows) == ["1", "2", "3", "4"]
    assert sorted(row["extra_field"]["id"] for row in items) == ["1-1/1", "1-1/2", "2-1/1", "3-1/1", "4-1/1"]
    assert len(office.rows("customers")) == 3
    assert len(office.rows("addresses")) == 3
    wanted = {("order", row["pk"]) for row in rows} | {("orderitem", row["pk"]) for row in items}
    return set(linked(office)) == wanted and no_batch_is_open(office)


@pytest.mark.parametrize("at", IN_PUSH)
def test_a_push_that_was_killed_is_made_up_for_by_its_next_try(killed: Killed, back_office: BackOffice, at) -> None:
    killed.kill("push", IN_PUSH[at])

    balance = killed.settle(killed.push())

    assert results(balance) == {"created": 4, "quarantined": 1}
    assert killed.steps.verdict(balance) is None
    assert is_whole(back_office)


@pytest.mark.defect("O2")
@pytest.mark.parametrize("at", ["between an order and its links", "before another order"])
def test_a_push_that_was_killed_for_good_is_made_up_for_by_the_next_run(
    killed: Killed, back_office: BackOffice, shelf, at: str
) -> None:
    killed.kill("push", IN_PUSH[at])

    balance = killed.settle(None)

    assert results(balance) == {"parked": 5}
    assert killed.steps.verdict(balance) is not None
    assert set(killed.steps.keys(killed.steps.parked)) == {"1", "2", "3", "4", "x"}
    shelf()  # the next run's window has none of them
    following = killed.steps.run()
    assert results(following)["created"] + results(following)["already_there"] == 4
    assert results(following)["quarantined"] == 1
    assert killed.steps.verdict(following) is None
    assert killed.steps.keys(killed.steps.parked) == {}
    assert is_whole(back_office)


@pytest.mark.parametrize("at", IN_SETTLE)
def test_a_settle_that_was_killed_is_made_up_for_by_its_next_try(killed: Killed, back_office: BackOffice, at) -> None:
    pushed = killed.push()
    killed.kill("settle", IN_SETTLE[at], pushed)

    balance = killed.settle(pushed)

    assert results(balance) == {"created": 4, "quarantined": 1}
    assert balance.new_in_quarantine == 1
    assert len(back_office.rows("error_reports")) == 1
    assert killed.steps.batches.all() == []
    assert is_whole(back_office)


@pytest.mark.defect("B1", "O2")
@pytest.mark.parametrize("at", IN_SETTLE)
def test_a_settle_that_was_killed_for_good_is_made_up_for_by_the_next_run(
    killed: Killed, back_office: BackOffice, at: str
) -> None:
    killed.kill("settle", IN_SETTLE[at], killed.push())

    balance = killed.steps.run()

    assert results(balance) == {"already_there": 4, "quarantined": 1}
    assert killed.steps.verdict(balance) is None
    assert len(back_office.rows("error_reports")) == 1
    assert killed.steps.batches.all() == []
    assert is_whole(back_office)


@pytest.mark.defect("B1")
def test_a_settle_that_was_killed_holds_its_lock_until_the_next_one_takes_it(
    killed: Killed, back_office: BackOffice
) -> None:
    pushed = killed.push()
    killed.kill("settle", IN_SETTLE["between commit and done"], pushed)
    [held] = back_office.rows("batch_requests")
    assert held["status"] in HOLDS_LOCK
    assert [row["pk"] for row in killed.steps.batches.all()] == [held["pk"]]

    killed.settle(pushed)

    assert no_batch_is_open(back_office)
