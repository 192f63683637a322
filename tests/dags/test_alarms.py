"""Who is told of what: once, whatever is retried, cleared or killed; by notifiers that may fail."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import start
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import order

pytestmark = pytest.mark.airflow

FOREVER = 1000
HOURS = (datetime(2026, 6, 1, tzinfo=UTC) + timedelta(hours=hour) for hour in count())  # a window has one run
Rings = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def rings(tmp_path: Path, configure: Callable[..., None], connections: Any) -> Rings:
    """What the channel's only notifier rang for, so far."""
    path = tmp_path / "rings"
    text = "{{ alarm.channel }}: {{ alarm.sentence }}"
    configure(alarms=[{"notifier": "tests.dags.bell.Bell", "path": str(path), "text": text}])

    return heard_by(path)


@pytest.fixture
def away(back_office: BackOffice) -> Callable[..., None]:
    """Omnitron answers no look at the channel: fetch fails."""

    def fail(times: int = FOREVER, **rule: Any) -> None:
        back_office.fault("GET", r"/channels/1/$", "status", status=400, times=times, **rule)

    return fail


def scheduled(dag: Any) -> Any:
    """A run of the next window."""
    hour = next(HOURS)
    return start(dag, "scheduled", window=(hour, hour + timedelta(hours=1)))


def window(run: Any) -> str:
    return str(run._row().data_interval_start.isoformat())


def test_a_retry_that_then_succeeds_tells_nobody(shelf_dag: Any, away: Any, rings: Rings, shelf: Any) -> None:
    away(times=1)

    run = start(shelf_dag, conf=DAY)

    assert (run.state, run.tries("fetch")) == ("success", 2)
    assert rings() == []


def test_a_failed_fetch_is_told_once_and_settle_adds_nothing(
    shelf_dag: Any, away: Any, rings: Rings, shelf: Any, caplog: pytest.LogCaptureFixture
) -> None:
    away()

    run = start(shelf_dag, conf=DAY)

    assert run.states()["fetch"] == run.states()["settle"] == "failed"
    [ring] = rings()
    assert (ring["flow"], ring["channel"], ring["kind"]) == ("fetch_orders", "shelf", "refused")
    assert ring["text"] == f"shelf: {ring['sentence']}"
    assert ring["sentence"].startswith("fetch: ")
    assert run.run_id in ring["url"].replace("%3A", ":")
    assert caplog.text.count("ALARM fetch_orders of shelf, refused: fetch: ") == 1


def test_a_run_that_is_cleared_and_fails_again_tells_nobody_twice(
    shelf_dag: Any, away: Any, rings: Rings, shelf: Any
) -> None:
    away()
    run = start(shelf_dag, conf=DAY)

    run.clear("fetch").go_on()

    assert run.state == "failed"
    assert len(rings()) == 1


def test_push_tasks_that_fail_for_the_same_cause_are_one_alarm_and_the_window_is_settled(
    shelf_dag: Any, back_office: BackOffice, rings: Rings, shelf: Any, staging: Path
) -> None:
    shelf(*(order(str(number), minutes=number) for number in range(6)))
    back_office.fault("POST", "create_orders", "status", status=500, skip=2, times=FOREVER)

    run = start(shelf_dag, conf=DAY)

    assert [run.states()[f"push[{number}]"] for number in range(3)] == ["success", "failed", "failed"]
    assert run.states()["settle"] == "failed"
    assert [ring["kind"] for ring in rings()] == ["failed"]
    note = json.loads((staging / "fresh/shelf/fetch_orders.json").read_text())
    assert datetime.fromisoformat(note["until"]) == datetime.fromisoformat(DAY["window_end"])
    assert "green_at" not in note


def test_another_class_of_error_in_the_same_window_is_another_alarm(
    shelf_dag: Any, away: Any, back_office: BackOffice, rings: Rings, shelf: Any, connections: Any
) -> None:
    away()
    run = start(shelf_dag, conf=DAY)
    back_office.delete("/admin/faults")
    connections("shelf", host="http://shop.example")

    run.clear("fetch").go_on()

    assert run.state == "failed"
    assert [ring["kind"] for ring in rings()] == ["refused", "configuration"]


def test_an_outage_of_many_windows_is_told_once_and_its_end_makes_the_next_one_news(
    shelf_dag: Any, away: Any, back_office: BackOffice, rings: Rings, shelf: Any
) -> None:
    away()
    red = [scheduled(shelf_dag) for _ in range(3)]
    assert {run.state for run in red} == {"failed"}
    assert len(rings()) == 1

    back_office.delete("/admin/faults")
    assert scheduled(shelf_dag).state == "success"
    away()
    red.append(scheduled(shelf_dag))

    assert [ring["window"] for ring in rings()] == [window(red[0]), window(red[3])]

    back_office.delete("/admin/faults")
    assert scheduled(shelf_dag).state == "success"
    away()
    red[0].clear("fetch").go_on()
    assert len(rings()) == 2, "this window was told of before"


def test_an_outage_that_goes_on_is_told_again_after_a_day(
    shelf_dag: Any, away: Any, rings: Rings, shelf: Any, staging: Path
) -> None:
    away()
    first = scheduled(shelf_dag)
    age(staging / "alarms", timedelta(hours=23))
    scheduled(shelf_dag)
    assert len(rings()) == 1

    age(staging / "alarms", timedelta(hours=1))
    second = scheduled(shelf_dag)
    scheduled(shelf_dag)

    assert [ring["window"] for ring in rings()] == [window(first), window(second)]


def test_without_patience_every_window_of_an_outage_is_told(
    shelf_dag: Any, away: Any, rings: Rings, shelf: Any, configure: Any, tmp_path: Path
) -> None:
    bell = {"notifier": "tests.dags.bell.Bell", "path": str(tmp_path / "rings")}
    configure(alarms=[bell], alarm_again_after="0s")
    away()

    scheduled(shelf_dag)
    scheduled(shelf_dag)

    assert len(rings()) == 2


def test_a_verdict_of_settle_is_an_alarm(
    shelf_dag: Any, back_office: BackOffice, rings: Rings, shelf: Any, configure: Any, tmp_path: Path
) -> None:
    bell = {"notifier": "tests.dags.bell.Bell", "path": str(tmp_path / "rings")}
    configure(alarms=[bell], limits={"quarantine_floor": 0, "quarantine_share": 0})
    bad = order("1")
    bad["dto"]["items"] = []
    shelf(bad)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    [ring] = rings()
    assert ring["kind"] == "verdict"
    assert ring["sentence"] == "settle: 1 of 1 records are new in quarantine: is a setting wrong?"


def age(folder: Path, by: timedelta) -> None:
    """As if all of it had been told earlier."""
    for path in folder.rglob("*.json"):
        note = json.loads(path.read_text())
        if "at" in note:
            note["at"] = (datetime.fromisoformat(note["at"]) - by).isoformat()
            path.write_text(json.dumps(note))


def heard_by(path: Path) -> Rings:
    """What a bell that writes there rang for, so far."""
    return lambda: [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
