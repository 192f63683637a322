"""Another worker of the same deployment: a process with runs of its own, over the same staging, token and servers.

Tasks that Airflow runs one at a time (`max_active_tis_per_dag=1`) take turns over both processes.
"""
# ruff: noqa: PLC0415

import os
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from filelock import FileLock, Timeout

from tests.sweeps.driving import Driven
from tests.sweeps.world import World, here

DONE, BLOCKED = "done", "blocked"
LONGEST_RUN = 240  # seconds; a machine may be busy
MOMENT = 0.05  # seconds, until what holds a lock is looked at again
QUICK = (0.02, 0.05)  # seconds between commits that are refused


class Other:
    """`begin` has it run a flow, until that is done, or somebody is in its way."""

    def __init__(self, world: World) -> None:
        from airflow import settings

        settings.Session().commit()  # nothing of the database is in use while we fork
        self._pipe, theirs = Pipe()
        self._pid = os.fork()
        if not self._pid:
            try:
                self._pipe.close()
                _work(world, theirs)
            finally:
                os._exit(0)  # whatever happens: nothing of the process before is done twice
        theirs.close()

    def begin(self, flow: str, conf: dict[str, Any], mutation: str = "") -> str:
        """Either word; BLOCKED: it goes on as soon as it can. `mutation`: how the product is broken there, too."""
        self._pipe.send((flow, conf, mutation))
        return self._heard()

    def end(self) -> list[str]:
        """Waits for what was begun; what went wrong with it."""
        while (said := self._heard()) == BLOCKED:
            pass
        return [] if said == DONE else [said]

    def _heard(self) -> str:
        if not self._pipe.poll(LONGEST_RUN):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
            other.cache_clear()
            return "the other run does not end"
        return str(self._pipe.recv())


@cache
def other() -> Other:
    """One a process, made when it is first needed."""
    return Other(here())


def _work(world: World, pipe: Connection) -> None:
    """Until nobody holds the pipe's other end any more."""
    from tests.sweeps import engine, home
    from tests.sweeps.kills import _take_nothing_over

    database = world.own / "other.db"
    shutil.copy(world.shared / "loaded" / "airflow.db", database)
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{database}"
    _take_nothing_over()
    home.open_database()
    world.quiet = lambda: None  # type: ignore[method-assign]  # whoever told us to run does that
    while True:
        try:
            flow, conf, mutation = pipe.recv()
        except (EOFError, OSError):
            return
        with engine.broken(mutation):
            pipe.send(_done(world, pipe, flow, conf))


def _done(world: World, pipe: Connection, flow: str, conf: dict[str, Any]) -> str:
    said: list[str] = []

    def blocked() -> None:
        if not said:
            said.append(BLOCKED)
            pipe.send(BLOCKED)

    try:
        with in_turns(world, blocked):
            run = Driven.begun(flow, conf).to_the_end(waiting(blocked))
        return DONE if run.is_green else f"the other run is {run.state}: {run.states()}"
    except BaseException:  # noqa: BLE001 - told to whoever waits
        return traceback.format_exc(limit=-8)


def waiting(blocked: Callable[[], None], feeds: Any = None) -> Callable[[Any], Any]:
    """What becomes of a deferred task: somebody's lock is waited for; `feeds`: and the channel's job."""

    def woken(message: Any) -> Any:
        if "temporal" not in message.classpath:  # of providers.standard: the time until a lock is asked for again
            return feeds(message)
        blocked()
        time.sleep(MOMENT)
        return None

    return woken


@contextmanager
def in_turns(world: World, blocked: Callable[[], None]) -> Iterator[None]:
    """`blocked` is called when a task can't begin at once. Waits for locks are short."""
    from order_integration.flows.outbound import LOCK_WAITS, Sending
    from order_integration.operators import inbound

    kept, waits, defaults = Driven.try_task, inbound.LOCK_WAITS, Sending.__init__.__defaults__

    def try_task(dag: Any, ti: Any, while_waiting: Any) -> None:
        if getattr(dag.get_task(ti.task_id), "max_active_tis_per_dag", None) != 1:
            return kept(dag, ti, while_waiting)
        lock = FileLock(world.own / f"{dag.dag_id}.{ti.task_id}.turn")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            blocked()
            lock.acquire(timeout=LONGEST_RUN)
        try:
            return kept(dag, ti, while_waiting)
        finally:
            lock.release()

    Driven.try_task = staticmethod(try_task)
    inbound.LOCK_WAITS = QUICK
    Sending.__init__.__defaults__ = tuple(QUICK if one == LOCK_WAITS else one for one in defaults or ())
    try:
        yield
    finally:
        Driven.try_task = staticmethod(kept)
        inbound.LOCK_WAITS, Sending.__init__.__defaults__ = waits, defaults
