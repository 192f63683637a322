"""Flow 4 as Airflow runs it: what its tasks hand to each other, its colours, and what a person may do to a run."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.dags.runs import at_once, start
from tests.dags.test_fetch_orders_runs import DAY
from tests.flows.cancelling import CONNECTOR, arrive, asked, conf, plans, put, states, writes
from tests.flows.cancelling import start as deployment
from tests.shelf import cancel, order

pytestmark = pytest.mark.airflow

KEYS = [str(number) for number in range(5)]
LIMITS = {"chunk_size": 2, "push_tasks": 3}


@pytest.fixture(scope="module")
def cancel_dag(dag_bag: Any) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return at_once(DagBag(str(ROOT / "dags"), bundle_name="dags-folder").get_dag("fetch_and_create_cancel__shelf"))


@pytest.fixture
def cancels(
    back_office: BackOffice,
    omnitron_url: str,
    tmp_path: Path,
    connections: Any,
    configure: Callable[..., None],
    shelf: Any,
) -> Any:
    """Five orders that arrived, and a cancel for each: three chunks."""
    configure(connector=CONNECTOR, limits=LIMITS)
    steps = deployment(omnitron_url, tmp_path / "earlier", back_office)
    arrive(steps, back_office, *(order(key, minutes=int(key)) for key in KEYS))
    put(*(cancel(key, f"{key}-1/1", minutes=int(key)) for key in KEYS))
    yield
    put()


def all_are_cancelled_once(office: BackOffice) -> bool:
    return states(office) == {f"{key}-1/1": ["50"] for key in KEYS} and len(plans(office)) == len(KEYS)


def test_a_run_cancels_and_a_second_one_writes_nothing(cancel_dag: Any, back_office: BackOffice, cancels: Any) -> None:
    first = start(cancel_dag, conf=DAY)

    assert first.states() == dict.fromkeys(["fetch", "transform", "push[0]", "push[1]", "push[2]", "settle"], "success")
    assert first.table()["created"] == 5
    assert all_are_cancelled_once(back_office)
    back_office.delete("/admin/requests")
    second = start(cancel_dag, conf=DAY)
    assert (second.state, second.table()["already_there"]) == ("success", 5)
    assert writes(back_office) == []


def test_a_window_without_cancels_is_green(cancel_dag: Any, back_office: BackOffice, cancels: Any) -> None:
    put()

    run = start(cancel_dag, conf=DAY)

    assert run.state == "success"
    assert run.states()["push"] == "skipped"
    assert asked(back_office) == 0


def test_what_fails_once_passes_at_the_next_try(cancel_dag: Any, back_office: BackOffice, cancels: Any) -> None:
    back_office.fault("POST", "/cancel/$", "status", status=503, times=3)

    run = start(cancel_dag, conf=DAY)

    assert (run.state, run.table()["created"]) == ("success", 5)
    assert all_are_cancelled_once(back_office)


def test_what_fails_for_good_is_red_and_the_next_run_makes_up_for_it(
    cancel_dag: Any, back_office: BackOffice, cancels: Any
) -> None:
    back_office.fault("POST", "/cancel/$", "status", status=503, times=1000)
    run = start(cancel_dag, conf=DAY)
    assert (run.state, run.tries("push[0]")) == ("failed", 4)
    assert run.states()["settle"] == "failed"
    back_office.delete("/admin/faults")
    put()

    following = start(cancel_dag, conf=DAY)

    assert (following.state, following.table()["created"]) == ("success", 5)
    assert all_are_cancelled_once(back_office)


def test_a_mapping_that_can_t_be_read_fails_at_once_with_its_name(
    cancel_dag: Any, back_office: BackOffice, cancels: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    conf(back_office, reason_mapping="late: 1")

    run = start(cancel_dag, conf=DAY)

    assert (run.state, run.tries("fetch")) == ("failed", 1)
    assert "reason_mapping in the channel's conf is not JSON" in capfd.readouterr().out
    conf(back_office, reason_mapping={"late": 1})
    run.clear("fetch").go_on()
    assert run.state == "success"
    assert all_are_cancelled_once(back_office)


def test_a_connector_without_the_command_is_said_so(
    cancel_dag: Any, back_office: BackOffice, cancels: Any, configure: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    configure()

    run = start(cancel_dag, conf=DAY)

    assert (run.state, run.tries("fetch")) == ("failed", 1)
    assert "tests.shelf:Shelf has no GetCancelledOrders" in capfd.readouterr().out


def test_push_and_settle_may_be_cleared(cancel_dag: Any, back_office: BackOffice, cancels: Any) -> None:
    run = start(cancel_dag, conf=DAY)

    run.clear("push").go_on()

    assert run.state == "success"
    assert run.table()["already_there"] == 5
    assert all_are_cancelled_once(back_office)


def test_xcom_carries_ids_and_counts_and_little_of_them(cancel_dag: Any, back_office: BackOffice, cancels: Any) -> None:
    run = start(cancel_dag, conf=DAY)

    for name, value in run.xcoms():
        text = json.dumps(value)
        assert len(text) <= 2048, name
        assert "@example.com" not in text
