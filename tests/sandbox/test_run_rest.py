"""The main job's calls to Airflow: a database that is locked for a moment ends no story, and starts no run twice."""

from typing import Any

import pytest
from fastapi import FastAPI, Request, Response

from sandbox.faults import running
from sandbox.run.errors import RunError
from sandbox.run.rest import TRIES, AirflowApi


class Airflow:
    """Answers 500 so often, before or after the work."""

    def __init__(self, failures: int, *, after_the_work: bool) -> None:
        self.failures, self.after_the_work = failures, after_the_work
        self.runs: list[str] = []

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.post("/auth/token")
        async def token() -> dict[str, str]:
            return {"access_token": "generated"}

        @app.post("/api/v2/dags/a/dagRuns")
        async def trigger(request: Request) -> Any:
            run_id = (await request.json())["dag_run_id"]
            self.failures -= 1
            if self.failures >= 0 and not self.after_the_work:
                return Response("locked", 500)
            if run_id in self.runs:
                return Response("there already", 409)
            self.runs.append(run_id)
            return Response("locked", 500) if self.failures >= 0 else {"dag_run_id": run_id}

        return app


@pytest.mark.parametrize("after_the_work", [False, True])
def test_a_run_is_started_once_although_airflow_answers_500_for_a_while(*, after_the_work: bool) -> None:
    airflow = Airflow(2, after_the_work=after_the_work)

    with running(airflow.app()) as url, AirflowApi(url, "u", "p") as api:
        assert [api.trigger("a", {})] == airflow.runs


def test_what_goes_on_failing_is_said() -> None:
    with (
        running(Airflow(TRIES, after_the_work=False).app()) as url,
        AirflowApi(url, "u", "p") as api,
        pytest.raises(RunError, match="500"),
    ):
        api.trigger("a", {})
