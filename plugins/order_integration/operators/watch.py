"""What no task can tell by failing: that nothing was settled for too long, that no order came, that nobody can be told.

It looks at notes in staging alone, and asks Airflow only whether a DAG is paused.
"""

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowRuntimeError

from order_integration.channels.registry import BrokenChannel, ChannelConfig, load_channels
from order_integration.errors import ConfigurationError
from order_integration.flows import FETCH_ORDERS
from order_integration.operators.alarms import (
    Alarm,
    AlarmKind,
    again_after,
    notifier_of,
    tell_again,
    tell_now_and_again,
)
from order_integration.operators.base import RedRun, now, staging
from order_integration.operators.flow_dag import dag_id
from order_integration.staging import AlarmBook, Fresh, OpenBatches, key_digest

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

FLOW = "watch_channels"
SENDS_FEEDS = "update_orders"
RESUMED_AT = "resumed_at"  # in what is known of a flow: until then it was paused, or nobody watched it
LASTING = (AlarmKind.STALE, AlarmKind.QUIET)

Row = dict[str, Any]


class WatchChannels(BaseOperator):
    """Look at every channel; an alarm each for what is wrong, red only where the channel file is."""

    def execute(self, context: "Context") -> dict[str, int]:
        """Returns counts."""
        counts: Counter[str] = Counter()
        wrong: list[str] = []
        failed: list[Exception] = []
        for channel in load_channels().values():
            for sentence in wrong_settings(channel):
                wrong.append(sentence)
                # The sentence is the window: another mistake is another alarm.
                alarm = Alarm(FLOW, channel.name, AlarmKind.CONFIGURATION, key_digest(sentence), sentence)
                tell_now_and_again(alarm, again_after(channel.name))
            try:
                if isinstance(channel, ChannelConfig):
                    counts.update(Watch(channel, context["ti"]).look())
                for flow in staging().names(f"alarms/{channel.name}"):
                    tell_again(AlarmBook(staging(), channel.name, flow))
            except Exception as error:  # noqa: BLE001 - all other channels are looked at all the same
                self.log.error("%s can't be looked at: %s", channel.name, type(error).__name__)  # noqa: TRY400
                failed.append(error)
        self.log.info("%s", dict(counts))
        if failed:
            raise ExceptionGroup("; ".join([*wrong, f"{len(failed)} channels can't be looked at"]), failed)
        if wrong:
            raise RedRun("; ".join(wrong))
        return dict(counts)


def wrong_settings(channel: ChannelConfig | BrokenChannel) -> Iterator[str]:
    """Why the channel is not run, or somebody can't be told."""
    if isinstance(channel, BrokenChannel):
        yield channel.sentence
    for config in channel.alarms:
        try:
            notifier_of(config)
        except ConfigurationError as error:
            yield f"channel {channel.name}: {error}"


class Watch:
    """One channel."""

    def __init__(self, channel: ChannelConfig, ti: Any) -> None:
        self.channel = channel
        self.ti = ti

    def look(self) -> Iterator[str]:
        """What each of its flows is found to be."""
        from order_integration.flows.freshness import WATCHED  # noqa: PLC0415

        for flow in WATCHED:
            watched = Fresh(staging(), self.channel.name, flow).watched
            before = watched.get()
            found, after = self._flow(flow, before)
            if after != before:
                watched.put(after)
            for kind in LASTING:
                if kind in before and kind not in after:
                    log.info("over: %s of %s was %s since %s", flow, self.channel.name, kind, before[kind])
            yield found

    def _flow(self, flow: str, before: Row) -> tuple[str, Row]:
        """What it is, and what to know of it the next time."""
        from order_integration.flows.freshness import quiet_since, stale_since  # noqa: PLC0415

        if self._is_paused(flow):
            return "paused", {RESUMED_AT: now().isoformat()}
        after = {RESUMED_AT: before.get(RESUMED_AT) or max(now(), self.channel.active_from).isoformat()}
        known = {**Fresh(staging(), self.channel.name, flow).get(), **after}
        if since := stale_since(self.channel, known, now(), self._patience(flow)):
            sentence = f"nothing was settled since {_said(since)}: are its runs red, waiting, or not started?"
            return AlarmKind.STALE, after | self._tell(flow, AlarmKind.STALE, before, since, sentence)
        # No cancel and no return for hours is how it should be.
        if flow == FETCH_ORDERS and (since := quiet_since(self.channel, known)):
            sentence = f"no order since {_said(since)}, in all windows until {_said(known['until'])}"
            return AlarmKind.QUIET, after | self._tell(flow, AlarmKind.QUIET, before, since, sentence)
        return "fine", after

    def _tell(self, flow: str, kind: AlarmKind, before: Row, since: str, sentence: str) -> Row:
        began = str(before.get(kind) or since)  # a flow that catches up is stale since ever later moments
        tell_now_and_again(Alarm(flow, self.channel.name, kind, began, sentence), self.channel.alarm_again_after)
        return {kind.value: began}

    def _is_paused(self, flow: str) -> bool:
        """On purpose, then: nothing is expected of it. One that Airflow does not know (any more) neither."""
        try:
            return bool(self.ti.get_dag(dag_id(flow, self.channel.name)).is_paused)
        except AirflowRuntimeError as error:
            if (error.error.detail or {}).get("status_code") == HTTPStatus.NOT_FOUND:
                return True
            raise

    def _patience(self, flow: str) -> timedelta:
        """A channel that works on a feed may take its time; some flows can't go on meanwhile."""
        has_to_wait = flow == SENDS_FEEDS or not self.channel.link_beside_open_jobs
        is_open = has_to_wait and OpenBatches(staging(), self.channel.name, SENDS_FEEDS).all()
        return self.channel.feed_deadline if is_open else timedelta(0)


def _said(moment: str) -> str:
    return datetime.fromisoformat(moment).isoformat(sep=" ", timespec="minutes")
