"""Airflow for many processes: loaded once, then forked; each process has a folder and a database of its own.

The environment has to be set before the first import of airflow, so nothing here imports it at module level.
"""
# ruff: noqa: PLC0415

import os
import shutil
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHANNEL = "kervan"
ENTRY: dict[str, Any] = {
    "connector": "marketplace",
    "connection": CHANNEL,
    "omnitron_channel_id": 1,
    "catalog_id": 1,
    "active_from": "2026-01-05T00:00:00+03:00",
    "schedule": "0 * * * *",
    "timezone": "Europe/Istanbul",
    "page_size": 3,  # so that every story pages
    "feed_poll": "1s",
    "limits": {"requests_per_second": 10_000, "omnitron_requests_per_second": 10_000, "push_tasks": 2},
    "settings": {"reject_reason": "USED"},
}
DAGS: dict[str, Any] = {}  # by flow: retries that do not wait


def load(home: Path) -> None:
    """Airflow in this process, with a fresh database, and our DAGs of one channel."""
    home.mkdir(parents=True, exist_ok=True)
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__UNIT_TEST_MODE": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database(home),
        "ORDER_INTEGRATION_CHANNELS": str(home / "channels.yaml"),
    }
    configure(home)
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
    from airflow.sdk.execution_time.supervisor import in_process_api_server
    from airflow.settings import dispose_orm
    from airflow.utils import db

    from tests.dags.runs import at_once

    db.initdb()
    DagBundlesManager().sync_bundles_to_db()
    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    sync_bag_to_db(bag, "dags-folder", None)
    DAGS.update({name.rpartition("__")[0]: at_once(dag) for name, dag in bag.dags.items() if name.endswith(CHANNEL)})
    in_process_api_server().app  # noqa: B018 - made once, before the forks
    dispose_orm()


def move_to(home: Path, loaded: Path) -> None:
    """After a fork: this process goes on with a copy of what was loaded."""
    home.mkdir(parents=True, exist_ok=True)
    shutil.copy(loaded / "airflow.db", home / "airflow.db")
    os.environ |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": _database(home),
        "ORDER_INTEGRATION_CHANNELS": str(home / "channels.yaml"),
        "ORDER_INTEGRATION_STAGING": f"file://{home}/staging",
        "ORDER_INTEGRATION_STATE": str(home / "state"),
    }
    configure(home)
    open_database()


def open_database() -> None:
    """The database that the environment names; nothing is taken over from before a fork."""
    from airflow import settings

    settings.dispose_orm()
    settings.configure_vars()
    settings.configure_orm()


def configure(home: Path, **own: Any) -> None:
    """The channel file, as a team writes it; own: `limits` are added to those that are there."""
    entry = {**ENTRY, **own, "limits": {**ENTRY["limits"], **own.get("limits", {})}}
    (home / "channels.yaml").write_text(yaml.safe_dump({"channels": {CHANNEL: entry}}), encoding="utf-8")


def _database(home: Path) -> str:
    return f"sqlite:///{home}/airflow.db"
