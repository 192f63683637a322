"""One run of one DAG over Airflow's REST API: waited for, shown while it works, explained when it fails."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.run.errors import RunError
from sandbox.run.rest import AirflowApi, Json
from sandbox.run.scheduler_stack import Say

LAST = "settle"  # the task that counts, and decides the colour
KNOWN_SECONDS = 90.0
RUN_SECONDS = 900.0
POLL_SECONDS = 0.5
FINISHED = ("success", "failed")
LOG_LINES = 25


@dataclass(frozen=True)
class FlowRun:
    """What became of it."""

    dag_id: str
    run_id: str
    state: str
    row: Json | None  # the run's own table
    seconds: float

    @property
    def is_green(self) -> bool:
        return self.state == "success"


def run_flow(api: AirflowApi, dag_id: str, start: datetime, end: datetime, *, since: datetime, say: Say) -> FlowRun:
    """Trigger it for the window, by hand and without a logical date, and follow it to its end."""
    _wait_until_known(api, dag_id, since, say)
    api.unpause(dag_id)
    began = time.monotonic()
    run_id = api.trigger(dag_id, {"window_start": start.isoformat(), "window_end": end.isoformat()})
    say(f"{dag_id}: {start.isoformat()} to {end.isoformat()}")
    state = _follow(api, dag_id, run_id, say)
    return FlowRun(dag_id, run_id, state, api.xcom(dag_id, run_id, LAST), time.monotonic() - began)


def failed_logs(api: AirflowApi, run: FlowRun, logs: Path) -> Iterator[str]:
    """For each failed task: where its log is, and how it ends."""
    for task in api.tasks(run.dag_id, run.run_id):
        if task["state"] in {"failed", "up_for_retry"}:
            mapped = f"map_index={task['map_index']}/" if task["map_index"] >= 0 else ""
            folder = logs / f"dag_id={run.dag_id}/run_id={run.run_id}/task_id={task['task_id']}/{mapped}"
            file = folder / f"attempt={task['try_number']}.log"
            yield f"{_name(task)} failed; its log: {file}"
            yield from _last_events(file)


def _wait_until_known(api: AirflowApi, dag_id: str, since: datetime, say: Say) -> None:
    """Read since Airflow was started, so that it is not yesterday's version."""
    deadline = time.monotonic() + KNOWN_SECONDS
    told = False
    while True:
        dag = api.dag(dag_id)
        parsed = datetime.fromisoformat(dag["last_parsed_time"]) if dag and dag["last_parsed_time"] else None
        if parsed and parsed >= since:
            return
        if time.monotonic() > deadline:
            raise RunError("\n".join([f"Airflow does not find the DAG {dag_id}.", *api.import_errors()]))
        if not told:
            say("Airflow reads the DAGs …")
            told = True
        time.sleep(POLL_SECONDS)


def _follow(api: AirflowApi, dag_id: str, run_id: str, say: Say) -> str:
    """A line for each change of a task's state."""
    seen: dict[str, Any] = {}
    deadline = time.monotonic() + RUN_SECONDS
    while True:
        state = api.state(dag_id, run_id)  # before the tasks: their last changes are shown, too
        for task in api.tasks(dag_id, run_id):
            name = _name(task)
            if task["state"] and seen.get(name) != task["state"]:
                seen[name] = task["state"]
                if task["state"] not in {"scheduled", "queued"}:
                    say(f"  {name}: {task['state']}")
        if state in FINISHED:
            return state
        if time.monotonic() > deadline:
            raise RunError(f"{dag_id} did not end within {RUN_SECONDS:.0f} s; it goes on as {run_id} in Airflow.")
        time.sleep(POLL_SECONDS)


def _name(task: Json) -> str:
    return f"{task['task_id']}[{task['map_index']}]" if task["map_index"] >= 0 else str(task["task_id"])


def _last_events(file: Path) -> Iterator[str]:
    """Airflow writes JSON lines: the sentence, and the error's kind and text, are what a person needs."""
    lines = file.read_text(errors="replace").splitlines()[-LOG_LINES:] if file.exists() else []
    for line in lines:
        try:
            event = json.loads(line)
        except ValueError:
            yield f"  {line}"
            continue
        yield f"  {event.get('level', '')}: {event.get('event', '')}"
        for error in event.get("error_detail") or []:
            yield f"    {error.get('exc_type')}: {error.get('exc_value')}"
