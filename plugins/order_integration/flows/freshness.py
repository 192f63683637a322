"""How far a flow is settled, and whether that is too old, or too quiet."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter

from order_integration.channels.registry import ChannelConfig
from order_integration.flows import INBOUND

WATCHED = (
    *INBOUND,
    "update_orders",
    "check_orders",
    "update_cancellation_requests",
)
MISSING = 3  # windows, where no time is set: one late run, or one that waits for its retries, is no alarm
PATIENCE = timedelta(minutes=10)  # for a run to start, work and settle

Row = dict[str, Any]


def after_settled(
    known: Mapping[str, Any], at: datetime, until: datetime | None = None, rows: int = 0, *, is_green: bool = True
) -> Row:
    """The note of a flow after a run that settled. `until`: its window's end; `rows`: what it read in it.

    A red one has settled its window, too: one record that fails for ever makes nothing old. It never goes back: a
    backfill settles old windows.
    """
    row = {**known, "green_at": _later(known.get("green_at"), at)} if is_green else dict(known)
    if until is not None:
        until = min(until, at)  # a window by hand may end in the future
        row["until"] = _later(known.get("until"), until)
        if rows or "orders_until" not in known:
            row["orders_until"] = _later(known.get("orders_until"), until)
    return row


def stale_since(channel: ChannelConfig, known: Mapping[str, Any], now: datetime, patience: timedelta) -> str | None:
    """How far a flow is settled, where that is too old; one without windows is as fresh as its last green run.

    `known` may have `resumed_at`: until then it was paused, or nobody watched. `patience` comes on top.
    """
    has_windows = "until" in known
    found = (known.get("until" if has_windows else "green_at"), known.get("resumed_at"))
    moments = [datetime.fromisoformat(text) for text in found if text]
    if channel.fresh_within == timedelta(0) or not moments:
        return None
    reached = max(moments)
    return reached.isoformat() if reached < _deadline(channel, now - patience, has_windows=has_windows) else None


def _deadline(channel: ChannelConfig, now: datetime, *, has_windows: bool) -> datetime:
    if channel.fresh_within is not None:
        return now - channel.fresh_within
    zone = ZoneInfo(channel.timezone)
    ticks = croniter(channel.schedule, (now - PATIENCE).astimezone(zone))
    moment = now
    for _ in range(MISSING):
        moment = ticks.get_prev(datetime)
    return moment - channel.lag if has_windows else moment


def quiet_since(channel: ChannelConfig, known: Mapping[str, Any]) -> str | None:
    """The end of the last window that had an order, where all that were settled since had none for too long."""
    if not channel.quiet_after or "orders_until" not in known:
        return None
    since = max(datetime.fromisoformat(known[name]) for name in ("orders_until", "resumed_at") if name in known)
    return since.isoformat() if datetime.fromisoformat(known["until"]) - since > channel.quiet_after else None


def _later(known: str | None, moment: datetime) -> str:
    return max(datetime.fromisoformat(known), moment).isoformat() if known else moment.isoformat()
