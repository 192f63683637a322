"""What no failing task tells: a flow that is behind, a channel without orders, a notifier that does not exist."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dags.conftest import SHELF
from tests.dags.runs import at_once, start
from tests.dags.test_alarms import Rings, age, heard_by
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import order

pytestmark = pytest.mark.airflow

FLOW = "fetch_orders"


@pytest.fixture
def watch(dag_bag: Any) -> Any:
    return dag_bag.get_dag("watch_channels")


@pytest.fixture
def unpaused(dag_bag: Any) -> Iterator[Callable[..., None]]:
    """The shelf's first flow is not paused, all others are; called, it changes that."""
    from airflow.models.dag import DagModel
    from airflow.utils.session import create_session
    from sqlalchemy import update

    def switch(is_paused: bool, flow: str = FLOW) -> None:
        with create_session() as session:
            session.execute(update(DagModel).where(DagModel.dag_id == f"{flow}__shelf").values(is_paused=is_paused))

    switch(False)
    yield switch
    switch(True)


@pytest.fixture
def channel(tmp_path: Path, connections: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Rings]:
    """A channel file with the shelf alone, and a bell; called with other settings, it writes that file anew."""
    rings = tmp_path / "rings"
    path = tmp_path / "channels.yaml"
    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(path))

    def change(**own: Any) -> Rings:
        bell = {"notifier": "tests.dags.bell.Bell", "path": str(rings)}
        path.write_text(yaml.safe_dump({"channels": {"shelf": {**SHELF, "alarms": [bell], **own}}}))
        return heard_by(rings)

    return change


@pytest.fixture
def note(staging: Path) -> Callable[..., None]:
    """Time goes by: all that is noted of a flow happened earlier."""

    def earlier(by: timedelta, *, watched: bool = True) -> None:
        for path in (staging / "fresh/shelf").glob(f"{FLOW}*.json"):
            if watched or not path.name.endswith("watched.json"):
                row = json.loads(path.read_text())
                moved = {name: (datetime.fromisoformat(text) - by).isoformat() for name, text in row.items()}
                path.write_text(json.dumps(moved))
        if watched:
            age(staging / "alarms", by)

    return earlier


def ran(watch: Any) -> dict[str, int]:
    run = start(watch)
    assert run.state == "success", run.states()
    values = [value for name, value in run.xcoms() if name.startswith("watch") and "return_value" in name]
    return json.loads(values[0]) if isinstance(values[0], str) else values[0]


def just_settled(shelf_dag: Any, *, minutes: int = 60) -> None:
    """A run whose window ends now."""
    now = datetime.now().astimezone()
    conf = {"window_start": (now - timedelta(minutes=minutes)).isoformat(), "window_end": now.isoformat()}
    assert start(shelf_dag, conf=conf).state == "success"


def test_a_flow_that_settles_nothing_is_told_once_and_again_after_a_day(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rings = channel(fresh_within="2h")
    just_settled(shelf_dag)
    assert ran(watch)["fine"] == 1
    note(timedelta(hours=3))

    found = [ran(watch).get("stale"), ran(watch).get("stale")]

    assert found == [1, 1]
    [ring] = rings()
    assert (ring["flow"], ring["channel"], ring["kind"]) == (FLOW, "shelf", "stale")
    note(timedelta(days=1))
    ran(watch)
    ran(watch)
    assert len(rings()) == 2

    caplog.clear()
    just_settled(shelf_dag)
    assert ran(watch)["fine"] == 1
    assert "over: fetch_orders of shelf was stale since" in caplog.text
    note(timedelta(hours=3))
    ran(watch)
    assert len(rings()) == 3, "another outage"


def test_a_backfill_of_an_old_window_makes_nothing_fresh(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any
) -> None:
    rings = channel(fresh_within="2h")
    ran(watch)
    just_settled(shelf_dag)
    note(timedelta(hours=3))

    assert start(shelf_dag, conf=DAY).state == "success"

    assert ran(watch)["stale"] == 1
    assert len(rings()) == 1


def test_a_flow_that_catches_up_is_behind_in_one_alarm(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any, staging: Path
) -> None:
    rings = channel(fresh_within="2h")
    ran(watch)
    just_settled(shelf_dag)
    note(timedelta(hours=9))
    ran(watch)

    for _ in range(3):
        note(timedelta(hours=-1), watched=False)  # the next window is settled, and it is behind still
        assert ran(watch)["stale"] == 1

    assert len(rings()) == 1


def test_by_default_three_windows_of_the_schedule_may_be_missing(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any
) -> None:
    rings = channel(schedule="0 * * * *")
    ran(watch)
    just_settled(shelf_dag)
    note(timedelta(hours=1, minutes=50))
    assert ran(watch)["fine"] == 1

    note(timedelta(hours=2, minutes=30))

    assert ran(watch)["stale"] == 1
    assert len(rings()) == 1


@pytest.mark.parametrize("how", ["paused", "off"])
def test_what_is_paused_or_switched_off_is_left_alone(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any, how: str
) -> None:
    rings = channel(fresh_within="0s" if how == "off" else "2h")
    just_settled(shelf_dag)
    ran(watch)
    note(timedelta(days=3))
    if how == "paused":
        unpaused(True)

    ran(watch)
    assert rings() == []
    if how == "paused":
        unpaused(False)
        assert ran(watch)["fine"] == 1, "it has time to catch up"
        assert rings() == []


def test_a_flow_that_never_settled_anything_is_behind_as_well(
    watch: Any, channel: Any, unpaused: Any, note: Any
) -> None:
    rings = channel(fresh_within="2h")
    ran(watch)
    note(timedelta(hours=3))

    ran(watch)

    assert [ring["kind"] for ring in rings()] == ["stale"]


def test_no_order_for_longer_than_usual_is_told_once(
    watch: Any, shelf_dag: Any, shelf: Any, channel: Any, unpaused: Any, note: Any
) -> None:
    rings = channel(quiet_after="6h", fresh_within="0s")
    ran(watch)
    now = datetime.now().astimezone()
    shelf({**order("1"), "changed": (now - timedelta(minutes=5)).isoformat()})
    just_settled(shelf_dag)
    shelf()
    note(timedelta(hours=5))
    just_settled(shelf_dag)
    assert ran(watch)["fine"] == 1
    note(timedelta(hours=2))
    just_settled(shelf_dag)

    ran(watch)
    assert ran(watch)["quiet"] == 1

    [ring] = rings()
    assert (ring["flow"], ring["kind"]) == (FLOW, "quiet")
    assert ring["sentence"].startswith("no order since ")


def test_windows_without_a_cancel_are_no_alarm(watch: Any, channel: Any, unpaused: Any, staging: Path) -> None:
    rings = channel(quiet_after="6h", fresh_within="0s")
    cancels = "fetch_and_create_cancel"
    unpaused(False, cancels)
    now = datetime.now().astimezone()
    moments = {"until": now, "green_at": now, "orders_until": now - timedelta(days=1)}
    for flow in (FLOW, cancels):
        note = staging / f"fresh/shelf/{flow}.json"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(json.dumps({name: moment.isoformat() for name, moment in moments.items()}))
        watched = {"resumed_at": (now - timedelta(days=2)).isoformat()}
        note.with_name(f"{flow}.watched.json").write_text(json.dumps(watched))

    found = ran(watch)
    unpaused(True, cancels)

    assert (found["quiet"], found["fine"]) == (1, 1)
    assert [ring["flow"] for ring in rings()] == [FLOW]


def test_a_missing_notifier_is_said_by_name_and_stops_neither_the_others_nor_an_alarm(
    watch: Any, channel: Any, unpaused: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bells = [
        {"notifier": "airflow.providers.slack.notifications.slack_webhook.SlackWebhookNotifier", "text": "x"},
        {"notifier": "tests.dags.bell.NoBell"},
        {"notifier": "tests.dags.bell.HoarseBell", "path": "canary"},
        {"notifier": "tests.dags.bell.Bell", "path": str(tmp_path / "rings"), "loudness": 11},
        {"notifier": "tests.dags.bell.Bell", "path": str(tmp_path / "rings")},
    ]
    rings = channel(alarms=bells)

    runs = [start(watch), start(watch)]

    assert {run.state for run in runs} == {"failed"}
    assert [ring["kind"] for ring in rings()] == ["configuration"] * 4
    said = " ".join(ring["sentence"] for ring in rings())
    for words in (
        "no notifier airflow.providers.slack.",
        "NoBell is no notifier",
        "HoarseBell can't be made: ValueError",
        "loudness",
    ):
        assert words in said
        assert words in caplog.text
    assert "canary" not in said


def test_a_broken_channel_is_told_by_its_notifiers_and_again_after_a_day(
    watch: Any, channel: Any, staging: Path
) -> None:
    rings = channel(schedule="now and then")

    assert start(watch).state == "failed"

    [ring] = rings()
    assert ring["kind"] == "configuration"
    assert "schedule 'now and then' is not a cron expression" in ring["sentence"]
    age(staging / "alarms", timedelta(days=1))
    start(watch)
    start(watch)
    assert len(rings()) == 2


def test_a_channel_that_can_not_be_looked_at_blinds_nobody_for_the_others(
    watch: Any, channel: Any, unpaused: Any, staging: Path, tmp_path: Path
) -> None:
    rings = channel()
    path = tmp_path / "channels.yaml"
    shelf = yaml.safe_load(path.read_text())["channels"]["shelf"]
    path.write_text(yaml.safe_dump({"channels": {"first": shelf, "shelf": {**shelf, "schedule": "now and then"}}}))
    unreadable = staging / "fresh/first/fetch_orders.watched.json"
    unreadable.parent.mkdir(parents=True)
    unreadable.write_text("{")

    run = start(at_once(watch))

    assert run.state == "failed"
    assert [ring["channel"] for ring in rings()] == ["shelf"]


def test_what_a_notifier_did_not_carry_is_tried_again_and_the_others_hear_of_it_once(
    watch: Any, channel: Any, staging: Path, tmp_path: Path
) -> None:
    from order_integration.operators.alarms import Alarm, AlarmKind, tell

    broken, whole = str(tmp_path / "broken"), str(tmp_path / "rings")
    bells = [
        {"notifier": "tests.dags.bell.BrokenBell", "path": broken},
        {"notifier": "tests.dags.bell.Bell", "path": whole},
    ]
    rings = channel(alarms=bells)
    assert tell(Alarm(FLOW, "shelf", AlarmKind.DIFFERENCES, "today", "three orders are missing"))
    start(watch)
    assert (len(heard_by(Path(broken))()), len(rings())) == (1, 1), "it may be at work still"

    age(staging / "alarms", timedelta(minutes=11))
    start(watch)
    assert (len(heard_by(Path(broken))()), len(rings())) == (2, 1)

    age(staging / "alarms", timedelta(days=1))
    start(watch)
    start(watch)
    assert (len(heard_by(Path(broken))()), len(rings())) == (2, 1), "it is no news any more"
    assert list((staging / "alarms").rglob("owed/*.json")) == []
