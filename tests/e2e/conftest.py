"""A real Airflow (scheduler, LocalExecutor, SQLite), a sandbox Omnitron and a sandbox marketplace, as processes."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import psutil
import pytest
import yaml

from sandbox.run import compare, scheduler_stack, servers, world
from sandbox.run.check_marketplace import expected
from sandbox.run.expected import Expected
from sandbox.run.ports import Port, Ports
from sandbox.run.processes import Service
from sandbox.run.rest import AirflowApi
from sandbox.run.scheduler_stack import SchedulerStack
from sandbox.run.state import REPOSITORY, Secrets, State

SEED = 1923
RATE = 6.0  # orders an hour
BAD = 12.5  # percent: each of the 18 bad kinds comes once in 24 hours
PATIENCE = 300.0  # seconds; a busy machine takes several times as long as a quiet one
CLI_TRIES = 3
OVER = {"success", "failed"}
CHANNEL: dict[str, Any] = {
    "connector": "marketplace",
    "connection": "marketplace",
    "omnitron_channel_id": world.MARKETPLACE,
    "catalog_id": world.CATALOG,
    "active_from": "2026-01-01T00:00:00+00:00",
    "catchup": False,
    "schedule": "0 * * * *",
    "retry_delay": "1s",
    "limits": {"requests_per_second": 40, "push_tasks": 1, "in_flight": 4},
}
CHANNELS = {"hourly": CHANNEL, "killed": {**CHANNEL, "schedule": "0 0 1 1 *"}}


@dataclass(frozen=True)
class Stack(SchedulerStack):
    """The main job's Airflow, with channels of our own."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "ORDER_INTEGRATION_CHANNELS": str(self.state.home / "channels.yaml")}


class Api(AirflowApi):
    """As much more of Airflow's REST API as the tests need."""

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        answer = self._http.get(f"/api/v2/dags/{dag_id}/dagRuns", params={"limit": 100})
        answer.raise_for_status()
        return list(answer.json()["dag_runs"])

    def task(self, dag_id: str, run_id: str, task: str, index: int = 0) -> dict[str, Any]:
        path = f"/api/v2/dags/{dag_id}/dagRuns/{quote(run_id, safe='')}/taskInstances/{task}/{index}"
        answer = self._http.get(path)
        answer.raise_for_status()
        return dict(answer.json())


@dataclass(frozen=True)
class Deployment:
    """Everything, up and answering."""

    stack: Stack
    api: Api
    omnitron: httpx.Client
    home: Path

    def cli(self, *arguments: str) -> None:
        """One command of a person. SQLite has one writer, and Airflow's own don't wait for a long transaction: they are
        held meanwhile, unless one of them is just writing.
        """
        command = [sys.executable, "-m", "airflow", *arguments]
        for _ in range(CLI_TRIES):
            with self._held_writers():
                done = subprocess.run(
                    command, cwd=self.home, env=self.stack.environment(), capture_output=True, text=True, check=False
                )
            if done.returncode == 0:
                return
            if "database is locked" not in done.stderr:
                break
        pytest.fail(f"{arguments}: {done.stderr[-2000:]}")

    @contextmanager
    def _held_writers(self) -> Iterator[None]:
        pids = [service.pid() for service in _airflow(self.stack.state) if "api-server" not in service.name]
        held = [psutil.Process(pid) for pid in pids if pid]
        try:
            for process in held:
                process.suspend()
            yield
        finally:
            for process in held:
                process.resume()

    def differences(self, wanted: Expected) -> list[str]:
        """What is not in Omnitron as it has to be: each order once, linked with its items, bad ones reported."""
        return compare.differences(self.stack.state.omnitron_database, world.MARKETPLACE, wanted)

    def batches(self) -> set[str]:
        """In which states batch requests are."""
        rows = compare.Omnitron(self.stack.state.omnitron_database, world.MARKETPLACE).batches
        return {row["status"] for row in rows}

    def quarantined(self, channel: str) -> int:
        return len(list((self.stack.state.staging / "quarantine" / channel / "fetch_orders").iterdir()))


def until(fact: Callable[[], Any], what: str) -> Any:
    """Wait for something that is going to happen."""
    deadline = time.monotonic() + PATIENCE
    while not (found := fact()):
        if time.monotonic() > deadline:
            pytest.fail(f"waited in vain for {what}")
        time.sleep(0.3)
    return found


def day(start: datetime, end: datetime) -> Expected:
    return expected(SEED, RATE, start, end, bad=BAD)


@pytest.fixture(scope="session")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    state = State(tmp_path_factory.mktemp("e2e"))
    secrets = state.prepare()
    ports = _free_ports()
    (state.home / "channels.yaml").write_text(yaml.safe_dump({"channels": CHANNELS}))
    scheduler_stack.connections(state, ports, secrets)
    stack = Stack(state, ports.airflow, secrets)
    with ExitStack() as undo:
        undo.callback(servers.omnitron(state, ports).stop)
        servers.start_omnitron(state, ports, secrets)
        undo.callback(servers.marketplace(state, ports).stop)
        _start_marketplace(servers.marketplace(state, ports), ports.marketplace, secrets)
        undo.callback(lambda: [service.stop() for service in _airflow(state)])
        stack.start(stack.missing(), lambda _: None)
        servers.wait_for(servers.omnitron(state, ports), ports.omnitron)
        servers.wait_for(servers.marketplace(state, ports), ports.marketplace)
        stack.wait()
        api = undo.enter_context(Api(ports.airflow.url, scheduler_stack.USER, secrets.airflow_password))
        until(lambda: all(api.dag(f"fetch_orders__{name}") for name in CHANNELS), "the DAGs")
        omnitron = undo.enter_context(httpx.Client(base_url=ports.omnitron.url, timeout=30, trust_env=False))
        yield Deployment(stack, api, omnitron, state.home)


def _airflow(state: State) -> list[Service]:
    """Found even where only some of them came up; the server that tasks talk to is the last."""
    names = ("scheduler", "dag-processor", "triggerer", "api-server")
    return [Service(f"airflow-{name}", state.logs) for name in names]


def _start_marketplace(service: Service, port: Port, secrets: Secrets) -> None:
    options = ["--port", str(port.number), "--seed", str(SEED), "--rate", str(RATE), "--bad", str(BAD)]
    env = {**os.environ, "PYTHONPATH": str(REPOSITORY), "MARKETPLACE_API_KEY": secrets.marketplace_key}
    service.start([sys.executable, "-m", "sandbox.marketplace", *options], cwd=REPOSITORY, env=env)


def _free_ports() -> Ports:
    names = ("airflow", "omnitron", "marketplace", "marketplace_async", "medusa", "medusa_postgres")
    with ExitStack() as held:
        found = [held.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1] for _ in names]
    return Ports(**{name: Port(name, "", number) for name, number in zip(names, found, strict=True)})
