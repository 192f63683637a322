"""What housekeeping throws away, and what it leaves alone."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from order_integration.staging import Places, Staging
from tests.dags.conftest import SHELF

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


def test_what_a_kill_left_half_written_goes_after_a_day(airflow_db: None, staging: Path) -> None:
    from order_integration.operators.housekeeping import PurgeStaging

    folder = staging / "quarantine/c/f"
    folder.mkdir(parents=True)
    for name, hours in ((".old.json.7", 25), (".young.json.7", 1), ("waits.json", 25)):
        (folder / name).write_bytes(b"{}")
        moment = (datetime.now(UTC) - timedelta(hours=hours)).timestamp()
        os.utime(folder / name, (moment, moment))

    assert PurgeStaging(task_id="purge").execute({}) == 1

    assert {file.name for file in folder.iterdir()} == {".young.json.7", "waits.json"}


def test_where_nothing_was_staged_nothing_is_removed(airflow_db: None, staging: Path) -> None:
    from order_integration.operators.housekeeping import PurgeStaging

    assert PurgeStaging(task_id="purge").execute({}) == 0


def test_what_waited_for_too_long_is_told_once_a_flow_channel_and_batch(
    airflow_db: None, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    from order_integration.operators.housekeeping import ExpireWaiting

    channels = {"shelf": {**SHELF, "parked_kept": "10d", "quarantine_kept": "10d"}, "odd": {"connector": "marketplace"}}
    (tmp_path / "channels.yaml").write_text(yaml.safe_dump({"channels": channels}))
    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(tmp_path / "channels.yaml"))
    days = {"shelf": 11, "odd": 400, "left": 400}  # `odd` is configured wrongly, `left` is not in the file any more
    since = {name: (datetime.now(UTC) - timedelta(days=ago)).isoformat() for name, ago in days.items()}
    places = {name: Places.of(Staging(f"file://{staging}"), name, "fetch_orders") for name in days}
    for name, one in places.items():
        one.parked.put("1", {"reason": "order_unknown", "record": {}}, run="r", now=since[name])
        one.parked.put("2", {"reason": "replay", "record": {}}, run="r", now=since[name])

    done = ExpireWaiting(task_id="expire").execute({})
    assert done == {"parked": 4, "quarantined": 0, "forgotten": 0, "left_alone": ["odd"]}

    assert {name: len(one.parked.open_keys()) for name, one in places.items()} == {"shelf": 0, "odd": 2, "left": 0}
    alarms = [record.getMessage() for record in caplog.records if record.getMessage().startswith("ALARM")]
    told = "parked for more than {} days, and given up: 1 order_unknown, 1 replay"
    assert [told.format(10) in text or told.format(90) in text for text in alarms] == [True, True]
    places["shelf"].parked.put("3", {"reason": "x", "record": {}}, run="r", now=since["shelf"])
    caplog.clear()
    assert ExpireWaiting(task_id="expire").execute({})["parked"] == 1
    assert len([record for record in caplog.records if record.getMessage().startswith("ALARM")]) == 1
    caplog.clear()
    assert ExpireWaiting(task_id="expire").execute({})["parked"] == 0
    assert not [record for record in caplog.records if record.getMessage().startswith("ALARM")]


def test_without_a_channel_file_nothing_is_given_up_and_it_says_so(
    airflow_db: None, staging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowFailException

    from order_integration.operators.housekeeping import ExpireWaiting

    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(tmp_path / "nowhere.yaml"))

    with pytest.raises(AirflowFailException, match="no channel file at"):
        ExpireWaiting(task_id="expire").execute({})
