"""Jobs of many channels wait in a real triggerer: without a worker, and through its death."""

import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
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
from tests.flows.steps import Steps, config
from tests.shelf import Shelf, order
from tests.shelf_outbound import Board

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("airflow"), pytest.mark.timeout(600)]

CHANNELS = 20
FEEDS = 10  # a channel
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
        return {**super().environment(), **own, "PYTHONPATH": str(REPOSITORY)}


@dataclass(frozen=True)
class Waiting:
    """Twenty channels, each with an order that is due and a shelf that answers with ten feeds."""

    stack: Quick
    api: Api
    office: BackOffice
    boards: dict[str, Board]

    def tasks(self, task: str) -> list[dict[str, Any]]:
        """Of all channels; there is one run of each, of five tasks."""
        answer = self.api._http.get("/api/v2/dags/~/dagRuns/~/taskInstances", params={"limit": 5 * CHANNELS})
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
        for number, (name, board) in enumerate(boards.items(), 1):
            board.rule(answers="feeds", feeds_a_page=FEEDS)
            _is_due(Steps(url, tmp_path / "steps", config(name=name, omnitron_channel_id=number)), office, number)
        _write_settings(state, url, boards)
        stack = Quick(state, ports.airflow, secrets)
        undo.callback(lambda: [service.stop() for service in _airflow(state)])
        stack.start(stack.missing(), lambda _: None)
        stack.wait()
        api = undo.enter_context(Api(ports.airflow.url, "admin", secrets.airflow_password))
        api._http.timeout = BUSY
        until(lambda: all(api.dag(f"update_orders__{name}") for name in NAMES), "the DAGs")
        yield Waiting(stack, api, office, boards)


def _is_due(steps: Steps, office: BackOffice, channel: int) -> None:
    Shelf.orders[:] = [order(str(channel))]
    steps.run()
    Shelf.orders.clear()
    [row] = office.rows("orders", channel)
    office.patch(f"/admin/orders/{row['pk']}", json={"status": "500"}).raise_for_status()


def _write_settings(state: State, url: str, boards: dict[str, Board]) -> None:
    host, _, port = url.removeprefix("http://").partition(":")
    known = {"conn_type": "http", "host": f"http://{host}", "port": int(port), "login": USER, "password": PASSWORD}
    write_private(state.connections, {"omnitron": known, "shelf": known})
    entries = {
        name: {
            "connector": "tests.shelf_outbound:OutboundShelf",
            "connection": "shelf",
            "omnitron_channel_id": number,
            "catalog_id": 1,
            "active_from": datetime.now(UTC).isoformat(),  # no slot of the schedule yet: it starts no run
            "schedule": "0 0 1 1 *",
            "is_sync": False,
            "feed_poll": "1s",
            "retry_delay": "1s",
            "settings": {"folder": str(board.folder)},
        }
        for number, (name, board) in enumerate(boards.items(), 1)
    }
    (state.home / "dags").mkdir()
    shutil.copy(REPOSITORY / "dags" / "update_orders.py", state.home / "dags")  # the others are not needed here
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

    until(lambda: waiting.states("settle") == ["success"] * CHANNELS, "the end of all runs")
    assert {api.state(f"update_orders__{name}", run) for name, run in runs.items()} == {"success"}
    for number, (name, board) in enumerate(boards.items(), 1):
        assert board.orders() == [str(number)], name
        assert [row["status"] for row in waiting.office.rows("batch_requests", number)][-1] == "done"
        assert waiting.office.rows("orders/updates", number) == []
