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
UNINTERESTING = ("scheduled", "queued")
LOG_LINES = 12
NOISE = ("py.warnings", "airflow.dag_processing")  # the same in every task's log


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


@dataclass(frozen=True)
class Follower:
    """Shows a run of `dag_id` while it works; `logs` is where Airflow writes those of its tasks."""

    api: AirflowApi
    dag_id: str
    logs: Path
    say: Say

    def run(self, start: datetime, end: datetime, *, since: datetime) -> FlowRun:
        """Trigger the DAG for the window, by hand and without a logical date, and follow it to its end."""
        self._wait_until_known(since)
        self.api.unpause(self.dag_id)
        began = time.monotonic()
        run_id = self.api.trigger(self.dag_id, {"window_start": start.isoformat(), "window_end": end.isoformat()})
        self.say(f"{self.dag_id}: {start.isoformat()} to {end.isoformat()}")
        state = self._follow(run_id)
        row = self.api.xcom(self.dag_id, run_id, LAST)
        return FlowRun(self.dag_id, run_id, state, row, time.monotonic() - began)

    def _wait_until_known(self, since: datetime) -> None:
        """Read since Airflow was started, so that it is not yesterday's version."""
        deadline = time.monotonic() + KNOWN_SECONDS
        while True:
            dag = self.api.dag(self.dag_id)
            parsed = datetime.fromisoformat(dag["last_parsed_time"]) if dag and dag["last_parsed_time"] else None
            if parsed and parsed >= since:
                return
            if time.monotonic() > deadline:
                errors = self.api.import_errors()
                raise RunError("\n".join([f"Airflow does not find the DAG {self.dag_id}.", *errors]))
            time.sleep(POLL_SECONDS)

    def _follow(self, run_id: str) -> str:
        """A line for each change of a task's state."""
        seen: dict[str, Any] = {}
        deadline = time.monotonic() + RUN_SECONDS
        while True:
            state = self.api.state(self.dag_id, run_id)  # before the tasks: their last changes are shown, too
            for task in self.api.tasks(self.dag_id, run_id):
                if task["state"] and seen.get(_name(task)) != task["state"]:
                    seen[_name(task)] = task["state"]
                    self._tell(run_id, task)
            if state in FINISHED:
                return state
            if time.monotonic() > deadline:
                raise RunError(f"{self.dag_id} did not end within {RUN_SECONDS:.0f} s.")
            time.sleep(POLL_SECONDS)

    def _tell(self, run_id: str, task: Json) -> None:
        """Where a task failed, its log says why."""
        if task["state"] in UNINTERESTING:
            return
        self.say(f"  {_name(task)}: {task['state']}")
        if task["state"] in {"failed", "up_for_retry"}:
            mapped = f"map_index={task['map_index']}/" if task["map_index"] >= 0 else ""
            folder = self.logs / f"dag_id={self.dag_id}/run_id={run_id}/task_id={task['task_id']}/{mapped}"
            file = folder / f"attempt={task['try_number']}.log"
            for line in (f"    log: {file}", *_last_events(file)):
                self.say(line)


def _name(task: Json) -> str:
    return f"{task['task_id']}[{task['map_index']}]" if task["map_index"] >= 0 else str(task["task_id"])


def _last_events(file: Path) -> Iterator[str]:
    """Airflow writes JSON lines; what a person needs is the sentences, and an error's kind and text."""
    if not file.exists():
        return
    events = [_event(line) for line in file.read_text(errors="replace").splitlines()]
    told = [one for one in events if not str(one.get("logger")).startswith(NOISE) and "::" not in str(one.get("event"))]
    for event in told[-LOG_LINES:]:
        yield f"    {event.get('level', '')}: {event.get('event', '')}"
        for error in event.get("error_detail") or []:
            yield f"      {error.get('exc_type')}: {error.get('exc_value')}"


def _event(line: str) -> Json:
    try:
        return dict(json.loads(line))
    except ValueError:
        return {"event": line}
