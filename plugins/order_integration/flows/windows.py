"""Which window a run reads. One helper for all inbound flows, so that no two of them disagree."""

from dataclasses import dataclass
from datetime import UTC, datetime

from order_integration.channels.commands import Window
from order_integration.channels.registry import ChannelConfig
from order_integration.errors import ConfigurationError


@dataclass(frozen=True)
class Reading:
    """What is read, and since when it is news: before `fresh_from` is the overlap with the window before.

    Without a window no more is read than what waits.
    """

    window: Window | None
    fresh_from: datetime


WAITING_ONLY = Reading(None, datetime.min.replace(tzinfo=UTC))


def scheduled(channel: ChannelConfig, start: datetime, end: datetime, now: datetime) -> Reading:
    """`[start - overlap, min(end, now - lag))` of a data interval, for scheduled and backfill runs.

    A channel shows a record some time after its own time stamp (lag). What the end leaves out is read by the next
    window, because overlap is never shorter than lag.

    When the clocks go forward, Airflow's intervals of a schedule for some hours only (`*/15 1-4 * * *`) leave out part
    of the hour that follows. The next window begins as much earlier.
    """
    end = min(end, now - channel.lag)
    begin = start - channel.overlap - channel.clock_jump(start)
    return Reading(Window(begin, max(end, begin)), fresh_from=start)


def by_hand(start: str | None, end: str | None, *, waiting_only: bool = False) -> Reading:
    """The window that somebody typed for a manual run, and nothing is added to it; or what waits, and no window.

    Raises ConfigurationError, because Airflow itself accepts any text as a date-time.
    """
    if waiting_only:
        if start or end:
            raise ConfigurationError("waiting_only reads no window: leave window_start and window_end empty")
        return WAITING_ONLY
    if not start or not end:
        raise ConfigurationError(
            "a manual run needs both params, window_start and window_end, with a zone; or waiting_only"
        )
    window = Window(_moment("window_start", start), _moment("window_end", end))
    if window.end <= window.start:
        raise ConfigurationError("window_end is not after window_start")
    return Reading(window, fresh_from=window.start)


def _moment(name: str, text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigurationError(f"{name} is not a date and time: write it like 2026-01-31T14:00:00+03:00") from None
    if moment.tzinfo is None:
        raise ConfigurationError(f"{name} has no zone: write it like 2026-01-31T14:00:00+03:00")
    return moment


def refuse_waiting_only(waiting_only: bool) -> None:
    """A scheduled or backfill run stands for its window: without it, nobody would ever read that.

    Raises ConfigurationError.
    """
    if waiting_only:
        raise ConfigurationError("waiting_only is for manual runs: this one has to read its window; delete and redo it")


def refuse_occupied_slot(channel: ChannelConfig, logical_date: datetime | None) -> None:
    """A manual run on a schedule's slot would hide that slot's own window for ever; refuse before doing anything.

    Raises ConfigurationError.
    """
    if logical_date is not None and channel.on_schedule(logical_date):
        raise ConfigurationError(
            f"delete this run: its logical date {logical_date.isoformat()} is a slot of the schedule, whose own window "
            "would never be read. Trigger again without a logical date"
        )
