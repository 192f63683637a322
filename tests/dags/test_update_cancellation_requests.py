"""Runs of flow 7's DAG."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import at_once, create, start
from tests.flows.request_steps import CONNECTOR, ask, batches, due, map_reasons, reject, told, writes
from tests.flows.request_steps import start as sold
from tests.flows.steps import Steps
from tests.shelf_requests import RequestShelf

pytestmark = pytest.mark.airflow

DESCRIPTION = "Yırtık geldi, Ayşe Yılmaz"
LONGEST_XCOM = 2048


@pytest.fixture
def dag(
    dag_bag: Any,
    connections: Any,
    configure: Callable[..., None],
    back_office: BackOffice,
    omnitron_url: str,
    shelf: Any,
    tmp_path: Path,
) -> Iterator[Any]:
    """Of a shelf that sold two orders."""
    sold(Steps(omnitron_url, tmp_path / "before"), back_office)
    configure(connector=CONNECTOR)
    yield at_once(dag_bag.get_dag("update_cancellation_requests__shelf"))
    RequestShelf.start_again()


def test_a_decision_reaches_the_channel_and_a_second_run_writes_nothing(dag: Any, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1", description=DESCRIPTION))

    first = start(dag, "scheduled")
    back_office.delete("/admin/requests")
    second = start(dag)

    assert (first.state, second.state) == ("success", "success")
    assert (first.table()["succeeded"], second.table()["due"]) == (1, 0)
    assert told() == [[("R1", "rejected")]]
    assert batches(back_office) == ["done"]
    assert writes(back_office) == []


def test_nothing_of_a_request_s_text_leaves_staging(
    dag: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1", description=DESCRIPTION))
    reject(back_office, ask(back_office, "1-1/2", "R2", description=DESCRIPTION))

    def said(told: Any) -> Any:
        if told[0].remote_id == "R2":
            raise RuntimeError(told[0].description)
        return [{"status": "FAIL", "remote_id": "R1", "message": "no"}]

    RequestShelf.answer = staticmethod(said)

    run = start(dag)

    captured = capfd.readouterr()
    reports = back_office.rows("error_reports") + back_office.rows("operational_events")
    values = [json.dumps(value, ensure_ascii=False) for _, value in run.xcoms()]
    assert run.state == "failed"
    for text in (captured.out, captured.err, json.dumps(reports, ensure_ascii=False), *values, str(run.rendered())):
        assert "Yırtık" not in text
        assert "Yılmaz" not in text
    assert max(map(len, values)) <= LONGEST_XCOM


@pytest.mark.defect("P5")
def test_what_the_connector_stumbled_over_turns_the_run_red_and_the_rest_is_told(
    dag: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    bad, good = ask(back_office, "1-1/1", "R1"), ask(back_office, "1-1/2", "R2")
    reject(back_office, bad)
    reject(back_office, good)

    def said(told: Any) -> Any:
        if told[0].remote_id == "R1":
            raise RuntimeError
        return [{"status": "SUCCESS", "remote_id": "R2"}]

    RequestShelf.answer = staticmethod(said)

    run = start(dag)

    assert run.states() == {"fetch": "success", "transform": "success", "send": "success", "settle": "failed"}
    assert run.tries("settle") == 1
    assert "1 of 2 could not be sent, or got no answer; they are offered again" in capfd.readouterr().out
    assert due(back_office) == {bad}


@pytest.mark.defect("P1")
def test_codes_that_can_t_be_told_apart_fail_the_run_at_once_by_name(
    dag: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    map_reasons(back_office, {"TOO_SMALL": 1, "TOO_LARGE": 1})

    run = start(dag)

    assert run.states()["fetch"] == "failed"
    assert run.tries("fetch") == 1
    assert run.state == "failed"
    assert "'TOO_LARGE' and 'TOO_SMALL' are both mapped to reason 1" in capfd.readouterr().out
    assert batches(back_office) == []


def test_a_connector_that_can_t_be_told_is_said_at_once(
    dag: Any, configure: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    configure()

    run = start(dag)

    assert run.states()["fetch"] == "failed"
    assert run.tries("fetch") == 1
    assert "connector tests.shelf:Shelf has no UpdateCancellationRequest" in capfd.readouterr().out


def test_somebody_else_s_batch_request_is_waited_for_without_a_slot(dag: Any, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    lock = back_office.post("/admin/lock", json={"channel": 1, "content_type": "cancellationrequest"}).json()["pk"]
    waited = []

    def unlock(_: Any) -> None:
        if not waited:
            back_office.delete(f"/admin/lock/{lock}").raise_for_status()
        waited.append(1)

    run = start(dag, while_waiting=unlock)

    assert waited
    assert run.state == "success"
    assert run.table()["succeeded"] == 1


def test_omnitron_that_is_down_for_a_while_is_asked_again(dag: Any, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    back_office.fault("PATCH", "/batch_requests/", "status", status=503, times=8)  # the commit, and its failing

    run = create(dag, "manual").go_on().go_on()

    assert run.state == "success"
    assert run.tries("send") == 2
    assert told() == [[("R1", "rejected")]]
    assert due(back_office) == set()


def test_a_clear_of_everything_tells_only_what_is_due(dag: Any, back_office: BackOffice) -> None:
    reject(back_office, ask(back_office, "1-1/1", "R1"))
    run = start(dag)

    run.clear("fetch").go_on()

    assert run.state == "success"
    assert told() == [[("R1", "rejected")]]
