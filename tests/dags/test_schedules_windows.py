"""Windows of any schedule in any zone, made by Airflow's own timetable: no hole, and slots that are refused."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from order_integration.errors import ConfigurationError
from order_integration.flows.windows import refuse_occupied_slot, scheduled
from tests.dags.runs import create
from tests.dags.slots import DAYS, LAGS, SCHEDULES, ZONES, intervals, plain, whole
from tests.flows.steps import config


@given(
    schedule=SCHEDULES,
    zone=st.sampled_from(ZONES),
    day=st.sampled_from(sorted(DAYS)),
    lag=LAGS,
    more=LAGS,
    delays=st.lists(st.integers(0, 40_000), min_size=1, max_size=9),
)
@example("*/15 2 * * *", "Europe/Berlin", "Berlin goes forward", timedelta(), timedelta(), [0])
@example("*/15 1-4 * * *", "America/New_York", "New York goes forward", timedelta(), timedelta(), [0])
@example("*/30 0-5 * * *", "Europe/Istanbul", "Istanbul went forward", timedelta(), timedelta(), [0])
def test_windows_of_any_schedule_leave_no_hole_over_a_change_of_the_clocks(
    schedule: str, zone: str, day: str, lag: timedelta, more: timedelta, delays: list[int]
) -> None:
    channel = config(schedule=schedule, timezone=zone, lag=whole(lag), overlap=whole(lag + more))

    windows = [
        scheduled(channel, start, end, end + timedelta(seconds=delays[number % len(delays)])).window
        for number, (start, end) in enumerate(intervals(schedule, zone, DAYS[day]))
    ]

    assert windows[0].start <= DAYS[day] + timedelta(days=1)
    for before, after in pairwise(windows):
        assert after.start <= before.end


@given(schedule=SCHEDULES, zone=st.sampled_from(ZONES), day=st.sampled_from(sorted(DAYS)))
@example("30 2 * * *", "Europe/Berlin", "Berlin goes forward")
@example("59 2 * * *", "America/New_York", "New York goes forward")
@example("15,45 1-3 * * *", "Europe/Istanbul", "Istanbul went forward")
def test_a_manual_run_in_a_slot_of_any_schedule_is_refused(schedule: str, zone: str, day: str) -> None:
    channel = config(schedule=schedule, timezone=zone)

    for start, _ in intervals(schedule, zone, DAYS[day]):
        with pytest.raises(ConfigurationError, match="slot of the schedule"):
            refuse_occupied_slot(channel, start)


@given(schedule=SCHEDULES, zone=st.sampled_from(ZONES), day=st.sampled_from(sorted(DAYS)), at=st.integers(0, 2879))
def test_a_manual_run_between_the_slots_is_not_refused(schedule: str, zone: str, day: str, at: int) -> None:
    channel = config(schedule=schedule, timezone=zone)
    moment = DAYS[day] + timedelta(minutes=at)
    found = intervals(schedule, zone, DAYS[day])
    if moment < found[0][0] or moment in {one for interval in found for one in interval} or _changes(zone, moment):
        return

    refuse_occupied_slot(channel, moment)


def _changes(zone: str, moment: datetime) -> bool:
    """Around a change a schedule for some hours only has slots that Airflow leaves out."""
    before, after = ((moment + timedelta(hours=hours)).astimezone(ZoneInfo(zone)).utcoffset() for hours in (-1, 1))
    return before != after


def test_a_backfill_reads_what_was_missed_and_moves_no_live_window(dag_bag: Any) -> None:
    dag = dag_bag.get_dag("fetch_orders__shelf")
    slots = intervals("0 * * * *", "Europe/Istanbul", datetime(2026, 2, 1, 9, tzinfo=UTC), days=0.25)
    missed = slots[2:4]
    for window in slots:
        if window not in missed:
            create(dag, "scheduled", window=window)
    before = next_live_window(dag)

    backfill(dag.dag_id, slots[0][0], slots[-1][0])

    assert [window for window in windows_of_runs(dag.dag_id, "backfill") if window in slots] == missed
    assert next_live_window(dag) == before


def test_a_backfill_beyond_the_last_live_window_is_where_the_schedule_goes_on(dag_bag: Any) -> None:
    """Airflow's way, and why operations.md says to backfill from the last live window on."""
    dag = dag_bag.get_dag("fetch_and_create_cancel__shelf")
    slots = intervals("0 * * * *", "Europe/Istanbul", datetime(2026, 2, 1, 9, tzinfo=UTC), days=0.25)
    create(dag, "scheduled", window=slots[0])
    assert next_live_window(dag) == slots[1]

    backfill(dag.dag_id, slots[3][0], slots[3][0])

    assert next_live_window(dag) == slots[4]


def backfill(dag_id: str, first: datetime, last: datetime) -> None:
    from airflow.models.backfill import ReprocessBehavior, _create_backfill

    _create_backfill(
        dag_id=dag_id, from_date=first, to_date=last, max_active_runs=2, reverse=False, dag_run_conf={},
        triggering_user_name="somebody", reprocess_behavior=ReprocessBehavior.NONE,
    )  # fmt: skip


def next_live_window(dag: Any) -> tuple[datetime, datetime]:
    """As the DAG processor works it out each time it reads the file."""
    from airflow.dag_processing.collection import _get_latest_runs_stmt
    from airflow.models.dag import DagModel
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.utils.session import create_session

    known = DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))
    with create_session() as session:
        model = session.get(DagModel, dag.dag_id)
        model.calculate_dagrun_date_fields(known, reference_run=session.scalar(_get_latest_runs_stmt(dag.dag_id)))
        found = model.next_dagrun_data_interval
        session.rollback()
    return plain(found.start), plain(found.end)


def windows_of_runs(dag_id: str, kind: str) -> list[tuple[datetime, datetime]]:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(DagRun).where(DagRun.dag_id == dag_id, DagRun.run_type == kind)).all()
        return sorted((plain(row.data_interval_start), plain(row.data_interval_end)) for row in rows)
