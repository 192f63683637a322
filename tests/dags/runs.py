"""Runs of a DAG in this process, of every kind that a scheduler starts: it drives the tasks as the scheduler would."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
import uuid
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ROUNDS = 40  # of the scheduler; a run that is not over by then hangs
Ran = Callable[[Any], Any]


def at_once(dag: Any) -> Any:
    """The same DAG, whose retries do not wait."""
    for task in dag.tasks:
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        settings.update(retry_delay=timedelta(0), retry_exponential_backoff=0)
    return dag


@dataclass
class Run:
    """A run that is over (or waits); what became of its tasks, and what they said to each other."""

    dag: Any
    run_id: str

    @property
    def state(self) -> str:
        return str(self._row().state)

    def states(self) -> dict[str, str]:
        return {name: str(ti.state) for name, ti in self.tasks().items()}

    def tries(self, task: str) -> int:
        return int(self.tasks()[task].try_number)

    def tasks(self) -> dict[str, Any]:
        """Task instances by name; a mapped one's name ends with its index."""
        from airflow.utils.session import create_session

        with create_session() as session:
            found = list(self._row().get_task_instances(session=session))
        return {f"{ti.task_id}[{ti.map_index}]" if ti.map_index >= 0 else ti.task_id: ti for ti in found}

    def xcoms(self) -> list[tuple[str, Any]]:
        """All values, with the task and key they belong to, as they are stored."""
        from airflow.models.xcom import XComModel
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            rows = session.scalars(select(XComModel).where(XComModel.run_id == self.run_id)).all()
            return [(f"{row.task_id}[{row.map_index}] {row.key}", row.value) for row in rows]

    def rendered(self) -> list[Any]:
        from airflow.models.renderedtifields import RenderedTaskInstanceFields as Rendered
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            rows = session.scalars(select(Rendered).where(Rendered.run_id == self.run_id)).all()
            return [row.rendered_fields for row in rows]

    def table(self) -> dict[str, Any]:
        """The run's own table, which settle returns."""
        values = [value for name, value in self.xcoms() if name == "settle[-1] return_value"]
        return json.loads(values[0]) if isinstance(values[0], str) else values[0]

    def clear(self, *tasks: str) -> "Run":
        """A person clears tasks (and what is behind them) and Airflow runs them again."""
        from airflow.models.taskinstance import clear_task_instances
        from airflow.utils.session import create_session

        behind = {name for task in tasks for name in (task, *self.dag.get_task(task).get_flat_relative_ids())}
        with create_session() as session:
            instances = [ti for ti in self._row().get_task_instances(session=session) if ti.task_id in behind]
            clear_task_instances(instances, session)
        return self

    def no_need_to_wait(self) -> "Run":
        """The time that a server named has come."""
        from airflow.models.taskinstance import TaskInstance
        from airflow.utils.session import create_session
        from sqlalchemy import update

        with create_session() as session:
            waiting = (TaskInstance.run_id == self.run_id, TaskInstance.state == "up_for_retry")
            session.execute(update(TaskInstance).where(*waiting).values(retry_delay_override=0))
        return self

    def go_on(self, *, stop_before: str = "", while_waiting: Ran | None = None) -> "Run":
        """Until it is over; a deferred task is woken after `while_waiting` saw it, as by the triggerer."""
        self._go_on(stop_before, while_waiting)
        if self.state == "failed" and self.dag.on_failure_callback:
            self._call_back()
        return self

    def _go_on(self, stop_before: str, while_waiting: Ran | None) -> None:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from airflow.utils.state import DagRunState

        with create_session() as session:
            row = session.get(DagRun, self._row().id)
            known = row.dag = _serialised(self.dag)
            known.has_on_failure_callback = False  # the DAG processor runs it
            row.state = DagRunState.RUNNING
            session.commit()
            for _ in range(ROUNDS):
                session.expire_all()
                row.dag = known
                ready, _ = row.update_state(session=session)
                for ti in ready:
                    ti.try_number += 1
                    ti.state = "scheduled"
                session.commit()
                scheduled = [ti for ti in row.get_task_instances(session=session) if ti.state == "scheduled"]
                if stop_before in {ti.task_id for ti in scheduled}:
                    return
                for ti in scheduled:
                    self.run_task(ti, while_waiting)
                session.commit()
                for_somebody = {"up_for_retry", "awaiting_input"}
                waiting = any(ti.state in for_somebody for ti in row.get_task_instances(session=session))
                if row.state != DagRunState.RUNNING or (waiting and not scheduled):
                    return
        raise AssertionError(f"the run does not end: {self.states()}")

    def run_task(self, ti: Any, while_waiting: Ran | None) -> None:
        """One try of a task."""
        _run_task(self.dag, ti, while_waiting)

    def _call_back(self) -> None:
        """What the DAG processor does when a run is red and its DAG wants to know."""
        import structlog
        from airflow.dag_processing.processor import _execute_dag_callbacks
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session

        with create_session() as session:
            row = session.get(DagRun, self._row().id)
            failed = [ti for ti in row.get_task_instances(session=session) if ti.state == "failed"]
            last = max(failed, key=lambda ti: ti.end_date, default=None)
            request = row.produce_dag_callback(self.dag, success=False, relevant_ti=last, reason="task_failure")
        bag = type("Bag", (), {"dags": {self.dag.dag_id: self.dag}})()
        _execute_dag_callbacks(bag, request, structlog.get_logger())

    def _row(self) -> Any:
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import select

        with create_session() as session:
            return session.scalars(select(DagRun).where(DagRun.run_id == self.run_id)).one()


def start(dag: Any, kind: str = "manual", **own: Any) -> Run:
    """A run and all its tasks. own: `conf`, `logical_date`, `window` (start and end of the data interval)."""
    while_waiting = own.pop("while_waiting", None)
    return create(dag, kind, **own).go_on(while_waiting=while_waiting)


def create(
    dag: Any,
    kind: str,
    *,
    conf: dict[str, Any] | None = None,
    logical_date: datetime | None = None,
    window: tuple[datetime, datetime] | None = None,
) -> Run:
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    now = datetime.now(UTC)
    run_id = f"{kind}__{uuid.uuid4()}"
    with create_session() as session:
        _serialised(dag).create_dagrun(
            run_id=run_id,
            logical_date=logical_date or (window[0] if window else None),
            data_interval=window,
            run_after=now,
            start_date=now,
            conf=conf,
            run_type=DagRunType(kind),
            state=DagRunState.RUNNING,
            triggered_by=DagRunTriggeredByType.TEST,
            session=session,
        )
    return Run(_as_parsed(dag), run_id)


def of(dag: Any, run_id: str) -> Run:
    """A run that somebody else created."""
    return Run(_as_parsed(dag), run_id)


def files_of(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())


def _as_parsed(dag: Any) -> Any:
    """A task's process parses anew; in one process, what was typed for one run would stay for the next."""
    fresh = deepcopy(dag)
    for holder in (fresh, *(task for task in fresh.tasks if not task.is_mapped)):
        holder.params = deepcopy(holder.params)
    return fresh


def _serialised(dag: Any) -> Any:
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))


def _run_task(dag: Any, ti: Any, while_waiting: Ran | None) -> None:
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from sqlalchemy import update

    result = _run_task(ti=ti, task=dag.get_task(ti.task_id), run_triggerer=False)
    if ti.state != "deferred" or result is None:
        return
    if while_waiting is None:
        raise AssertionError(f"{ti.task_id} waits")
    event = while_waiting(result.msg)  # what the trigger says, if anything
    with create_session() as session:
        kept = {"next_method": result.msg.next_method, "next_kwargs": {**result.msg.next_kwargs, "event": event}}
        session.execute(update(TaskInstance).where(TaskInstance.id == ti.id).values(**kept))
    ti.set_state("scheduled")
