"""A run as Airflow drives it, a try at a time, and what a person does when it is red."""
# ruff: noqa: PLC0415

import asyncio
import json
from collections.abc import Callable
from typing import Any

from tests.dags import runs
from tests.sweeps.home import DAGS
from tests.sweeps.wire import TRIGGER, WIRE

TRIES = 20  # times that a run goes on after a wait; one that is not over by then hangs
Tried = Callable[[Any, str], None]


class Driven(runs.Run):
    """`tried` is called after each try of a task, with its instance and its name."""

    tried: Tried = staticmethod(lambda ti, name: None)
    try_task: Callable[..., Any] = staticmethod(runs._run_task)

    @classmethod
    def begun(cls, flow: str, conf: dict[str, Any]) -> "Driven":
        """A run by hand of which nothing was done yet."""
        made = runs.create(DAGS[flow], "manual", conf=conf)
        return cls(made.dag, made.run_id)

    def is_lost(self) -> None:
        """Nobody goes on with it."""
        from airflow.models.dagrun import DagRun
        from airflow.utils.session import create_session
        from sqlalchemy import update

        with create_session() as session:
            session.execute(update(DagRun).where(DagRun.run_id == self.run_id).values(state="failed"))

    def run_task(self, ti: Any, while_waiting: Any) -> None:
        WIRE.task = ti.task_id
        try:
            type(self).try_task(self.dag, ti, while_waiting)
        finally:
            type(self).tried(ti, ti.task_id)
            WIRE.task = ""

    def to_the_end(self, while_waiting: Any = None) -> "Driven":
        """With all its tries; the times that servers named have come at once."""
        for _ in range(TRIES):
            self.go_on(while_waiting=while_waiting)
            if self.state != "running":
                return self
            self.no_need_to_wait()
        raise AssertionError(f"the run does not end: {self.states()}")

    @property
    def is_green(self) -> bool:
        return self.state == "success"

    def said(self, task: str) -> dict[str, Any]:
        """What a task returned; nothing where it did not come to its end."""
        values = [value for name, value in self.xcoms() if name == f"{task}[-1] return_value"]
        return dict(json.loads(values[0]) if isinstance(values[0], str) else values[0]) if values else {}

    @property
    def has_table(self) -> bool:
        """Whether settle came to its end."""
        return bool(self.said("settle"))

    def red(self) -> list[str]:
        """Tasks that failed by themselves, in the order in which they run."""
        names = [task.task_id for task in self.dag.topological_sort()]
        failed = {name.partition("[")[0] for name, state in self.states().items() if state == "failed"}
        return [name for name in names if name in failed]


def drive(flow: str, conf: dict[str, Any], while_waiting: Any = None) -> Driven:
    """A run by hand, with all its tries."""
    return Driven.begun(flow, conf).to_the_end(while_waiting)


def woken(message: Any) -> dict[str, Any]:
    """What the trigger says, run as the triggerer does: made anew of what was kept."""
    from airflow.sdk.module_loading import import_string
    from airflow.serialization.serialized_objects import BaseSerialization

    kwargs = message.trigger_kwargs
    trigger = import_string(message.classpath)(
        **BaseSerialization.deserialize(kwargs) if "__type" in kwargs else kwargs
    )

    async def event() -> dict[str, Any]:
        async for one in trigger.run():
            return dict(one.payload)
        raise AssertionError("a trigger without an event")

    WIRE.task = TRIGGER
    return asyncio.run(event())
