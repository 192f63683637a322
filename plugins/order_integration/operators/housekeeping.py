"""What is thrown away, and when."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowFailException

from order_integration.channels.registry import BrokenChannel, ChannelConfig, load_channels
from order_integration.errors import ConfigurationError
from order_integration.flows import INBOUND
from order_integration.operators.base import now, staging

if TYPE_CHECKING:
    from airflow.sdk import Context

KEPT = {
    "runs": timedelta(days=7),  # so that a run of last week can still be cleared from any of its tasks
    "said": timedelta(days=60),  # an order is delivered by then, or came back: nobody corrects it any more
    "made": timedelta(days=60),  # which record a request was made of: by then it is answered
    "reports": timedelta(days=60),  # whoever looks into a difference has done so by then
    "alarms": timedelta(days=60),  # told so long ago that telling it again is news
}


DRAFTS_KEPT = timedelta(days=1)  # of files: what is half written for so long was left by a kill


class PurgeStaging(BaseOperator):
    """Remove what runs staged more than a week ago, and what a channel said of items two months ago.

    Open batch requests stay; quarantine and parked records are `ExpireWaiting`'s.
    """

    def execute(self, context: "Context") -> int:  # noqa: ARG002
        """Returns the number of files removed."""
        removed = {folder: staging().purge(folder, now() - kept) for folder, kept in KEPT.items()}
        for folder, kept in KEPT.items():
            self.log.info("%d files of %s were older than %d days", removed[folder], folder, kept.days)
        return sum(removed.values()) + staging().purge_drafts(now() - DRAFTS_KEPT)


class ExpireWaiting(BaseOperator):
    """End what has been parked, or in quarantine unseen, for longer than its channel keeps it, and tell somebody.

    The record goes, key and reason stay for a year.
    """

    def execute(self, context: "Context") -> dict[str, Any]:  # noqa: ARG002
        """Returns how many were parked, how many in quarantine, how many keys were forgotten; and broken channels."""
        from order_integration.flows.expiring import forget, overdue  # noqa: PLC0415

        total = {"parked": 0, "quarantined": 0, "forgotten": 0}
        usable, broken = self._channels()
        for channel in usable:
            for flow in INBOUND:
                moment = now()
                found = overdue(staging(), flow, channel, moment)
                if sentence := found.sentence(channel):
                    # Told first: after a kill it is told and ended by the next try.
                    self._tell(channel.name, flow, f"{moment.date()} {found.digest[:8]}", sentence)
                    found.end(moment)
                total["parked"] += len(found.parked)
                total["quarantined"] += len(found.quarantined)
                total["forgotten"] += forget(staging(), flow, channel.name, moment)
        self.log.info("%s", total)
        return {**total, "left_alone": broken}

    def _tell(self, channel: str, flow: str, window: str, sentence: str) -> None:
        from order_integration.operators.alarms import Alarm, AlarmKind, tell  # noqa: PLC0415

        tell(Alarm(flow, channel, AlarmKind.EXPIRED, window, sentence))

    def _channels(self) -> tuple[list[ChannelConfig], list[str]]:
        """All of the file, and those that only staging knows any more, with the default ages; and the broken ones."""
        from order_integration.flows.replaying import known_channels  # noqa: PLC0415

        try:
            known = load_channels()
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        usable = [channel for channel in known.values() if isinstance(channel, ChannelConfig)]
        broken = [channel for channel in known.values() if isinstance(channel, BrokenChannel)]
        for one in broken:
            self.log.warning("what waits of %s is left alone: %s", one.name, one.sentence)
        names = [one.name for one in broken]
        left = set(known_channels(staging())) - known.keys() - set(names)
        return [*usable, *(_nobody_s(name) for name in sorted(left))], names


def _nobody_s(name: str) -> ChannelConfig:
    """Of a channel that was taken out of the file nothing but its ages is needed."""
    never = datetime(2000, 1, 1, tzinfo=UTC)
    return ChannelConfig(
        name=name, connector="none", connection="none", omnitron_channel_id=1, catalog_id=1, active_from=never
    )
