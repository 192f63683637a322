"""How far a flow is settled, and when that is too old or too quiet."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_integration.channels.registry import ChannelConfig
from order_integration.flows.freshness import after_settled, quiet_since, stale_since

NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)  # a Tuesday
NOTHING = timedelta(0)
MINUTES = st.integers(-10_000, 0).map(lambda minutes: timedelta(minutes=minutes))


def channel(**own: Any) -> ChannelConfig:
    needed = {"name": "c", "connector": "c", "connection": "c", "omnitron_channel_id": 1, "catalog_id": 1}
    return ChannelConfig.model_validate({**needed, "active_from": "2026-01-01T00:00:00Z", **own})


def settled(until: datetime, **own: Any) -> dict[str, Any]:
    return {"until": until.isoformat(), "green_at": NOON.isoformat(), **own}


@given(st.lists(st.tuples(MINUTES, st.integers(0, 3)), min_size=1))
def test_in_whatever_order_windows_settle_the_note_only_goes_forward(ends: list[tuple[timedelta, int]]) -> None:
    note: dict[str, Any] = {}
    for number, (end, rows) in enumerate(ends):
        note = after_settled(note, NOON + timedelta(minutes=number), NOON + end, rows)

    with_orders = [end for end, rows in ends if rows]
    first = ends[0][0]
    assert note["until"] == (NOON + max(end for end, _ in ends)).isoformat()
    assert note["orders_until"] == (NOON + max([first, *with_orders])).isoformat()


def test_a_window_by_hand_that_ends_in_the_future_is_settled_up_to_now() -> None:
    assert after_settled({}, NOON, NOON + timedelta(days=400))["until"] == NOON.isoformat()


def test_a_red_run_that_settled_its_window_makes_it_no_older_and_is_not_green() -> None:
    green = after_settled({}, NOON, NOON, 1)

    red = after_settled(green, NOON + timedelta(hours=1), NOON + timedelta(hours=1), 1, is_green=False)

    assert red == {**green, **dict.fromkeys(("until", "orders_until"), (NOON + timedelta(hours=1)).isoformat())}


@pytest.mark.parametrize(("late", "is_stale"), [(timedelta(minutes=30), False), (timedelta(minutes=31), True)])
def test_a_set_time_counts_from_the_newest_settled_window(late: timedelta, is_stale: bool) -> None:
    known = settled(NOON - late)

    assert (stale_since(channel(fresh_within="30m"), known, NOON, NOTHING) is not None) == is_stale


@pytest.mark.parametrize(
    ("schedule", "now", "newest_that_is_fine"),
    [
        ("*/15 * * * *", "2026-03-03T12:09:00", "2026-03-03T11:13:00"),
        ("*/15 * * * *", "2026-03-03T12:11:00", "2026-03-03T11:28:00"),
        ("0 9-18 * * 1-5", "2026-03-02T08:59:00", "2026-02-27T15:58:00"),  # nobody works at the weekend
        ("0 3 * * *", "2026-03-03T03:11:00", "2026-03-01T02:58:00"),
    ],
)
def test_without_one_it_is_late_when_three_windows_of_the_schedule_are_missing(
    schedule: str, now: str, newest_that_is_fine: str
) -> None:
    one, moment = channel(schedule=schedule), datetime.fromisoformat(f"{now}+00:00")
    until = datetime.fromisoformat(f"{newest_that_is_fine}+00:00")

    assert stale_since(one, settled(until), moment, NOTHING) is None
    assert stale_since(one, settled(until - timedelta(seconds=1)), moment, NOTHING) is not None


def test_a_flow_without_windows_is_as_fresh_as_its_last_green_run() -> None:
    one = channel(fresh_within="30m")

    assert stale_since(one, {"green_at": NOON.isoformat()}, NOON + timedelta(minutes=29), NOTHING) is None
    assert stale_since(one, {"green_at": NOON.isoformat()}, NOON + timedelta(minutes=31), NOTHING) == NOON.isoformat()


def test_what_is_waited_for_on_purpose_is_not_late() -> None:
    one, known = channel(fresh_within="30m"), {"green_at": NOON.isoformat()}

    assert stale_since(one, known, NOON + timedelta(hours=12), timedelta(hours=12)) is None
    assert stale_since(one, known, NOON + timedelta(hours=13), timedelta(hours=12)) is not None


def test_what_was_paused_until_now_has_time_to_catch_up() -> None:
    one = channel(fresh_within="30m", quiet_after="30m")
    long_ago = (NOON - timedelta(days=9)).isoformat()
    known = settled(NOON, resumed_at=NOON.isoformat(), orders_until=long_ago)

    assert stale_since(one, {**known, "until": long_ago}, NOON + timedelta(minutes=29), NOTHING) is None
    assert quiet_since(one, known) is None


@pytest.mark.parametrize(("hours", "is_quiet"), [(6, False), (7, True)])
def test_quiet_are_windows_that_were_read_and_had_no_order(hours: int, is_quiet: bool) -> None:
    known = settled(NOON, orders_until=(NOON - timedelta(hours=hours)).isoformat())

    assert (quiet_since(channel(quiet_after="6h"), known) is not None) == is_quiet
    assert quiet_since(channel(), known) is None, "it is off by default"
