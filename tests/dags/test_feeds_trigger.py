"""The trigger: what Airflow keeps of it, when it fires, and what it never says."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from order_integration.dto import Submission
from tests.shelf_outbound import Board

pytestmark = pytest.mark.airflow

SOON = 0.01  # seconds between two questions
Trigger = Callable[..., Any]


@pytest.fixture
def board(connections: Any, configure: Any, tmp_path: Path) -> Board:
    """Of the shelf that `connector:` names; one submission has arrived."""
    configure(connector="tests.shelf_outbound:OutboundShelf", settings={"folder": str(tmp_path / "board")})
    made = Board(tmp_path / "board")
    made.rule(answers="feeds", feeds_a_page=2)
    made.receive(Submission(reference="r/1", orders=[]))
    return made


@pytest.fixture
def trigger(board: Board) -> Trigger:
    def made(channel: str = "shelf", seconds: float = 60.0) -> Any:
        from order_integration.triggers.feeds import FeedsTrigger

        return FeedsTrigger(channel, board.feeds(), time.time() + seconds, SOON)

    return made


def fired(trigger: Any, meanwhile: Callable[[], None] = lambda: None) -> list[Any]:
    async def story() -> list[Any]:
        asyncio.get_running_loop().call_later(0.2, meanwhile)
        return [event.payload async for event in trigger.run()]

    return asyncio.run(story())


def test_what_airflow_keeps_makes_the_same_trigger_again(trigger: Trigger, board: Board) -> None:
    from airflow.sdk.module_loading import import_string

    one = trigger()
    path, kwargs = one.serialize()
    kept = json.loads(json.dumps(kwargs))
    again = import_string(path)(**kept)

    assert path == "order_integration.triggers.feeds.FeedsTrigger"
    assert again.serialize() == (path, kwargs)
    assert set(kwargs) == {"channel", "feed_ids", "deadline", "poll"}
    assert (kept["feed_ids"], kept["deadline"]) == (board.feeds(), one.deadline)


def test_it_fires_once_when_all_feeds_are_decided_and_tells_no_results(trigger: Trigger, board: Board) -> None:
    first, second = board.feeds()
    board.rule(feeds={first: "done", second: "running"})

    events = fired(trigger(), lambda: board.rule(feeds={first: "done", second: "failed"}))

    assert events == [{"status": "decided"}]


@pytest.mark.parametrize("state", ["running", "unknown"])
def test_it_fires_when_its_time_is_up(trigger: Trigger, board: Board, state: str) -> None:
    board.rule(feeds={"*": state})

    assert fired(trigger(seconds=0.3)) == [{"status": "timeout"}]
    assert fired(trigger(seconds=-5.0)) == [{"status": "timeout"}]  # started again when it was over


@pytest.mark.parametrize("error", ["retriable", "slip"])
def test_an_error_of_the_channel_is_no_event_and_only_its_kind_is_logged(
    trigger: Trigger, board: Board, error: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    board.rule(check=error)

    events = fired(trigger(), lambda: board.rule(check=None, feeds={"*": "done"}))

    assert events == [{"status": "decided"}]
    said = caplog.text + "".join(capfd.readouterr())
    assert {"retriable": "RetriableError", "slip": "KeyError"}[error] in said
    assert "buyer@" not in said


@pytest.mark.parametrize("wrong", ["channel", "connection", "connector"])
def test_a_wrong_setting_is_an_event_that_says_so(
    trigger: Trigger, configure: Any, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    if wrong == "connection":
        monkeypatch.delenv("AIRFLOW_CONN_SHELF")
    if wrong == "connector":
        configure(connector="tests.shelf:Shelf")  # has no CheckOrders

    assert fired(trigger("gone" if wrong == "channel" else "shelf")) == [{"status": "failed"}]


def test_a_sensor_that_is_woken_by_a_wrong_setting_costs_a_try_and_does_not_wait_at_once(
    dag_bag: Any, board: Board, monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow.sdk.exceptions import AirflowException

    from order_integration.sensors.check_orders import CheckOrders

    async def undecided(*_: Any) -> None:
        return None

    sensor = CheckOrders(task_id="check_orders", flow="update_orders", channel="shelf")
    monkeypatch.setattr(sensor, "run_step", undecided)

    with pytest.raises(AirflowException, match="the triggerer can't ask the channel"):
        sensor.resume({}, {"status": "failed"})
