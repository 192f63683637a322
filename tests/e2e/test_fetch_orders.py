"""Flow 1 as a team runs it: backfilled beside the live schedule, and killed."""

import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.e2e.conftest import OVER, Deployment, day, until
from tests.security.scanner import Scanner

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

HOUR = timedelta(hours=1)
BACKFILLED = datetime(2026, 3, 2, tzinfo=UTC)
KILLED = datetime(2026, 3, 5, tzinfo=UTC)


def window(start: datetime, end: datetime) -> dict[str, str]:
    return {"window_start": start.isoformat(), "window_end": end.isoformat()}


def test_a_backfilled_day_beside_live_runs_arrives_once(deployment: Deployment) -> None:
    api, dag_id = deployment.api, "fetch_orders__hourly"
    wanted = day(BACKFILLED, BACKFILLED + 24 * HOUR)
    assert len(wanted.orders) > 100
    assert len(wanted.quarantined) >= 18

    # Paused, a DAG's runs wait: all begin together. Unpaused, the schedule runs its latest hour; half of the day is
    # read by hand while the backfill reads it.
    first, last = BACKFILLED.isoformat(), (BACKFILLED + 23 * HOUR).isoformat()  # both are read
    deployment.cli(
        "backfill", "create", "--dag-id", dag_id, "--from-date", first, "--to-date", last, "--max-active-runs", "4"
    )
    api.trigger(dag_id, window(BACKFILLED + 6 * HOUR, BACKFILLED + 18 * HOUR))
    api.unpause(dag_id)

    def ended() -> list[dict[str, Any]]:
        runs = api.runs(dag_id)
        return runs if len(runs) >= 26 and all(run["state"] in OVER for run in runs) else []

    runs = until(ended, "26 runs")
    kinds = [run["run_type"] for run in runs]
    assert (kinds.count("backfill"), kinds.count("manual"), kinds.count("scheduled") >= 1) == (24, 1, True)
    assert {run["state"] for run in runs} == {"success"}
    assert deployment.differences(wanted) == []
    assert deployment.batches() <= {"done", "fail"}
    assert deployment.quarantined("hourly") >= len(wanted.quarantined)
    assert not list((deployment.stack.state.staging / "batches").rglob("*.json"))


def test_a_push_that_is_killed_half_way_is_finished_by_its_retry(deployment: Deployment) -> None:
    api, dag_id = deployment.api, "fetch_orders__killed"
    end = KILLED + 6 * HOUR
    wanted = day(KILLED, end)
    held = {"method": "POST", "path": "create_orders", "skip": 5, "times": 1}
    deployment.omnitron.post(
        "/admin/faults", json={**held, "action": {"kind": "latency", "seconds": 15}}
    ).raise_for_status()
    deployment.omnitron.delete("/admin/requests")

    def the_held_call() -> list[dict[str, Any]]:
        return [call for call in deployment.omnitron.get("/admin/requests").json() if call["fault"] == "latency"]

    api.unpause(dag_id)
    run_id = api.trigger(dag_id, window(KILLED, end))
    until(the_held_call, "a call that is held")
    os.kill(api.task(dag_id, run_id, "push")["pid"], signal.SIGKILL)

    until(lambda: api.state(dag_id, run_id) in OVER, "the run's end")
    until(lambda: the_held_call()[0]["status"], "the late call")  # it reaches Omnitron after all
    assert api.state(dag_id, run_id) == "success"
    assert api.task(dag_id, run_id, "push")["try_number"] == 2
    assert api.xcom(dag_id, run_id, "settle")["created"] == len(wanted.orders)
    assert deployment.differences(wanted) == []
    assert deployment.batches() <= {"done", "fail"}


def test_nobody_is_found_in_what_airflow_s_processes_keep(deployment: Deployment) -> None:
    """By what all generated people have in common: where their mail goes, and where they buy from."""
    people = {"e-mail": "@example.com", "another": "@example.org", "a third": "@example.net", "IP": "203.0.113."}
    scanner, state = Scanner(people), deployment.stack.state
    logs = [path for path in deployment.home.rglob("*.log") if path.stat().st_size]
    databases = [path for path in deployment.home.rglob("airflow.db") if path.is_file()]
    assert any("task_id=push" in str(path) for path in logs)
    assert len(databases) == 1
    assert Scanner({"e-mail": "@example.com"}).folder(state.staging / "runs") != []  # they were there

    found = [finding for path in logs for finding in scanner.content(path.name, path.read_bytes())]
    found += scanner.database(databases[0]) + scanner.folder(state.staging, but=("runs", "quarantine", "parked"))

    assert list(map(str, found)) == []
