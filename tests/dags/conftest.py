"""Airflow in this process: a temporary home, SQLite, our folders. Set before the first import of airflow."""

import json
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
HOME = Path(tempfile.mkdtemp(prefix="order-integration-airflow-"))

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

CHANNELS = """
channels:
  shelf:
    connector: tests.shelf:Shelf
    connection: shelf
    omnitron_channel_id: 1
    catalog_id: 1
    active_from: 2026-01-05T00:00:00+03:00
    schedule: "0 * * * *"
    timezone: Europe/Istanbul
    limits: {chunk_size: 2, push_tasks: 3}
  hasty:
    connector: tests.shelf:Shelf
    connection: shelf
    omnitron_channel_id: 1
    catalog_id: 1
    active_from: 2026-01-05T00:00:00+03:00
    overlap: 1m
    lag: 5m
"""
(HOME / "channels.yaml").write_text(CHANNELS)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    from airflow.utils import db

    db.initdb()


@pytest.fixture(scope="session")
def dag_bag(airflow_db: None) -> Any:
    from airflow.dag_processing.dagbag import DagBag

    return DagBag(str(ROOT / "dags"))


@pytest.fixture
def connections(omnitron_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    host, _, port = omnitron_url.removeprefix("http://").partition(":")
    known = {"conn_type": "http", "host": f"http://{host}", "port": int(port)}
    monkeypatch.setenv("AIRFLOW_CONN_OMNITRON", json.dumps({**known, "login": "integration", "password": "secret"}))
    monkeypatch.setenv("AIRFLOW_CONN_SHELF", json.dumps({**known, "host": "http://127.0.0.1"}))
