"""Which window a run reads: no hole whatever the delays, and no manual run in a slot of the schedule."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_integration.errors import ConfigurationError
from order_integration.flows.windows import by_hand, refuse_occupied_slot, scheduled
from tests.flows.steps import config

START = datetime(2026, 3, 28, 22, tzinfo=UTC)
SECONDS = st.integers(0, 6 * 3600).map(lambda seconds: timedelta(seconds=seconds))
LENGTHS = st.lists(st.integers(60, 6 * 3600).map(lambda seconds: timedelta(seconds=seconds)), min_size=2, max_size=8)


def whole(moment: timedelta) -> str:
    return f"{int(moment.total_seconds())}s"


@given(lengths=LENGTHS, delays=st.lists(SECONDS, min_size=8, max_size=8), lag=SECONDS, more=SECONDS)
def test_windows_one_after_the_other_leave_no_hole_whatever_the_delays(
    lengths: list[timedelta], delays: list[timedelta], lag: timedelta, more: timedelta
) -> None:
    channel = config(lag=whole(lag), overlap=whole(lag + more))
    ends = [START + sum(lengths[: number + 1], timedelta()) for number in range(len(lengths))]
    starts = [START, *ends[:-1]]

    windows = [
        scheduled(channel, start, end, end + delay).window
        for start, end, delay in zip(starts, ends, delays, strict=False)
    ]

    assert windows[0].start == START - lag - more
    for before, after in pairwise(windows):
        assert after.start <= before.end
    # The last one reads to its end, or to what the channel surely shows by now.
    assert windows[-1].end >= min(ends[-1], ends[-1] + delays[len(ends) - 1] - lag)


@given(lag=SECONDS, more=SECONDS, shown_after=SECONDS, placed=SECONDS, delay=SECONDS)
def test_a_record_that_is_shown_within_the_lag_is_read(
    lag: timedelta, more: timedelta, shown_after: timedelta, placed: timedelta, delay: timedelta
) -> None:
    """By the window of its time, or by the next: each reads what the channel shows at that moment."""
    channel = config(lag=whole(lag), overlap=whole(lag + more))
    shown_after = min(shown_after, lag)
    length = timedelta(hours=6)
    moment = START + placed
    read = False
    for start in (START, START + length):
        now = start + length + delay
        window = scheduled(channel, start, start + length, now).window
        read |= window.start <= moment < window.end and moment + shown_after <= now

    assert read or moment >= START + length


def test_a_window_that_is_over_is_read_to_its_end() -> None:
    end = START + timedelta(hours=1)
    reading = scheduled(config(overlap="10m", lag="2m"), START, end, end + timedelta(days=3))

    assert (reading.window.start, reading.window.end) == (START - timedelta(minutes=10), end)
    assert reading.fresh_from == START


def test_what_the_channel_may_not_show_yet_is_left_to_the_next_window() -> None:
    end = START + timedelta(hours=1)
    channel = config(overlap="10m", lag="2m")

    first = scheduled(channel, START, end, end)
    second = scheduled(channel, end, end + timedelta(hours=1), end + timedelta(hours=1))

    assert first.window.end == end - timedelta(minutes=2)
    assert second.window.start == end - timedelta(minutes=10)
    assert second.fresh_from == end


def test_a_window_is_never_backwards() -> None:
    window = scheduled(config(), START, START + timedelta(hours=1), START - timedelta(days=1)).window

    assert window.start == window.end


# By hand -------------------------------------------------------------------------------------------------------------


def test_a_manual_window_is_read_as_it_was_typed() -> None:
    reading = by_hand("2026-01-31T14:00:00+03:00", "2026-01-31T12:00:00Z")

    assert reading.window.start == datetime(2026, 1, 31, 11, tzinfo=UTC)
    assert reading.window.end == datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert reading.fresh_from == reading.window.start


LATER = "2030-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("start", "end", "said"),
    [
        (None, None, "both params, window_start and window_end"),
        ("", LATER, "both params"),
        (LATER, None, "both params"),
        ("yesterday", LATER, "window_start is not a date and time: write it like"),
        ("2026-01-31T14:00:00Z", "31.01.2026", "window_end is not a date and time"),
        ("2026-02-30T14:00:00Z", LATER, "window_start is not a date and time"),
        ("2026-01-31T14:00:00", LATER, "window_start has no zone"),
        ("2026-01-31", LATER, "window_start has no zone"),
        ("2026-01-31T14:00:00Z", "2026-02-01T14:00:00", "window_end has no zone"),
        (LATER, LATER, "window_end is not after window_start"),
        ("2026-01-31T14:00:00+03:00", "2026-01-31T11:00:00Z", "window_end is not after window_start"),
        ("2026-01-31T14:00:00Z", "2026-01-31T14:00:00+03:00", "window_end is not after window_start"),
    ],
)
def test_a_manual_window_that_makes_no_sense_says_which_param_is_wrong(
    start: str | None, end: str | None, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        by_hand(start, end)


@pytest.mark.parametrize(
    ("timezone", "moment"),
    [
        ("UTC", datetime(2026, 1, 5, 3, tzinfo=UTC)),
        ("Europe/Istanbul", datetime(2026, 1, 5, 0, tzinfo=UTC)),
        ("Europe/Istanbul", datetime(2026, 7, 5, 0, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 1, 5, 2, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 7, 5, 1, tzinfo=UTC)),
        ("Europe/Berlin", datetime(2026, 3, 29, 1, tzinfo=UTC)),  # the clock goes from two to three
        ("Europe/Berlin", datetime(2026, 10, 25, 2, tzinfo=UTC)),  # it was three to two an hour ago
        ("Europe/Istanbul", datetime(2026, 1, 5, 3, tzinfo=ZoneInfo("Europe/Istanbul"))),
    ],
)
def test_a_manual_run_in_a_slot_of_the_schedule_is_refused(timezone: str, moment: datetime) -> None:
    channel = config(schedule="0 3 * * *", timezone=timezone)

    with pytest.raises(ConfigurationError, match=r"delete this run: .* is a slot of the schedule"):
        refuse_occupied_slot(channel, moment)
    for aside in (timedelta(microseconds=1), timedelta(seconds=30), timedelta(minutes=1), timedelta(hours=1)):
        refuse_occupied_slot(channel, moment + aside)


def test_a_manual_run_without_a_logical_date_is_in_nobody_s_way() -> None:
    refuse_occupied_slot(config(schedule="* * * * *"), None)


def test_every_quarter_of_an_hour_is_a_slot_of_the_usual_schedule() -> None:
    slots = [START + timedelta(minutes=minute) for minute in range(120)]

    refused = []
    for slot in slots:
        try:
            refuse_occupied_slot(config(), slot)
        except ConfigurationError:
            refused.append(slot.minute)
    assert refused == [0, 15, 30, 45] * 2
