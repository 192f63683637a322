"""Airflow's REST API, as much of it as the main job needs."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import tenacity

from sandbox.run.errors import RunError

Json = dict[str, Any]
TIMEOUT = 120.0  # longer than its database may be locked
PAGE = 100  # Airflow gives no more at once
TRIES = 4  # a call that met a locked database for too long
THERE_ALREADY = 409


class AirflowApi:
    """Logged in; a context manager."""

    def __init__(self, base_url: str, user: str, password: str) -> None:
        self._http = httpx.Client(base_url=base_url, timeout=TIMEOUT, trust_env=False)
        answer = self._http.post("/auth/token", json={"username": user, "password": password})
        self._http.headers["Authorization"] = f"Bearer {_checked(answer)['access_token']}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    def dag(self, dag_id: str) -> Json | None:
        """The DAG, once Airflow has read its file."""
        answer = self._call("GET", f"/api/v2/dags/{dag_id}")
        return None if answer.status_code == 404 else _checked(answer)

    def import_errors(self) -> list[str]:
        """Why a DAG file could not be read."""
        found = _checked(self._call("GET", "/api/v2/importErrors"))["import_errors"]
        return [f"{one['filename']}:\n{one['stack_trace']}" for one in found]

    def unpause(self, dag_id: str) -> None:
        _checked(self._call("PATCH", f"/api/v2/dags/{dag_id}", json={"is_paused": False}))

    def trigger(self, dag_id: str, conf: Json) -> str:
        """Start a run by hand, without a logical date; returns its id."""
        run_id = f"manual__{uuid.uuid4()}"  # our own: said twice it is one run
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        answer = self._call("POST", f"/api/v2/dags/{dag_id}/dagRuns", json=body)
        if answer.status_code != THERE_ALREADY:
            _checked(answer)
        return run_id

    def runs_since(self, since: datetime) -> list[Json]:
        """Of all DAGs, those that began since then."""
        query: Json = {"run_after_gte": since.isoformat(), "limit": PAGE}
        return list(_checked(self._call("GET", "/api/v2/dags/~/dagRuns", params=query))["dag_runs"])

    def tasks_since(self, since: datetime, states: Sequence[str]) -> list[Json]:
        """Task instances of those runs that are in one of the states now."""
        query: Json = {"run_after_gte": since.isoformat(), "limit": PAGE, "state": list(states)}
        return list(
            _checked(self._call("GET", "/api/v2/dags/~/dagRuns/~/taskInstances", params=query))["task_instances"]
        )

    def state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(_checked(self._call("GET", _run(dag_id, run_id)))["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """The run's task instances."""
        answer = self._call("GET", f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 100})
        return list(_checked(answer)["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task: str) -> Any:
        """What a task returned, or None."""
        answer = self._call("GET", f"{_run(dag_id, run_id)}/taskInstances/{task}/xcomEntries/return_value")
        return None if answer.status_code == 404 else _checked(answer)["value"]

    @tenacity.retry(
        retry=tenacity.retry_if_result(lambda answer: answer.is_server_error),
        stop=tenacity.stop_after_attempt(TRIES),
        wait=tenacity.wait_fixed(1),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else None,
    )
    def _call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Airflow's trial database takes one writer at a time: a 500 may only say that somebody else was at it."""
        return self._http.request(method, path, **more)


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _checked(answer: httpx.Response) -> Json:
    if answer.is_error:
        request = answer.request
        raise RunError(
            f"Airflow answers {answer.status_code} to {request.method} {request.url.path}: {answer.text[:300]}"
        )
    return dict(answer.json())
