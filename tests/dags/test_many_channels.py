"""Three channels of two connectors side by side, one whose server is down, and one that is configured wrongly."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY
from sandbox.marketplace.app import create_app as marketplace
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.generator import orders_between
from tests.channels.channel_page import installed, written
from tests.channels.corner_shop import KEY
from tests.channels.corner_shop import create_app as corner_shop
from tests.conftest import BackOffice
from tests.dags.conftest import ROOT, SHELF, write_channels
from tests.dags.runs import Run, at_once, files_of, start

pytestmark = pytest.mark.airflow

OF_ALL_CHANNELS = {"housekeeping", "watch_channels"}
FLOWS = tuple(path.stem for path in sorted((ROOT / "dags").glob("*.py")) if path.stem not in OF_ALL_CHANNELS)
BY_WINDOW = {
    "fetch_orders",
    "fetch_and_create_cancel",
    "fetch_and_update_order_items",
    "fetch_and_create_cancellation_requests",
}
NEEDS_MORE = {"fetch_orders", "replay_quarantined"}  # the one has a test of its own here, the other a form
NOW = datetime(2026, 3, 20, 9, 46, 40, tzinfo=UTC)
WINDOW = {"window_start": (NOW - timedelta(hours=1)).isoformat(), "window_end": (NOW + timedelta(hours=1)).isoformat()}
RATE = 6  # orders an hour
SEEDS = {"kervan_one": 1, "kervan_two": 2}
NUMBERS = {"kervan_one": 11, "kervan_two": 12, "corner": 13, "down": 14}
FINE = ("kervan_one", "kervan_two", "corner")
REASONS = {"CHANGED_MIND": 1}


def entry(name: str, connector: str, **own: Any) -> dict[str, Any]:
    return {
        **SHELF,
        "connector": connector,
        "connection": name,
        "omnitron_channel_id": NUMBERS[name],
        "owner": f"team-{name}",
        **own,
    }


CORNER = "corner_shop.connector:CornerShop"
CHANNELS: dict[str, Any] = {
    "kervan_one": entry("kervan_one", "marketplace", limits={"push_tasks": 2, "chunk_size": 1}, schedule="5 * * * *"),
    "kervan_two": entry("kervan_two", "marketplace", limits={"push_tasks": 3, "requests_per_second": 7}),
    "corner": entry("corner", CORNER, limits={"push_tasks": 1, "requests_per_second": 5}, catchup=False),
    "down": entry("down", CORNER, limits={"push_tasks": 4}),
    "crooked": {**entry("corner", CORNER), "overlap": "1m", "lag": "5m"},
}


@pytest.fixture(scope="module")
def channel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("many") / "channels.yaml"
    write_channels(path, CHANNELS)
    return path


@pytest.fixture(scope="module")
def many(dag_bag: Any, channel_file: Path) -> Any:
    """All DAGs of all these channels, known to Airflow."""
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORDER_INTEGRATION_CHANNELS", str(channel_file))
        bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return bag


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The servers, and the corner shop's connector, which comes from elsewhere."""
    ticks = count(int(NOW.timestamp() * 1000))
    ours = {"calls_per_second": None, "bad": 0, "rate": RATE, "clock": lambda: next(ticks)}
    elsewhere = written(tmp_path_factory.mktemp("elsewhere"))
    with (
        running(marketplace(seed=SEEDS["kervan_one"], **ours)) as one,
        running(marketplace(seed=SEEDS["kervan_two"], **ours)) as two,
        running(corner_shop(shop())) as corner,
        installed(elsewhere),
    ):
        yield {"kervan_one": one, "kervan_two": two, "corner": corner, "down": "http://127.0.0.1:9"}


def shop() -> Any:
    from tests.channels.corner_shop import Shop

    return Shop(clock=lambda: NOW)


@pytest.fixture
def office(
    back_office: BackOffice,
    addresses: dict[str, str],
    omnitron_url: str,
    channel_file: Path,
    staging: Path,
    monkeypatch: pytest.MonkeyPatch,
    connections: Callable[..., None],
) -> BackOffice:
    """Omnitron knows the channels, and Airflow their addresses. The second marketplace sells a thing nobody mapped."""
    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(channel_file))
    for name, url in addresses.items():
        host, _, port = url.removeprefix("http://").partition(":")
        password = KEY if name in {"corner", "down"} else LOOPBACK_KEY
        known = {"conn_type": "http", "host": f"http://{host}", "port": int(port), "password": password}
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(known))
    conf = {"reason_mapping": REASONS}
    back_office.told(
        channels=[{"id": pk, "name": name, "catalog": 1, "conf": conf} for name, pk in NUMBERS.items()],
        cargos=[{"erp_code": code, "name": name} for code, name in CARRIERS],
        products=[
            *({"channel": 11, "remote_id": product.id, "sku": product.id} for product in catalogue()),
            *({"channel": 12, "remote_id": product.id, "sku": product.id} for product in catalogue()[::2]),
            {"channel": 13, "remote_id": "SKU-1", "sku": "SKU-1"},
        ],
    )
    return back_office


@pytest.fixture
def dag(many: Any) -> Callable[..., Any]:
    """Retries do not wait, and are few: how many there are is tested elsewhere."""

    def found(flow: str, channel: str, retries: int = 0) -> Any:
        made = at_once(many.get_dag(f"{flow}__{channel}"))
        for task in made.tasks:
            if not task.is_mapped:
                task.retries = retries
        return made

    return found


def run(dag: Any, flow: str) -> Run:
    return start(dag, conf=WINDOW if flow in BY_WINDOW else None)


def sold(name: str) -> set[str]:
    """The numbers of a marketplace's orders in the window."""
    rows = orders_between(SEEDS[name], RATE, NOW - timedelta(hours=1), NOW + timedelta(seconds=30), bad=0)
    return {str(row.body["orderNumber"]) for row in rows}


def buy(addresses: dict[str, str], units: int) -> str:
    """At the corner shop; returns the order's number."""
    answer = httpx.post(f"{addresses['corner']}/shop/orders", params={"units": units})
    answer.raise_for_status()
    return str(answer.json()["id"])


# what the DAGs are ----------------------------------------------------------------------------------------------------


def test_every_channel_has_every_flow_as_a_dag_of_its_own(many: Any) -> None:
    assert many.import_errors == {}
    assert len(FLOWS) == 10
    assert set(many.dags) == {f"{flow}__{channel}" for flow in FLOWS for channel in CHANNELS} | OF_ALL_CHANNELS
    for flow in FLOWS:
        for channel in CHANNELS:
            assert {flow, channel, "order_integration"} <= set(many.get_dag(f"{flow}__{channel}").tags)


def test_limits_schedule_and_owner_are_those_of_the_channel(many: Any) -> None:
    for name in FINE:
        dags = [many.get_dag(f"{flow}__{name}") for flow in FLOWS]
        assert {task.owner for dag in dags for task in dag.tasks} == {f"team-{name}"}
        push = many.get_dag(f"fetch_orders__{name}").get_task("push")
        assert push.max_active_tis_per_dag == CHANNELS[name]["limits"]["push_tasks"]
    assert many.get_dag("fetch_orders__corner").catchup is False
    assert many.get_dag("fetch_orders__kervan_one").catchup is True
    schedules = {name: many.get_dag(f"update_orders__{name}").timetable.expression for name in FINE}
    assert schedules == {"kervan_one": "5 * * * *", "kervan_two": "0 * * * *", "corner": "0 * * * *"}


def test_a_channel_that_is_configured_wrongly_has_dags_that_say_so(many: Any) -> None:
    for flow in FLOWS:
        dag = many.get_dag(f"{flow}__crooked")
        assert dag.task_ids == ["configuration"]
        assert "overlap is shorter than lag" in dag.doc_md
        assert "broken" in dag.tags


# what their runs do ---------------------------------------------------------------------------------------------------


def test_the_others_go_on_while_one_channel_is_down_and_one_is_crooked(
    dag: Any, office: BackOffice, addresses: dict[str, str], staging: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bought = {buy(addresses, units) for units in (1, 2)}
    office.rows("orders")  # logs in
    office.delete("/admin/requests")

    runs = {name: run(dag("fetch_orders", name, retries=1), "fetch_orders") for name in ("down", "crooked", *FINE)}

    assert (runs["down"].states()["fetch"], runs["down"].tries("fetch")) == ("failed", 2)
    assert runs["crooked"].states() == {"configuration": "failed"}
    assert "overlap is shorter than lag" in capfd.readouterr().out
    assert {name: runs[name].state for name in FINE} == dict.fromkeys(FINE, "success")

    # Each has its own orders, and no batch request is anybody else's.
    numbers = {name: {row["number"] for row in office.rows("orders", NUMBERS[name])} for name in NUMBERS}
    assert numbers["kervan_one"] == sold("kervan_one")
    assert numbers["kervan_two"] < sold("kervan_two")
    assert len(numbers["corner"]) == len(bought)
    assert numbers["down"] == set()
    for name, number in NUMBERS.items():
        statuses = {row["status"] for row in office.rows("batch_requests", number)}
        assert statuses == ({"done"} if name in FINE else set())

    # What waits, waits in a folder of its own.
    waiting = {path.relative_to(staging).parts[1] for path in files_of(staging / "quarantine")}
    assert waiting == {"kervan_two"}
    assert runs["kervan_two"].table()["quarantined"] == len(sold("kervan_two") - numbers["kervan_two"])
    read = {path.relative_to(staging).parts[1] for path in files_of(staging / "runs") if path.stem[:4] == "page"}
    assert read == set(FINE)

    # Limits, too: as many push tasks as the channel allows; one log-in serves them all.
    pushes = {name: sum(task.startswith("push[") for task in runs[name].states()) for name in FINE}
    assert pushes == {"kervan_one": 2, "kervan_two": 1, "corner": 1}
    assert len(office.calls("POST", "/auth/login/")) == 1


@pytest.mark.parametrize("flow", [flow for flow in FLOWS if flow not in NEEDS_MORE])
def test_every_flow_of_every_channel_runs_beside_one_that_is_down(
    dag: Any, office: BackOffice, addresses: dict[str, str], flow: str
) -> None:
    """Its lock is open as well: that is its own affair."""
    for content_type in ("order", "cancellationrequest"):
        body = {"channel": NUMBERS["down"], "content_type": content_type}
        office.post("/admin/lock", json=body).raise_for_status()

    down = run(dag(flow, "down"), flow)
    states = {name: run(dag(flow, name), flow).state for name in FINE}

    assert states == dict.fromkeys(FINE, "success")
    assert down.state == ("failed" if flow in BY_WINDOW else "success")  # the other flows had nothing to ask it


def test_each_channel_is_asked_at_its_own_rate(office: BackOffice, channel_file: Path, addresses: Any) -> None:
    from order_integration.channels.registry import load_channels
    from order_integration.hooks.channel import ChannelHook

    channels = load_channels(channel_file)
    sessions = {name: ChannelHook(channels[name]).get_conn().http for name in FINE}

    assert {name: session._rate.max_rate for name, session in sessions.items()} == {
        "kervan_one": 20.0,
        "kervan_two": 7.0,
        "corner": 5.0,
    }
    assert len({id(session._rate) for session in sessions.values()}) == len(FINE)
