"""Airflow's REST API, as much of it as the main job needs."""

from collections.abc import Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from sandbox.run.errors import RunError

Json = dict[str, Any]
TIMEOUT = 120.0  # longer than its database may be locked
PAGE = 100  # Airflow gives no more at once


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
        answer = self._http.get(f"/api/v2/dags/{dag_id}")
        return None if answer.status_code == 404 else _checked(answer)

    def import_errors(self) -> list[str]:
        """Why a DAG file could not be read."""
        found = _checked(self._http.get("/api/v2/importErrors"))["import_errors"]
        return [f"{one['filename']}:\n{one['stack_trace']}" for one in found]

    def unpause(self, dag_id: str) -> None:
        _checked(self._http.patch(f"/api/v2/dags/{dag_id}", json={"is_paused": False}))

    def trigger(self, dag_id: str, conf: Json) -> str:
        """Start a run by hand, without a logical date; returns its id."""
        body = {"logical_date": None, "conf": conf}
        return str(_checked(self._http.post(f"/api/v2/dags/{dag_id}/dagRuns", json=body))["dag_run_id"])

    def runs_since(self, since: datetime) -> list[Json]:
        """Of all DAGs, those that began since then."""
        query: Json = {"run_after_gte": since.isoformat(), "limit": PAGE}
        return list(_checked(self._http.get("/api/v2/dags/~/dagRuns", params=query))["dag_runs"])

    def tasks_since(self, since: datetime, states: Sequence[str]) -> list[Json]:
        """Task instances of those runs that are in one of the states now."""
        query: Json = {"run_after_gte": since.isoformat(), "limit": PAGE, "state": list(states)}
        return list(_checked(self._http.get("/api/v2/dags/~/dagRuns/~/taskInstances", params=query))["task_instances"])

    def state(self, dag_id: str, run_id: str) -> str:
        """queued, running, success or failed."""
        return str(_checked(self._http.get(_run(dag_id, run_id)))["state"])

    def tasks(self, dag_id: str, run_id: str) -> list[Json]:
        """The run's task instances."""
        answer = self._http.get(f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 100})
        return list(_checked(answer)["task_instances"])

    def xcom(self, dag_id: str, run_id: str, task: str) -> Any:
        """What a task returned, or None."""
        answer = self._http.get(f"{_run(dag_id, run_id)}/taskInstances/{task}/xcomEntries/return_value")
        return None if answer.status_code == 404 else _checked(answer)["value"]


def _run(dag_id: str, run_id: str) -> str:
    return f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _checked(answer: httpx.Response) -> Json:
    if answer.is_error:
        request = answer.request
        raise RunError(
            f"Airflow answers {answer.status_code} to {request.method} {request.url.path}: {answer.text[:300]}"
        )
    return dict(answer.json())
