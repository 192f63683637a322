"""A real Airflow on PostgreSQL: scheduler with LocalExecutor, triggerer, dag-processor, api-server, each a process."""

import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psutil  # type: ignore[import-untyped]
import yaml

from sandbox.medusa import tools
from sandbox.medusa.postgres import Postgres
from sandbox.run.flow_run import Follower
from sandbox.run.ports import LOOPBACK, Port
from sandbox.run.processes import Service, stop_all
from sandbox.run.rest import AirflowApi
from sandbox.run.scheduler_stack import USER, Say, SchedulerStack
from sandbox.run.state import Secrets, State, write_private
from sandbox.run.story import FLOWS, SETTINGS
from tests.sweeps.scheduler.stand import Stand, standing

SLOTS = 8  # many wait for a server that does not answer
# A scheduler that is killed alone leaves its transaction, with locks on the runs, to its LocalExecutor's workers, who
# keep the connection open: PostgreSQL has to end it (docs/operations.md).
IDLE = "15s"
SOON = "15"  # seconds after which a task or a triggerer that is silent counts as dead
QUICK = {
    "CORE__PARALLELISM": str(SLOTS),
    "SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "1",
    "SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    "SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "10",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": SOON,
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_SEC": "2",
    "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": SOON,
}
# Tasks are forked from the scheduler: what is imported there is not imported by each of them again.
LOADED = """
import order_integration.channels.marketplace
import order_integration.flows.pushing
import order_integration.flows.settling
import order_integration.flows.submitting
import order_integration.hooks.channel
import order_integration.hooks.omnitron
import order_integration.operators.check_orders
import order_integration.operators.inbound
import order_integration.operators.outbound
import order_integration.sensors.check_orders
"""
Json = dict[str, Any]


@dataclass(frozen=True)
class Stack(SchedulerStack):
    """The main job's Airflow with a database that takes many writers, and channels of our own."""

    database: str

    def environment(self) -> dict[str, str]:
        own = {f"AIRFLOW__{name}": value for name, value in QUICK.items()}
        own["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = own["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC"] = self.database
        channels = {"ORDER_INTEGRATION_CHANNELS": str(self.state.home / "channels.yaml")}
        return {**super().environment(), **own, **channels}


class Api(AirflowApi):
    """As much more of Airflow's REST API as is needed to kill."""

    def running(self, dag_id: str = "~") -> list[Json]:
        """Tasks that run now and have a process; of all DAGs, or of one."""
        query: Json = {"state": ["running"], "limit": 100}
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns/~/taskInstances", params=query)
        answer.raise_for_status()
        return [row for row in answer.json()["task_instances"] if row["pid"]]

    def failed_since(self, since: datetime) -> set[str]:
        """DAGs of which a task failed in a run that began since then, for good or not."""
        return {str(row["dag_id"]) for row in self.tasks_since(since, ("up_for_retry", "failed"))}

    def under_way(self, flow: str) -> set[str]:
        """DAGs of a flow that have a run which is not over."""
        answer = self._call("GET", "/api/v2/dags/~/dagRuns", params={"state": ["queued", "running"], "limit": 100})
        answer.raise_for_status()
        return {run["dag_id"] for run in answer.json()["dag_runs"] if run["dag_id"].startswith(f"{flow}__")}

    def give_up(self, dag_id: str) -> None:
        """A person marks its runs that are under way as failed."""
        answer = self._call("GET", f"/api/v2/dags/{dag_id}/dagRuns", params={"state": ["running"]})
        answer.raise_for_status()
        for run in answer.json()["dag_runs"]:
            path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run['dag_run_id'], safe='')}"
            self._call("PATCH", path, json={"state": "failed"}).raise_for_status()


@dataclass
class Deployment:
    """Everything, up and answering."""

    stack: Stack
    api: Api
    follower: Follower
    stands: Sequence[Stand]
    _schedulers: int = 1

    def kill(self, component: str, *, whole: bool = True) -> None:
        """At once, and start another one. `whole`: with all that it started, which else lives on."""
        service = self.stack.components[component]
        first = service.pid()
        for pid in service.members() if whole else [first]:
            with suppress(ProcessLookupError):
                os.kill(pid or 0, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(first or 0, 0)
        if whole:
            self.stack.start([service], lambda _: None)
        else:
            self._start_beside(service)

    def _start_beside(self, orphaned: Service) -> None:
        """Under another name: what is left of a service is ended when it is started again."""
        self._schedulers += 1
        another = Service(f"{orphaned.name}-{self._schedulers}", orphaned.folder)
        command = [sys.executable, "-m", "airflow", "scheduler", "--skip-serve-logs"]
        another.start(command, cwd=self.stack.state.airflow, env=self.stack.environment())


def kill_task(pid: int, *, supervisor: bool, task: bool) -> None:
    """The process that works, the one above it that reports for it, or both."""
    with suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        parent = process.parent()
        if supervisor and parent:
            parent.kill()
        if task:
            process.kill()


@contextmanager
def deployed(names: Sequence[str], say: Say, *, doors: Sequence[str]) -> Iterator[Deployment]:
    """A channel for each name; those in `doors` can refuse connections."""
    with ExitStack() as undo:
        undo.enter_context(_ended_in_order())
        home = Path(tempfile.mkdtemp(prefix="scheduler-sweep-"))
        undo.callback(shutil.rmtree, home, ignore_errors=True)
        state = State(home / "airflow")
        secrets = state.prepare()
        say(f"everything is in {home}")
        stands = [undo.enter_context(standing(home, name, secrets, doors=name in doors)) for name in names]
        say(f"{len(stands)} channels are up")
        _write_settings(state, stands, secrets)
        url = undo.enter_context(_postgres(home, secrets))
        stack = Stack(state, Port("Airflow", "", _free_port()), secrets, url)
        undo.callback(_stop, state)
        stack.start(stack.missing(), say)
        stack.wait()
        api = undo.enter_context(Api(stack.port.url, USER, secrets.airflow_password))
        follower = Follower(api, state.airflow / "logs", say)
        dags = [f"{flow}__{stand.name}" for flow in FLOWS if flow != SETTINGS for stand in stands]
        follower.wait_until_known(dags, stack.read_since())
        say("everything is up")
        yield Deployment(stack, api, follower, stands)


@contextmanager
def _ended_in_order() -> Iterator[None]:
    """Who ends us with SIGTERM leaves no Airflow behind."""
    kept = signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, kept)


def _write_settings(state: State, stands: Sequence[Stand], secrets: Secrets) -> None:
    entries = {stand.name: stand.entry() for stand in stands}
    (state.home / "channels.yaml").write_text(yaml.safe_dump({"channels": entries}))
    folder = state.airflow / "config"
    folder.mkdir()
    (folder / "airflow_local_settings.py").write_text(LOADED)
    found: Json = {}
    for stand in stands:
        found |= stand.connections(secrets)
    write_private(state.connections, found)


@contextmanager
def _postgres(home: Path, secrets: Secrets) -> Iterator[str]:
    """A server of its own, and its address as SQLAlchemy has it."""
    postgres = Postgres(home, _free_port(), tools.find_postgres())
    postgres.create(secrets.api_secret)
    try:
        postgres.start(secrets.api_secret)
        url = postgres.url(secrets.api_secret).replace("postgres://", "postgresql+psycopg://")
        yield f"{url}?options={quote(f'-c idle_in_transaction_session_timeout={IDLE}')}"
    finally:
        postgres.daemon.stop()
        shutil.rmtree(postgres.folder, ignore_errors=True)


def _stop(state: State) -> None:
    """Found even where only some of them came up."""
    stop_all([Service(path.stem, state.logs) for path in state.logs.glob("*.pid")])


def _free_port() -> int:
    with socket.create_server((LOOPBACK, 0)) as held:
        return int(held.getsockname()[1])
