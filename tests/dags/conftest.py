"""Airflow in this process: a temporary home, SQLite, our folders. Set before the first import of airflow."""
# ruff: noqa: PLC0415

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import PASSWORD, USER
from tests.dags.runs import at_once

ROOT = Path(__file__).parents[2]
HOME = Path(tempfile.mkdtemp(prefix="order-integration-airflow-"))
atexit.register(shutil.rmtree, HOME, ignore_errors=True)

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{HOME}/airflow.db",
    "ORDER_INTEGRATION_CHANNELS": str(HOME / "channels.yaml"),
    "ORDER_INTEGRATION_STAGING": f"file://{HOME}/staging",
}

SHELF: dict[str, Any] = {
    "connector": "tests.shelf:Shelf",
    "connection": "shelf",
    "omnitron_channel_id": 1,
    "catalog_id": 1,
    "active_from": "2026-01-05T00:00:00+03:00",
    "schedule": "0 * * * *",
    "timezone": "Europe/Istanbul",
    "limits": {"chunk_size": 2, "push_tasks": 3},
}
OTHER = {**SHELF, "schedule": "*/15 * * * *", "catchup": False, "owner": "night-shift"}
HASTY = {**SHELF, "overlap": "1m", "lag": "5m"}
CHANNELS = {"shelf": SHELF, "other": OTHER, "hasty": HASTY}


def write_channels(path: Path, channels: Any) -> None:
    path.write_text(yaml.safe_dump({"channels": channels}), encoding="utf-8")


write_channels(HOME / "channels.yaml", CHANNELS)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    from airflow.utils import db

    db.initdb()


@pytest.fixture(scope="session")
def dag_bag(airflow_db: None) -> Any:
    """As Airflow reads the folder, and known to its database."""
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db

    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    return bag


@pytest.fixture(scope="session")
def shelf_dag(dag_bag: Any) -> Any:
    """The shelf's DAG in a bag of its own, with retries that do not wait."""
    from airflow.dag_processing.dagbag import DagBag

    return at_once(DagBag(str(ROOT / "dags"), bundle_name="dags-folder").get_dag("fetch_orders__shelf"))


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment of its own: nothing staged, nothing parked, nobody logged in."""
    monkeypatch.setenv("ORDER_INTEGRATION_STAGING", f"file://{tmp_path}/staging")
    monkeypatch.setenv("ORDER_INTEGRATION_STATE", str(tmp_path / "state"))
    return tmp_path / "staging"


@pytest.fixture
def connections(omnitron_url: str, staging: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Both connections; called, it changes one of them."""

    def change(conn_id: str, **own: Any) -> None:
        host, _, port = omnitron_url.removeprefix("http://").partition(":")
        who = {"login": USER, "password": PASSWORD}
        known = {"conn_type": "http", "host": f"http://{host}", "port": int(port), **who, **own}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(known))

    change("omnitron")
    change("shelf")
    return change


@pytest.fixture
def configure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Change the shelf's entry of the channel file, as a team does after the DAG was parsed."""

    def change(**own: Any) -> None:
        path = tmp_path / "channels.yaml"
        write_channels(path, {**CHANNELS, "shelf": {**SHELF, **own}})
        monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(path))

    return change
