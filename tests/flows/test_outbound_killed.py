"""A task that sends, or ends a job, is killed between any two of its steps: nothing stays open, nothing goes twice."""

import asyncio
import json
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.flows.one_outbound_step import run_outbound_step
from tests.flows.outbound_steps import OutboundSteps, Told, actions, change, due, nothing_is_open
from tests.flows.test_killed import FOREVER, PATIENCE, PROCESSES, ROOMS, is_no_end_of_a_call_that_hangs
from tests.shelf import order

assert isinstance(PROCESSES, multiprocessing.context.BaseContext)
PROCESSES.set_forkserver_preload(["tests.flows.one_step", "tests.flows.one_outbound_step"])

# Where Omnitron hangs, after how many calls of this kind; or where the channel does.
SEND_SYNC: dict[str, tuple[str, str, int] | str] = {
    "before the batch request": ("POST", "/batch_requests/$", 0),
    "before the commit": ("PATCH", "/batch_requests/", 0),
    "before the channel has it": "before",
    "after the channel has it": "after",
    "before the end": ("PATCH", "/batch_requests/", 1),
}
SEND_ASYNC = {**SEND_SYNC, "before it is handed over": ("PATCH", "/batch_requests/", 1)}
CHECK: dict[str, tuple[str, str, int] | str] = {
    "before the batch request is read": ("GET", "/batch_requests/", 0),
    "before the end": ("PATCH", "/batch_requests/", 0),
}
KEYS = ["1", "2", "3"]
Hangs = Callable[[], bool]


class Killed:
    """A run whose tasks are killed."""

    def __init__(self, outbound: OutboundSteps, office: BackOffice) -> None:
        self.outbound, self.office = outbound, office

    def staged(self, *, is_sync: bool) -> dict[str, Any]:
        return {"ready": asyncio.run(self.outbound.staged("run")).path, "is_sync": is_sync}

    def kill(self, step: str, at: tuple[str, str, int] | str, given: dict[str, Any]) -> None:
        """Starts the step, waits until it hangs, and kills the process."""
        if isinstance(at, str):
            self.outbound.board.rule(hang=at)
            hangs: Hangs = (self.outbound.board.folder / "hangs").exists
        else:
            method, path, skip = at
            self.office.fault(method, path, "latency", seconds=FOREVER, skip=skip)

            def hangs() -> bool:
                return any(call["fault"] == "latency" for call in self.office.get("/admin/requests").json())

        own = (step, self.outbound.url, self.outbound.home, "run", json.dumps(given))
        task = PROCESSES.Process(target=run_outbound_step, args=own)
        task.start()
        try:
            give_up = time.monotonic() + PATIENCE
            while not hangs():
                assert task.is_alive(), "the task ended before the call that was to hang"
                assert time.monotonic() < give_up
                time.sleep(0.02)
        finally:
            task.kill()
            task.join()
        assert task.exitcode == -signal.SIGKILL
        self.office.delete("/admin/faults")
        self.office.delete("/admin/requests")
        self.outbound.board.rule(hang=None)

    def retried(self, given: dict[str, Any]) -> Told:
        """send's next try, and what follows."""

        async def story() -> Told:
            ready = self.outbound.folder("run", "transform")
            said = await self.outbound.send(ready, "run", is_sync=given["is_sync"])
            checked = await self.outbound.check(said, "run") if said.get("batch_pk") else None
            return await self.outbound.settle(said, checked, "run")

        return asyncio.run(story())


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOMS}:{ROOMS / 'plugins'}")
        forkserver.ensure_running()


@pytest.fixture
def killed(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Killed:
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    outbound = OutboundSteps(omnitron_url, tmp_path)
    shelf(*(order(key, minutes=place, buyer="1") for place, key in enumerate(KEYS)))
    outbound.steps.run()
    change(back_office, *KEYS)
    back_office.delete("/admin/requests")
    outbound.board.rule(refuse=["3"])
    return Killed(outbound, back_office)


def all_was_told_once(killed: Killed, office: BackOffice, told: Told) -> bool:
    assert told.states() == {"1": "succeeded", "2": "succeeded", "3": "failed"}
    assert told.reasons() == {"3": "remote"}
    assert told.verdict is None
    return everybody_knows(killed, office)


def everybody_knows(killed: Killed, office: BackOffice) -> bool:
    assert killed.outbound.board.orders() == KEYS  # each once
    assert {key: row["status"] for key, row in actions(office).items()} == {
        "1": "success",
        "2": "success",
        "3": "error",
    }
    assert due(office) == ["3"]
    assert killed.outbound.batches().all() == []
    return nothing_is_open(office)


@pytest.mark.defect("B1")
@pytest.mark.parametrize("at", SEND_SYNC)
def test_a_send_that_was_killed_is_made_up_for_by_its_next_try(
    killed: Killed, back_office: BackOffice, at: str
) -> None:
    given = killed.staged(is_sync=True)
    killed.kill("send", SEND_SYNC[at], given)

    assert all_was_told_once(killed, back_office, killed.retried(given))


@pytest.mark.defect("B1")
@pytest.mark.parametrize("at", SEND_ASYNC)
def test_a_send_of_a_job_that_was_killed_is_made_up_for_by_its_next_try(
    killed: Killed, back_office: BackOffice, at: str
) -> None:
    killed.outbound.board.rule(answers="feeds", feeds={"*": "done"})
    given = killed.staged(is_sync=False)
    killed.kill("send", SEND_ASYNC[at], given)

    assert all_was_told_once(killed, back_office, killed.retried(given))


@pytest.mark.parametrize("answers", ["results", "feeds"])
@pytest.mark.parametrize("at", SEND_SYNC)
def test_a_send_that_was_killed_for_good_holds_nothing_after_the_sweep_and_is_made_up_for_by_the_next_run(
    killed: Killed, back_office: BackOffice, at: str, answers: str
) -> None:
    killed.outbound.board.rule(answers=answers, feeds={"*": "done"})
    killed.kill("send", SEND_SYNC[at], killed.staged(is_sync=answers == "results"))

    killed.outbound.sweep()

    assert nothing_is_open(back_office)
    assert killed.outbound.batches().all() == []
    assert all_was_told_once(killed, back_office, killed.outbound.run("next"))


@pytest.mark.parametrize("answers", ["results", "feeds"])
def test_a_send_that_was_killed_when_all_was_done_says_so_in_its_next_try(
    killed: Killed, back_office: BackOffice, answers: str
) -> None:
    killed.outbound.board.rule(answers=answers, feeds={"*": "done"})
    given = killed.staged(is_sync=True)
    asyncio.run(killed.outbound.send(killed.outbound.folder("run", "transform"), "run"))  # what it returned is lost
    patches = len(back_office.calls("PATCH", f"/batch_requests/{back_office.rows('batch_requests')[-1]['pk']}/"))

    told = killed.retried(given)

    assert all_was_told_once(killed, back_office, told)
    again = len(back_office.calls("PATCH", f"/batch_requests/{back_office.rows('batch_requests')[-1]['pk']}/"))
    assert again == patches + (answers == "feeds")  # the end alone


@pytest.mark.parametrize("at", CHECK)
@pytest.mark.parametrize("by", ["try", "sweep"])
def test_a_check_that_was_killed_is_made_up_for_by_its_next_try_or_by_the_sweep(
    killed: Killed, back_office: BackOffice, at: str, by: str
) -> None:
    killed.outbound.board.rule(answers="feeds", feeds={"*": "done"})
    said = killed.outbound.sent()
    killed.kill("check", CHECK[at], said)

    if by == "sweep":
        killed.outbound.sweep()
        assert everybody_knows(killed, back_office)
    else:
        assert all_was_told_once(killed, back_office, killed.outbound.settled(said, killed.outbound.checked(said)))


@pytest.mark.parametrize("at", CHECK)
def test_a_sweep_that_was_killed_is_made_up_for_by_the_next_one(
    killed: Killed, back_office: BackOffice, at: str
) -> None:
    killed.outbound.board.rule(answers="feeds", feeds={"*": "done"})
    killed.outbound.sent()
    killed.kill("sweep", ("GET", "/batch_requests/", 1) if "read" in at else CHECK[at], {})

    killed.outbound.sweep()

    assert everybody_knows(killed, back_office)


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
@pytest.mark.parametrize("call", range(3), ids=["commit", "handed over", "end"])
def test_a_lost_answer_of_omnitron_changes_nothing(
    killed: Killed, back_office: BackOffice, kind: str, call: int
) -> None:
    killed.outbound.board.rule(answers="feeds", feeds={"*": "done"})
    back_office.fault("PATCH", "/batch_requests/", kind, skip=call)

    assert all_was_told_once(killed, back_office, killed.outbound.run())
