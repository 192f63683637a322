"""Jobs of many channels wait in a real triggerer: without a worker, and through its death.

The jobs are handed over before Airflow is up, and its runs only wait for them: starting tasks is what takes time.
"""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from sandbox.faults import running
from sandbox.omnitron import create_app
from sandbox.run.errors import RunError
from sandbox.run.state import REPOSITORY, State, write_private
from tests.conftest import PASSWORD, USER, BackOffice
from tests.e2e.conftest import Api, Stack, _airflow, _free_ports, until
from tests.flows.outbound_steps import OutboundSteps
from tests.shelf import Shelf, order
from tests.shelf_outbound import Board

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

CHANNELS = 20
FEEDS = 10  # a channel
DAGS = """
import json
from datetime import timedelta
from pathlib import Path

from airflow.sdk import DAG, task

from order_integration.sensors.check_orders import CheckOrders

OFTEN = {"retries": 3, "retry_delay": timedelta(seconds=1)}  # SQLite has one writer


@task
def send(job):
    return job


for name, job in json.loads(Path(__file__).with_name("jobs.json").read_text()).items():
    with DAG(f"update_orders__{name}", schedule=None, default_args=OFTEN):
        send(job) >> CheckOrders(task_id="check_orders", flow="update_orders", channel=name)
"""
BUSY = 120.0  # seconds that one call may take: SQLite has one writer
NAMES = [f"shelf{number:02}" for number in range(1, CHANNELS + 1)]
WORLD: dict[str, Any] = {
    "users": [{"username": USER, "password": PASSWORD}],
    "catalogs": [{"id": 1, "name": "default", "price_list": 1, "stock_list": 1}],
    "channels": [{"id": number, "name": name, "catalog": 1, "conf": {}} for number, name in enumerate(NAMES, 1)],
    "cargos": [{"erp_code": "yurtici", "name": "Yurtiçi Kargo", "shipping_company": "yurtici"}],
    "products": [
        {"channel": number, "remote_id": "SKU-1", "sku": "SKU-1"} for number in range(1, CHANNELS + 1)
    ],
}  # fmt: skip


@dataclass(frozen=True)
class Quick(Stack):
    """Another triggerer takes over after seconds; and the connector of the tests can be imported."""

    def environment(self) -> dict[str, str]:
        quick = {
            "TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "5",
            "CORE__DAGS_FOLDER": str(self.state.home / "dags"),
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "CORE__PARALLELISM": "2",  # SQLite has one writer
        }
        own = {f"AIRFLOW__{name}": value for name, value in quick.items()}
        staging = f"file://{self.state.home}/steps/staging"
        return {**super().environment(), **own, "ORDER_INTEGRATION_STAGING": staging, "PYTHONPATH": str(REPOSITORY)}


@dataclass(frozen=True)
class Waiting:
    """Twenty channels, each with a job of ten feeds that its shelf has accepted."""

    stack: Quick
    api: Api
    office: BackOffice
    boards: dict[str, Board]

    def tasks(self, task: str) -> list[dict[str, Any]]:
        """Of all channels; there is one run of each, of two tasks."""
        answer = self.api._http.get("/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 2 * CHANNELS})
        return [row for row in answer.raise_for_status().json()["task_instances"] if row["task_id"] == task]

    def states(self, task: str) -> list[str]:
        return [str(row["state"]) for row in self.tasks(task)]

    def slots(self) -> dict[str, int]:
        pool = self.api._http.get("/api/v2/pools/default_pool").raise_for_status().json()
        return {name: pool[f"{name}_slots"] for name in ("running", "queued", "deferred", "occupied")}


@pytest.fixture
def waiting(tmp_path: Path) -> Iterator[Waiting]:
    state = State(tmp_path / "airflow")
    secrets = state.prepare()
    ports = _free_ports()
    boards = {name: Board(tmp_path / name) for name in NAMES}
    with ExitStack() as undo:
        url = undo.enter_context(running(create_app(":memory:", WORLD)))
        office = undo.enter_context(BackOffice(base_url=url, timeout=30))
        office.switch(login_limit_per_minute=None)
        jobs = {
            name: _handed_over(url, state.home / "steps", _entry(number, boards[name]) | {"name": name}, office)
            for number, name in enumerate(NAMES, 1)
        }
        _write_settings(state, url, boards, jobs)
        stack = Quick(state, ports.airflow, secrets)
        undo.callback(lambda: [service.stop() for service in _airflow(state)])
        stack.start(stack.missing(), lambda _: None)
        stack.wait()
        api = undo.enter_context(Api(ports.airflow.url, "admin", secrets.airflow_password))
        api._http.timeout = BUSY
        until(lambda: all(api.dag(f"update_orders__{name}") for name in NAMES), "the DAGs")
        yield Waiting(stack, api, office, boards)


def _entry(number: int, board: Board) -> dict[str, Any]:
    return {
        "connection": "shelf",
        "omnitron_channel_id": number,
        "catalog_id": 1,
        "active_from": "2026-01-01T00:00:00+00:00",
        "is_sync": False,
        "feed_poll": "1s",
        "settings": {"folder": str(board.folder)},
    }


def _handed_over(url: str, home: Path, entry: dict[str, Any], office: BackOffice) -> dict[str, Any]:
    """What `send` says of the channel's one order."""
    number, board = entry["omnitron_channel_id"], Board(entry["settings"]["folder"])
    board.rule(answers="feeds", feeds_a_page=FEEDS)
    steps = OutboundSteps(url, home, own=entry)
    Shelf.orders[:] = [order(str(number))]
    steps.steps.run()
    Shelf.orders.clear()
    [row] = office.rows("orders", number)
    office.patch(f"/admin/orders/{row['pk']}", json={"status": "500"}).raise_for_status()
    return steps.sent(is_sync=False)


def _write_settings(state: State, url: str, boards: dict[str, Board], jobs: dict[str, Any]) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    known = {"conn_type": "http", "host": f"http://{host}", "port": int(port), "login": USER, "password": PASSWORD}
    write_private(state.connections, {"omnitron": known, "shelf": known})
    (state.home / "dags").mkdir()
    (state.home / "dags" / "update_orders.py").write_text(DAGS)
    (state.home / "dags" / "jobs.json").write_text(json.dumps(jobs))
    own = {"connector": "tests.shelf_outbound:OutboundShelf"}
    entries = {name: own | _entry(number, board) for number, (name, board) in enumerate(boards.items(), 1)}
    (state.home / "channels.yaml").write_text(yaml.safe_dump({"channels": entries}))


def started(api: Api, dag_id: str) -> str | None:
    """A run's id; None: SQLite's writer was busy for too long."""
    try:
        return str(next((run["dag_run_id"] for run in api.runs(dag_id)), "") or api.trigger(dag_id, {}))
    except RunError:
        return None


def asked(boards: dict[str, Board]) -> int:
    """How often the channels were asked, all together."""
    return sum(len((board.folder / "asked").read_text().splitlines()) for board in boards.values())


@pytest.mark.defect("B6", "B7")
def test_two_hundred_feeds_wait_without_a_worker_and_none_is_lost_when_the_triggerer_dies(waiting: Waiting) -> None:
    api, boards = waiting.api, waiting.boards
    runs = {name: until(lambda name=name: started(api, f"update_orders__{name}"), f"{name}'s run") for name in NAMES}

    until(lambda: waiting.states("check_orders") == ["deferred"] * CHANNELS, "all sensors in the triggerer")
    assert sum(len(board.feeds()) for board in boards.values()) == CHANNELS * FEEDS
    slots = until(lambda: (now := waiting.slots())["deferred"] == CHANNELS and now, "the pool's word")
    assert (slots["running"], slots["queued"], slots["occupied"]) == (0, 0, 0)
    before = asked(boards)
    until(lambda: asked(boards) >= before + CHANNELS, "questions of the triggerer")

    triggerer = waiting.stack.components["triggerer"]
    pid = triggerer.pid()
    assert pid
    os.killpg(os.getpgid(pid), signal.SIGKILL)
    os.waitpid(pid, 0)
    for board in boards.values():
        board.rule(feeds={"*": "done"})
    waiting.stack.start(waiting.stack.missing(), lambda _: None)

    until(lambda: waiting.states("check_orders") == ["success"] * CHANNELS, "the end of all jobs")
    until(
        lambda: {api.state(f"update_orders__{name}", run) for name, run in runs.items()} == {"success"}, "all runs' end"
    )
    for number, (name, board) in enumerate(boards.items(), 1):
        assert board.orders() == [str(number)], name
        assert [row["status"] for row in waiting.office.rows("batch_requests", number)][-1] == "done"
        assert waiting.office.rows("orders/updates", number) == []
