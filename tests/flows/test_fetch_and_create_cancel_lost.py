"""Flow 4 when answers get lost, others come in between, or a task is killed: every unit is cancelled once."""

import asyncio
import logging
import multiprocessing
import signal
import time
from collections.abc import Iterator
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import IntegrationError
from tests.conftest import BackOffice
from tests.flows.cancelling import (
    arrive,
    asked,
    carry_out,
    change,
    conf,
    order_of,
    plans,
    push_in_a_process,
    put,
    start,
    states,
    writes,
)
from tests.flows.state import no_batch_is_open
from tests.flows.steps import DAY, Steps, results
from tests.flows.test_killed import FOREVER, PATIENCE, ROOMS, is_no_end_of_a_call_that_hangs
from tests.flows.test_lost_answers import FAULTS
from tests.shelf import cancel, item, order

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.flows.cancelling"])
LINE, OTHER = "1-1/1", "1-1/2"
CANCEL, ITEMS = ("POST", "/cancel/$"), ("GET", "/order_items/$")
LOST = {name: fault for name, fault in FAULTS.items() if fault} | {"cut before the work": {"kind": "cut_before"}}


@pytest.fixture
def cancelling(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Iterator[Steps]:
    steps = start(omnitron_url, tmp_path, back_office)
    arrive(steps, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    put(cancel("1", LINE))
    yield steps
    put()


def is_cancelled_once(office: BackOffice) -> bool:
    return states(office) == {LINE: ["50"], OTHER: ["400"]} and len(plans(office)) == 1 and no_batch_is_open(office)


@pytest.mark.defect("O5")
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("at", [CANCEL, ITEMS], ids=["cancel", "items"])
@pytest.mark.parametrize("fault", LOST)
def test_an_answer_that_is_lost_is_looked_for(
    cancelling: Steps, back_office: BackOffice, fault: str, at: tuple[str, str], times: int
) -> None:
    back_office.fault(*at, **LOST[fault], times=times)

    balance = cancelling.run()

    assert results(balance) == {"created": 1}
    assert is_cancelled_once(back_office)


@pytest.mark.parametrize("fault", ["cut before the work", "500"])
def test_what_omnitron_never_answers_is_parked_after_the_last_try_and_made_up_for(
    cancelling: Steps, back_office: BackOffice, fault: str
) -> None:
    back_office.fault(*CANCEL, **LOST[fault], times=1000)

    balance = cancelling.run(tries=2)

    assert results(balance) == {"parked": 1}
    assert cancelling.verdict(balance) is not None
    assert asked(back_office) == 6  # three times a try
    back_office.delete("/admin/faults")
    put()
    assert results(cancelling.run()) == {"created": 1}
    assert is_cancelled_once(back_office)


def test_what_was_cancelled_though_no_answer_ever_came_is_not_cancelled_again(
    cancelling: Steps, back_office: BackOffice
) -> None:
    back_office.fault(*CANCEL, "cut_after", times=1000)

    assert results(cancelling.run()) == {"created": 1}

    assert asked(back_office) == 1
    assert is_cancelled_once(back_office)


def test_an_order_that_can_t_be_read_stops_no_other(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("2"))
    put(cancel("1", LINE), cancel("2", "2-1/1", minutes=1))
    pk = order_of(back_office, "1")["pk"]
    back_office.fault("POST", f"/orders/{pk}/cancel/$", "status", status=500, times=1000)

    balance = cancelling.run()

    assert results(balance) == {"created": 1, "parked": 1}
    assert states(back_office, "2") == {"2-1/1": ["50"]}


def before_the_cancel(steps: Steps, then: Any) -> None:
    """Between our reading and our cancel, once."""
    done: list[str] = []

    def look(method: str, path: str) -> None:
        if path.endswith("/cancel/") and not done:
            done.append(path)
            then()

    steps.before = look


def test_what_somebody_cancels_in_between_is_there(cancelling: Steps, back_office: BackOffice) -> None:
    before_the_cancel(cancelling, lambda: change(back_office, LINE, "100"))

    balance = cancelling.run()

    assert results(balance) == {"already_there": 1}
    assert plans(back_office) == []
    assert [call for call in writes(back_office) if "batch" in call] == []


def test_of_two_units_the_one_that_nobody_cancelled_in_between_is_cancelled(
    cancelling: Steps, back_office: BackOffice
) -> None:
    put(cancel("1", LINE, OTHER))
    before_the_cancel(cancelling, lambda: change(back_office, LINE, "100"))

    assert results(cancelling.run()) == {"created": 1}

    assert states(back_office) == {LINE: ["100"], OTHER: ["50"]}


def test_a_plan_that_comes_in_between_is_waited_for(cancelling: Steps, back_office: BackOffice) -> None:
    def merchant() -> None:
        pk = order_of(back_office, "1")["pk"]
        back_office.patch(f"/admin/orders/{pk}", json={"cancel_status": "waiting"}).raise_for_status()

    before_the_cancel(cancelling, merchant)

    balance = cancelling.run()

    assert results(balance) == {"parked": 1}
    assert cancelling.verdict(balance) is None
    assert cancelling.keys(cancelling.parked) == {"1": ("cancel_waiting", "order")}


def test_what_omnitron_refuses_is_quarantined_with_the_fields_and_without_their_values(
    cancelling: Steps, back_office: BackOffice
) -> None:
    conf(back_office, reason_mapping={"late": 4711})

    balance = cancelling.run()

    assert results(balance) == {"quarantined": 1}
    assert cancelling.keys(cancelling.quarantine) == {"1": ("refused", "order")}
    [report] = back_office.rows("error_reports")
    assert "reasons" in report["error_desc"]
    assert "4711" not in report["error_desc"]
    conf(back_office, reason_mapping={"late": 1})
    assert results(cancelling.run()) == {"created": 1}


def test_an_omnitron_that_accepts_and_does_nothing_is_a_person_s_to_look_at(
    cancelling: Steps, back_office: BackOffice
) -> None:
    back_office.fault(*CANCEL, "status", status=200, body={"pk": 1, "cancel_status": None}, times=1000)

    balance = cancelling.run()

    assert results(balance) == {"parked": 1}
    assert cancelling.verdict(balance) is not None


@pytest.mark.parametrize("together", [2, 4])
def test_runs_at_the_same_time_cancel_every_unit_once(
    cancelling: Steps, back_office: BackOffice, together: int
) -> None:
    arrive(cancelling, back_office, *(order(str(n), minutes=n) for n in range(2, 8)))
    put(cancel("1", LINE), *(cancel(str(n), f"{n}-1/1") for n in range(2, 8)))

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(cancelling.whole(run=f"r-{n}", tries=2, patient=True) for n in range(together)))

    balances = asyncio.run(at_once())

    assert all(balance.holds and not balance.failed for balance in balances)
    assert sum(results(balance)["created"] for balance in balances) == 7
    assert len(plans(back_office)) == 7
    assert {status for row in states(back_office).values() for status in row} == {"50", "400"}
    assert no_batch_is_open(back_office)


# Killed ---------------------------------------------------------------------------------------------------------------

PLACES = {"before the cancel": (*CANCEL, 0), "between the cancel and its outcome": (*ITEMS, 1)}


@pytest.fixture(scope="module", autouse=True)
def fork_server() -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PYTHONPATH", f"{ROOMS}:{ROOMS / 'plugins'}")
        forkserver.ensure_running()


def kill_push(steps: Steps, office: BackOffice, method: str, path: str, skip: int) -> Any:
    """Up to the call that hangs; returns the chunks."""
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    office.fault(method, path, "latency", seconds=FOREVER, skip=skip)
    task = PROCESSES.Process(target=push_in_a_process, args=(steps.url, steps.home, chunks.path))
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
    return chunks


@pytest.mark.parametrize("place", PLACES)
def test_a_push_that_is_killed_is_made_up_for_by_its_next_try(
    cancelling: Steps, back_office: BackOffice, place: str
) -> None:
    chunks = kill_push(cancelling, back_office, *PLACES[place])

    pushed = asyncio.run(cancelling.push(chunks, 0, "run"))
    balance = asyncio.run(cancelling.settle(chunks, [pushed], "run"))

    assert balance.holds
    assert sum(results(balance)[name] for name in ("created", "already_there")) == 1
    assert is_cancelled_once(back_office)


@pytest.mark.parametrize("place", PLACES)
def test_a_push_that_is_killed_for_good_is_made_up_for_by_the_next_run(
    cancelling: Steps, back_office: BackOffice, place: str
) -> None:
    chunks = kill_push(cancelling, back_office, *PLACES[place])
    balance = asyncio.run(cancelling.settle(chunks, [None], "run"))
    assert results(balance) == {"parked": 1}
    put()

    following = cancelling.run()

    assert sum(results(following)[name] for name in ("created", "already_there")) == 1
    assert cancelling.keys(cancelling.parked) == {}
    assert is_cancelled_once(back_office)


@pytest.mark.defect("B1", "B3")
def test_a_settle_that_fails_leaves_no_batch_request_open_and_the_next_one_links(
    cancelling: Steps, back_office: BackOffice
) -> None:
    back_office.fault("PATCH", r"/batch_requests/\d+/$", "status", status=500, skip=1, times=4)
    with pytest.raises(IntegrationError):
        cancelling.run()
    back_office.delete("/admin/faults")
    put()

    cancelling.run()

    versions = {row["pk"]: row["modified_date"] for row in back_office.rows("order_items")}
    [linked] = back_office.rows("integration_actions", content_type_name="orderitem", remote_id__exact=LINE)
    assert linked["version_date"] == versions[linked["object_id"]]
    assert is_cancelled_once(back_office)


def test_what_is_carried_out_between_two_runs_is_not_cancelled_again(
    cancelling: Steps, back_office: BackOffice
) -> None:
    cancelling.run()
    carry_out(back_office, "1")
    back_office.delete("/admin/requests")

    assert results(cancelling.run()) == {"already_there": 1}
    assert writes(back_office) == []
