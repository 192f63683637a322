"""What housekeeping throws away, and what it leaves alone."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

pytestmark = pytest.mark.airflow

DAYS = {"runs/c/f/r/push/a.gz": 7, "said/c/f/a.json": 60, "made/c/f/1.json": 60, "alarms/c/f/w/quiet.json": 60}


def test_what_is_old_goes_and_what_waits_stays(airflow_db: None, staging: Path) -> None:
    from order_integration.operators.housekeeping import PurgeStaging

    ages = {name: days + 1 for name, days in DAYS.items()}
    ages |= {name.replace("/c/", "/young/"): days - 1 for name, days in DAYS.items()}
    ages |= dict.fromkeys(("quarantine/c/f/a.json", "parked/c/f/a.json", "batches/c/f/1.json"), 365)
    for name, days in ages.items():
        file = staging / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"{}")
        moment = (datetime.now(UTC) - timedelta(days=days)).timestamp()
        os.utime(file, (moment, moment))

    removed = PurgeStaging(task_id="purge").execute({})

    assert removed == len(DAYS)
    left = {str(file.relative_to(staging)) for file in staging.rglob("*") if file.is_file()}
    assert left == ages.keys() - DAYS.keys()


def test_where_nothing_was_staged_nothing_is_removed(airflow_db: None, staging: Path) -> None:
    from order_integration.operators.housekeeping import PurgeStaging

    assert PurgeStaging(task_id="purge").execute({}) == 0
