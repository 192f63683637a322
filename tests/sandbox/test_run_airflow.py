"""What must not be in Airflow's database is found there."""

import json
import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sandbox.run import check_airflow

SINCE = datetime(2026, 3, 2, 12, tzinfo=UTC)
LATER, EARLIER = "2026-03-02 12:00:01.000000", "2026-03-02 11:59:59.000000"
AIRFLOW = """
    CREATE TABLE job (id INTEGER, job_type TEXT);
    CREATE TABLE dag_run (dag_id TEXT, run_id TEXT, state TEXT, queued_at TEXT);
    CREATE TABLE task_instance (dag_id TEXT, run_id TEXT, state TEXT, queued_by_job_id INTEGER, queued_dttm TEXT);
    CREATE TABLE xcom (dag_id TEXT, task_id TEXT, "key" TEXT, value TEXT);
    CREATE TABLE rendered_task_instance_fields (dag_id TEXT, task_id TEXT, rendered_fields TEXT);
    INSERT INTO job VALUES (1, 'SchedulerJob'), (2, 'LocalTaskJob');
"""
OMNITRON = """
    CREATE TABLE customers (email TEXT, phone_number TEXT, first_name TEXT, last_name TEXT);
    CREATE TABLE addresses (email TEXT, phone_number TEXT, first_name TEXT, last_name TEXT);
    INSERT INTO customers VALUES ('Ayse.Yilmaz@example.com', '+905550001122', 'Ayşe', 'Yılmaz');
    INSERT INTO addresses VALUES ('ayse.yilmaz@example.com', '05550003344', 'Ali', 'Gökdağ');
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    for name, script in (("airflow", AIRFLOW), ("omnitron", OMNITRON)):
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            connection.executescript(script)
    insert(tmp_path, "dag_run", "flow__a", "r", "success", LATER)
    insert(tmp_path, "task_instance", "flow__a", "r", "success", 1, LATER)
    insert(tmp_path, "xcom", "flow__a", "settle", "return_value", json.dumps({"created": 273, "orders": "68300012345"}))
    return tmp_path


def insert(home: Path, table: str, *values: object) -> None:
    with closing(sqlite3.connect(home / "airflow")) as connection, connection:
        connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(values))})", values)


def check(home: Path, *dags: str) -> list[str]:
    return check_airflow.differences(home / "airflow", home / "omnitron", dags or ["flow__a"], SINCE)


def test_runs_of_the_scheduler_with_counts_in_xcom_are_fine(home: Path) -> None:
    assert check(home) == []


@pytest.mark.parametrize(
    ("state", "queued_at", "job"),
    [("failed", LATER, 1), ("success", EARLIER, 1), ("success", LATER, 2), ("success", LATER, None)],
    ids=["red", "of an earlier story", "not by the scheduler", "by hand"],
)
def test_a_dag_that_the_scheduler_did_not_run_is_found(home: Path, state: str, queued_at: str, job: int) -> None:
    insert(home, "dag_run", "flow__b", "r", state, queued_at)
    insert(home, "task_instance", "flow__b", "r", "success", job, LATER)
    assert check(home, "flow__a", "flow__b") == ["flow__b was not run to a green end by the scheduler"]


def test_a_large_xcom_is_found(home: Path) -> None:
    insert(home, "xcom", "flow__a", "fetch", "return_value", json.dumps("ş" * 1024))
    assert check(home) == ["flow__a, fetch: the XCom return_value has 2050 bytes"]
    assert check_airflow.largest_xcom(home / "airflow") == 2050


PERSONAL = {
    "to ayse.yilmaz@example.com": "an e-mail address",
    "call 905550001122": "a phone number",
    "call 0 5550003344": "a phone number",
    "for Gökdağ": "a name",
}


@pytest.mark.parametrize(("text", "what"), PERSONAL.items(), ids=PERSONAL.values())
def test_somebodys_data_is_found_and_not_repeated(home: Path, text: str, what: str) -> None:
    insert(home, "xcom", "flow__a", "fetch", "note", json.dumps({"note": text}))
    found = [sentence for sentence in check(home) if what in sentence]
    assert found == [f"flow__a, fetch: note holds {what} of a customer"]


def test_rendered_fields_are_looked_at_too(home: Path) -> None:
    insert(home, "rendered_task_instance_fields", "flow__a", "push", json.dumps({"buyer": "Yılmaz"}))
    assert check(home) == ["flow__a, push: rendered fields holds a name of a customer"]
