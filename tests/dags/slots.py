"""Slots of schedules, as Airflow's own timetable makes them, around the days on which clocks change."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from hypothesis import strategies as st

ZONES = ("Europe/Istanbul", "UTC", "Europe/Berlin", "America/New_York")
# Noon before the clocks change: forward and back, and twice in Istanbul, where they did so last.
DAYS = {
    "Berlin goes forward": datetime(2026, 3, 28, 12, tzinfo=UTC),
    "Berlin goes back": datetime(2026, 10, 24, 12, tzinfo=UTC),
    "New York goes forward": datetime(2026, 3, 7, 17, tzinfo=UTC),
    "New York goes back": datetime(2026, 10, 31, 16, tzinfo=UTC),
    "Istanbul went forward": datetime(2016, 3, 26, 10, tzinfo=UTC),
    "Istanbul went back": datetime(2015, 11, 7, 10, tzinfo=UTC),
}
ODD = (
    "*/15 * * * *", "*/7 * * * *", "0 * * * *", "30 2 * * *", "59 2 * * *", "0 2 * * *", "0 3 * * *", "0 0 * * *",
    "*/15 1-4 * * *", "*/15 2 * * *", "*/30 0-5 * * *", "15,45 1-3 * * *", "0 1,2,3 * * *", "0 */2 * * *",
    "5-59/20 * * * *", "30 1 * * 0",
)  # fmt: skip
MINUTES = st.lists(st.integers(0, 59), min_size=1, max_size=4, unique=True).map(
    lambda some: ",".join(map(str, sorted(some)))
)
HOURS = st.one_of(
    st.just("*"),
    st.sampled_from(["*/2", "*/3", "1-4", "2", "0-5"]),
    st.lists(st.integers(0, 23), min_size=1, max_size=5, unique=True).map(lambda some: ",".join(map(str, some))),
)
SCHEDULES = st.one_of(st.sampled_from(ODD), st.builds("{} {} * * *".format, MINUTES, HOURS))
LAGS = st.integers(0, 3 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@cache
def intervals(
    schedule: str, zone: str, since: datetime, days: float = 2, many: int = 1
) -> list[tuple[datetime, datetime]]:
    """The data intervals of scheduled runs, one after the other, as the scheduler asks for them."""
    import pendulum
    from airflow.timetables.base import TimeRestriction
    from airflow.timetables.interval import CronDataIntervalTimetable

    timetable = CronDataIntervalTimetable(schedule, timezone=zone)
    restriction = TimeRestriction(earliest=pendulum.instance(since), latest=None, catchup=True)
    last, found = None, []
    while len(found) < many or found[-1][1] < since + timedelta(days=days):
        info: Any = timetable.next_dagrun_info(last_automated_data_interval=last, restriction=restriction)
        last = info.data_interval
        found.append((plain(last.start), plain(last.end)))
    return found


def plain(moment: Any) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def whole(moment: timedelta) -> str:
    return f"{int(moment.total_seconds())}s"
