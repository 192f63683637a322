"""Runs of DAGs over Airflow's REST API: many at once, waited for, shown while they work, explained when they fail."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sandbox.run.errors import RunError
from sandbox.run.rest import AirflowApi, Json
from sandbox.run.scheduler_stack import Say

# The task that counts; where it is not `settle`.
LAST = {"update_channel_conf_schema": "push", "check_orders": "sweep"}
SETTLE = "settle"
KNOWN_SECONDS = 90.0
RUN_SECONDS = 900.0
POLL_SECONDS = 0.5
JUST_BEFORE = timedelta(seconds=1)  # Airflow's clock is ours
FINISHED = ("success", "failed")
DEFERRED = "deferred"
NOTED = (DEFERRED, "failed", "up_for_retry", "upstream_failed")  # what does not happen anyway
LOG_LINES = 12
Meanwhile = Callable[[AbstractSet[str]], None]
NOISE = ("py.warnings", "airflow.dag_processing")  # the same in every task's log


@dataclass(frozen=True)
class Call:
    """One flow of one channel, and what its run is told."""

    flow: str
    channel: str
    conf: Mapping[str, Any] = field(default_factory=dict)

    @property
    def dag_id(self) -> str:
        return f"{self.flow}__{self.channel}"


@dataclass(frozen=True)
class FlowRun:
    """What became of it."""

    call: Call
    run_id: str
    state: str
    row: Json | None  # the run's own table
    seconds: float
    deferred: frozenset[str] = frozenset()  # tasks that were seen waiting without a slot

    @property
    def is_green(self) -> bool:
        return self.state == "success"


def nothing(_: AbstractSet[str]) -> None:
    """What happens meanwhile, unless somebody does something; told are the DAGs that wait without a slot."""


@dataclass(frozen=True)
class Follower:
    """Shows runs while they work; `logs` is where Airflow writes those of their tasks."""

    api: AirflowApi
    logs: Path
    say: Say

    def run(self, calls: Sequence[Call], meanwhile: Meanwhile = nothing) -> list[FlowRun]:
        """Trigger them all by hand, without a logical date, and follow them to their ends."""
        since, began = datetime.now(UTC) - JUST_BEFORE, time.monotonic()
        runs = {(call.dag_id, self.api.trigger(call.dag_id, dict(call.conf))): call for call in calls}
        ended, waited = self._follow(runs, since, began, meanwhile)
        return [
            FlowRun(
                call,
                run_id,
                *ended[dag_id, run_id],
                frozenset(task for dag, run, task in waited if (dag, run) == (dag_id, run_id)),
            )
            for (dag_id, run_id), call in runs.items()
        ]

    def wait_until_known(self, dag_ids: Sequence[str], since: datetime) -> None:
        """Read since Airflow was started, so that it is not yesterday's version; then they may run."""
        deadline = time.monotonic() + KNOWN_SECONDS
        for dag_id in dag_ids:
            while not self._is_known(dag_id, since):
                if time.monotonic() > deadline:
                    errors = self.api.import_errors()
                    raise RunError("\n".join([f"Airflow does not find the DAG {dag_id}.", *errors]))
                time.sleep(POLL_SECONDS)
            self.api.unpause(dag_id)

    def _is_known(self, dag_id: str, since: datetime) -> bool:
        dag = self.api.dag(dag_id)
        parsed = datetime.fromisoformat(dag["last_parsed_time"]) if dag and dag["last_parsed_time"] else None
        return bool(parsed and parsed >= since)

    def _follow(
        self,
        runs: Mapping[tuple[str, str], Call],
        since: datetime,
        began: float,
        meanwhile: Meanwhile,
    ) -> tuple[dict[tuple[str, str], tuple[str, Json | None, float]], set[tuple[str, str, str]]]:
        """State, table and seconds of each run, and the tasks that were seen deferred."""
        seen: dict[tuple[str, ...], str] = {}
        ended: dict[tuple[str, str], tuple[str, Json | None, float]] = {}
        waited: set[tuple[str, str, str]] = set()
        while len(ended) < len(runs):
            meanwhile({dag_id for dag_id, _, _ in waited})
            runs_now = self.api.runs_since(since)  # before the tasks: their last changes are shown, too
            states = {(run["dag_id"], run["dag_run_id"]): run["state"] for run in runs_now}
            for task in self.api.tasks_since(since, NOTED):
                self._notice(task, seen, waited)
            for key, call in runs.items():
                if key not in ended and states.get(key) in FINISHED:
                    row = self.api.xcom(*key, LAST.get(call.flow, SETTLE))
                    ended[key] = (states[key], row, time.monotonic() - began)
                    self.say(f"  {call.dag_id}: {states[key]} after {ended[key][2]:.0f} s{_in_words(row)}")
            if time.monotonic() - began > RUN_SECONDS:
                left = ", ".join(dag_id for dag_id, run_id in runs if (dag_id, run_id) not in ended)
                raise RunError(f"{left} did not end within {RUN_SECONDS:.0f} s.")
            time.sleep(POLL_SECONDS)
        return ended, waited

    def _notice(self, task: Json, seen: dict[tuple[str, ...], str], waited: set[tuple[str, str, str]]) -> None:
        """A line for each change of a task's state that is not what happens anyway."""
        key, state = (task["dag_id"], task["dag_run_id"], _name(task)), task["state"]
        if seen.get(key) == state:
            return
        seen[key] = state
        if state == DEFERRED:
            waited.add((task["dag_id"], task["dag_run_id"], task["task_id"]))
        self.say(f"  {task['dag_id']}, {_name(task)}: {state}")
        if state in {"failed", "up_for_retry"}:
            mapped = f"map_index={task['map_index']}/" if task["map_index"] >= 0 else ""
            run = f"dag_id={task['dag_id']}/run_id={task['dag_run_id']}"
            file = self.logs / run / f"task_id={task['task_id']}" / mapped / f"attempt={task['try_number']}.log"
            for line in (f"    log: {file}", *_last_events(file)):
                self.say(line)


def counts(row: Json | None) -> dict[str, int]:
    """What a run counted, where it is not nothing."""
    found = {name: value for name, value in (row or {}).items() if isinstance(value, int) and value}
    return {name: value for name, value in found.items() if not isinstance(value, bool)}


def _in_words(row: Json | None) -> str:
    said = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in counts(row).items())
    return f": {said}" if said else ""


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
