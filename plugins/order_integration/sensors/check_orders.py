"""The second half of an asynchronous `update_orders`: waits for the job that `send` handed over."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowException

from order_integration.channels.registry import ChannelConfig, configured
from order_integration.operators.base import now, staging
from order_integration.operators.outbound import OutboundOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

GRACE = timedelta(minutes=30)  # Airflow's own time-out costs all tries: the trigger's deadline comes first, even late


class CheckOrders(OutboundOperator, BaseSensorOperator):
    """One for all feeds of a run. It asks in the worker, then waits in the triggerer, where it takes no slot.

    The trigger says that all is decided, or that time is up; the results are read here, and end the batch request.
    """

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any] | None:
        """Returns the folder of the outcomes; None: the channel still works on it."""
        from order_integration.flows.check_orders import check  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        job = _job(context)
        if not job.get("batch_pk"):
            return {}
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            sending = self.sending(context, channel, omnitron)
            checked = await check(sending, connector, job["batch_pk"], deadline_of(job, channel))
            if checked is None:
                return None
            sending.keep(checked.sents)
        return {
            "folder": sending.folder.path,
            "batch_pk": checked.pk,
            "status": checked.status.value,
            "trouble": checked.trouble[:500],
        }

    def execute(self, context: "Context") -> Any:
        """Ask, and wait where the channel has not decided yet."""
        said = super().execute(context)
        if said is None:
            self._wait(context)
        return said

    def resume(self, context: "Context", event: dict[str, Any] | None = None) -> Any:
        """Called by Airflow when the trigger fired, or was lost."""
        from order_integration.triggers.feeds import Wake  # noqa: PLC0415

        self.log.info("woken: %s", event)
        said = super().execute(context)
        if said is None and event and event.get("status") == Wake.FAILED:
            raise AirflowException(
                "the triggerer can't ask the channel; its log says why, and is it set up as workers?"
            )
        if said is None:
            self._wait(context)
        return said

    def _wait(self, context: "Context") -> None:
        from order_integration.flows.submissions import Notes  # noqa: PLC0415
        from order_integration.triggers.feeds import FeedsTrigger  # noqa: PLC0415

        job, channel = _job(context), configured(self.channel)
        deadline = deadline_of(job, channel)
        notes = Notes.of(staging(), channel.name, self.flow).of_batch(job["batch_pk"])
        noted = (feed_id for note in notes for feed_id in note.feed_ids)  # XCom has as many as Omnitron holds
        feed_ids = list(dict.fromkeys([*job["feed_ids"], *noted]))
        self.defer(
            trigger=FeedsTrigger(channel.name, feed_ids, deadline.timestamp(), channel.feed_poll.total_seconds()),
            method_name="resume",
            timeout=max(deadline - now(), timedelta(0)) + GRACE,
        )


def deadline_of(job: dict[str, Any], channel: ChannelConfig) -> datetime:
    """Counted from when the channel accepted the job, however often the waiting begins anew."""
    return datetime.fromisoformat(job["accepted_at"]) + channel.feed_deadline


def _job(context: "Context") -> dict[str, Any]:
    return dict(context["ti"].xcom_pull(task_ids="send") or {})
