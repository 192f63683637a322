"""Waits until a channel has decided on some feeds. It only says that it has; whoever is woken reads the results.

Many of these run in one process, and any of them may be started again at any time, elsewhere: all it knows is when its
time is up, as an absolute moment.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from order_integration.channels.registry import ChannelConfig, configured
from order_integration.errors import ConfigurationError

if TYPE_CHECKING:
    from order_integration.channels.commands import Connector

JITTER = 0.2  # of the pause: jobs that were accepted together are not asked for together for ever


class Wake(StrEnum):
    """Why the task is woken."""

    DECIDED = "decided"
    TIMEOUT = "timeout"
    FAILED = "failed"  # a setting is wrong: asking again changes nothing


class FeedsTrigger(BaseTrigger):
    """`deadline` is in seconds since 1970, `poll` in seconds."""

    def __init__(self, channel: str, feed_ids: Sequence[str], deadline: float, poll: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.channel = channel
        self.feed_ids = list(feed_ids)
        self.deadline = float(deadline)
        self.poll = float(poll)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As Airflow keeps it."""
        own = {"channel": self.channel, "feed_ids": self.feed_ids, "deadline": self.deadline, "poll": self.poll}
        return f"{FeedsTrigger.__module__}.{FeedsTrigger.__qualname__}", own

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """One event, at the deadline at the latest."""
        try:
            channel = await asyncio.to_thread(configured, self.channel)
            async with asyncio.timeout(self._left()), await self._connector(channel) as connector:
                await self._until_decided(connector)
            wake = Wake.DECIDED
        except TimeoutError:
            wake = Wake.TIMEOUT
        except ConfigurationError as error:
            self.log.error("%s", error)  # noqa: TRY400 - it tells all
            wake = Wake.FAILED
        yield TriggerEvent({"status": wake.value})  # type: ignore[no-untyped-call]

    async def _connector(self, channel: ChannelConfig) -> "Connector":
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415

        while True:
            try:
                return await ChannelHook(channel).get_conn_of_trigger()
            except ConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001 - Airflow itself may not answer for a moment
                self._not_now(error)
                await self._pause()

    async def _until_decided(self, connector: "Connector") -> None:
        from order_integration.flows.check_orders import verdicts_on  # noqa: PLC0415

        while True:
            await self._pause()
            try:
                verdicts = await verdicts_on(connector, self.feed_ids)
            except ConfigurationError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever a connector raises: the next answer may be better
                self._not_now(error)
            else:
                if all(verdict.is_decided for verdict in verdicts.values()):
                    return

    async def _pause(self) -> None:
        await asyncio.sleep(self.poll * random.uniform(1 - JITTER, 1 + JITTER))  # noqa: S311 - no secret

    def _not_now(self, error: Exception) -> None:
        # An error here would cost the task a try. Only its kind is said: its text may hold a person's data.
        self.log.warning("channel %s gave no verdict: %s", self.channel, type(error).__name__)

    def _left(self) -> float:
        return max(self.deadline - time.time(), 0.0)
