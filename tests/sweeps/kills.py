"""A task's process is killed, as `kill -9` does, just before and just after each call of a story.

The task is tried in a process forked from the one that has Airflow loaded. Then Airflow's retry does it, or, where that
was the last one, the next run.
"""
# ruff: noqa: PLC0415

import os
import pickle
import select
import signal
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from tests.sweeps.driving import Driven
from tests.sweeps.engine import Case, Recorded, wanted
from tests.sweeps.stories import STORIES, clears, wrong
from tests.sweeps.wire import CHANNEL, TRIGGER, WIRE, Call, die, end_with_parent
from tests.sweeps.world import here

BEFORE, AFTER = "before", "after"
LONGEST_TRY = 120.0  # seconds
_KEPT: list[Any] = []  # of the process that was forked; ended with it, not by it


@dataclass(frozen=True)
class Kill:
    """When, and whether Airflow tries the task again."""

    when: str
    call: Call
    for_good: bool

    def __str__(self) -> str:
        return f"killed {'for good ' * self.for_good}{self.when} {self.call}"


def cases(recorded: Recorded) -> list[Case]:
    """Generated from the calls that were made."""
    return [Case("kills", recorded.name, str(kill), kill) for kill in kills(recorded.calls)]


def kills(calls: Sequence[Call]) -> Iterator[Kill]:
    """Both moments at a write, and for good at one of them; at reads one moment, in turn with the last try."""
    moments, lasts = cycle((BEFORE, AFTER)), cycle((False, False, True))
    for call in calls:
        if call.task == TRIGGER:
            continue  # it holds nothing, and is begun anew
        if call.is_write:
            yield from (Kill(when, call, for_good=False) for when in (BEFORE, AFTER))
            whens = (BEFORE, AFTER) if call.side == CHANNEL else (next(moments),)
            yield from (Kill(when, call, for_good=True) for when in whens)
        else:
            yield Kill(next(moments), call, for_good=next(lasts))


def run(case: Case) -> list[str]:
    """The story, in which one process dies."""
    world, story = here(), STORIES[case.story]
    story.begin(world)
    killing = Killing(case.data)
    kept, Driven.try_task = Driven.try_task, staticmethod(killing.try_task)
    try:
        told = story.tell(world, clears=clears(case.name))
    finally:
        Driven.try_task = staticmethod(kept)
        world.quiet()
    if not killing.killed and not case.data.call.nth:  # how many of a kind there are may be chance
        return ["nobody was killed"]
    return wrong(world, told, wanted(case.story), clears=clears(case.name))


class Killing:
    """Tries of the task are forked until one was killed."""

    def __init__(self, kill: Kill) -> None:
        self.kill = kill
        self.killed = False
        self._try_task = Driven.try_task

    def try_task(self, dag: Any, ti: Any, while_waiting: Any) -> None:
        """In this process, or in one that may die."""
        if self.killed or ti.task_id != self.kill.call.task:
            self._try_task(dag, ti, while_waiting)
            return
        from airflow import settings

        settings.Session().commit()  # nothing of the database is in use while we fork
        source, target = os.pipe()
        child = os.fork()
        if not child:
            os.close(source)
            self._child(target, dag, ti, while_waiting)
        os.close(target)
        with os.fdopen(source, "rb") as told:
            if not select.select([told], [], [], LONGEST_TRY)[0]:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                raise AssertionError("the forked task does not end")
            said = told.read()
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
            self.killed = True
            self._is_missed(dag, ti)
        elif status:
            raise AssertionError(f"the forked task ended with {status}: {said.decode()}")
        else:
            WIRE.seen, WIRE.calls = pickle.loads(said)
            ti.refresh_from_db()

    def _child(self, target: int, dag: Any, ti: Any, while_waiting: Any) -> None:
        """Ends this process, whatever happens."""
        status = 1
        with os.fdopen(target, "wb") as told:
            try:
                end_with_parent()
                _take_nothing_over()
                setattr(WIRE, self.kill.when, self._die)
                self._try_task(dag, ti, while_waiting)
                pickle.dump((WIRE.seen, WIRE.calls), told)
                status = 0
            except BaseException:  # noqa: BLE001 - the process ends here
                told.write(traceback.format_exc(limit=-8).encode())
        os._exit(status)

    def _die(self, call: Call) -> None:
        if (call.kind, call.nth) == (self.kill.call.kind, self.kill.call.nth):
            die()

    def _is_missed(self, dag: Any, ti: Any) -> None:
        """The scheduler hears nothing of the task any more: it may try again, as often as the task says."""
        from airflow.serialization.serialized_objects import create_scheduler_operator

        ti.refresh_from_db()
        if self.kill.for_good:
            ti.set_state("failed")
            return
        ti.task = create_scheduler_operator(dag.get_task(ti.task_id))
        ti.handle_failure("the task's process is gone")
        ti.refresh_from_db()


def _take_nothing_over() -> None:
    """In a forked process: connections and threads are those of the process before."""
    from airflow import settings
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI
    from airflow.sdk.execution_time import supervisor
    from asgiref.sync import SyncToAsync

    settings.engine.dispose(close=False)
    if settings.async_engine is not None:
        settings.async_engine.sync_engine.dispose(close=False)
    SyncToAsync.single_thread_executor = ThreadPoolExecutor(1)  # triggers read connections in it
    known, fresh = supervisor.in_process_api_server(), InProcessExecutionAPI()
    _KEPT.append(known)
    fresh._app = known._app
    supervisor.in_process_api_server = lambda: fresh
