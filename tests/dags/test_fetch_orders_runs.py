"""Runs of flow 1 of every kind: which window they read, and what they refuse before any call."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import create, start
from tests.shelf import NOON, order

pytestmark = pytest.mark.airflow

DAY = {"window_start": "2026-01-05T00:00:00+03:00", "window_end": "2026-01-06T00:00:00+03:00"}
HOUR = timedelta(hours=1)


def numbers(back_office: BackOffice) -> set[str]:
    return {row["number"] for row in back_office.rows("orders")}


def test_airflow_s_own_test_run_brings_a_manual_window(
    dag_bag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    shelf(*(order(str(number), minutes=number) for number in range(5)))

    # Not the shelf's: it writes the DAG down anew, while the shelf's has runs.
    run = dag_bag.get_dag("fetch_orders__other").test(run_conf=DAY, logical_date=None)

    assert run.state == "success"
    assert len(back_office.rows("orders")) == 5


def test_a_manual_run_reads_exactly_the_window_that_was_typed(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    shelf(*(order(str(minutes), minutes=minutes) for minutes in (-1, 0, 59, 60)))

    run = start(shelf_dag, conf={"window_start": "2026-01-05T12:00:00+03:00", "window_end": "2026-01-05T10:00:00Z"})

    assert run.state == "success"
    assert numbers(back_office) == {"N0", "N59"}
    assert run.table()["seen_before"] == 0


@pytest.mark.parametrize("kind", ["scheduled", "backfill"])
def test_a_run_of_the_schedule_reads_its_interval_and_the_overlap_before_it(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any, kind: str
) -> None:
    shelf(*(order(str(minutes), minutes=minutes) for minutes in (-11, -10, -1, 0, 59, 60)))
    day = {"scheduled": 0, "backfill": 1}[kind]  # a slot each: the database keeps one run a slot
    shelf(*(order(str(m), minutes=m + day * 1440) for m in (-11, -10, -1, 0, 59, 60)))

    noon = NOON + timedelta(days=day)
    run = start(shelf_dag, kind, window=(noon, noon + HOUR))

    assert run.state == "success"
    assert numbers(back_office) == {"N-10", "N-1", "N0", "N59"}
    assert set(back_office.linked("order")) == {"-10", "-1", "0", "59"}


def test_what_an_overlapping_window_reads_again_is_told_apart(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("a", minutes=-5), order("b", minutes=5))
    noon = NOON + timedelta(days=2)
    shelf(order("a", minutes=2875), order("b", minutes=2885))
    start(shelf_dag, "scheduled", window=(noon - HOUR, noon))

    table = start(shelf_dag, "scheduled", window=(noon, noon + HOUR)).table()

    assert (table["created"], table["seen_before"], table["already_there"]) == (1, 1, 0)


def test_a_window_without_orders_is_green_and_writes_nothing(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    run = start(shelf_dag, conf=DAY)

    assert run.state == "success"
    assert run.states()["push"] == "skipped"
    assert run.table()["distinct"] == 0
    assert writes(back_office) == []


@pytest.mark.parametrize(
    ("conf", "sentence"),
    [
        ({}, "needs both params"),
        ({"window_start": DAY["window_start"]}, "needs both params"),
        ({**DAY, "window_start": "garbage"}, "window_start is not a date and time"),
        ({**DAY, "window_end": "2026-01-06T00:00:00"}, "window_end has no zone"),
        ({"window_start": DAY["window_end"], "window_end": DAY["window_start"]}, "window_end is not after"),
        ({"window_start": DAY["window_start"], "window_end": DAY["window_start"]}, "window_end is not after"),
    ],
    ids=["none", "half", "garbage", "naive", "backwards", "empty"],
)
def test_a_manual_run_without_a_proper_window_is_red_before_any_call(
    shelf_dag: Any,
    connections: Any,
    back_office: BackOffice,
    capfd: pytest.CaptureFixture[str],
    conf: dict[str, str],
    sentence: str,
) -> None:
    run = start(shelf_dag, conf=conf)

    assert run.state == "failed"
    assert run.tries("fetch") == 1
    assert sentence in capfd.readouterr().out
    assert back_office.get("/admin/requests").json() == []


def test_a_manual_run_on_a_slot_of_the_schedule_asks_to_be_deleted(
    shelf_dag: Any, connections: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    slot = NOON + timedelta(days=5)

    run = start(shelf_dag, conf=DAY, logical_date=slot, window=(slot - HOUR, slot))

    assert run.state == "failed"
    assert "delete this run" in capfd.readouterr().out
    assert back_office.get("/admin/requests").json() == []


def test_a_manual_run_beside_the_slots_is_welcome(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1"))

    run = start(shelf_dag, conf=DAY, logical_date=datetime.fromisoformat("2026-01-10T12:34:56+03:00"))

    assert run.state == "success"


def test_a_run_that_an_asset_started_has_no_window_and_says_so(
    shelf_dag: Any, connections: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    run = create(shelf_dag, "asset_triggered").go_on()

    assert run.state == "failed"
    assert "window_start and window_end" in capfd.readouterr().out


def writes(back_office: BackOffice) -> list[tuple[str, str]]:
    """Calls that change something; a log-in changes nothing."""
    calls = back_office.get("/admin/requests").json()
    return [
        (call["method"], call["path"])
        for call in calls
        if call["method"] != "GET" and not call["path"].endswith("auth/login/")
    ]
