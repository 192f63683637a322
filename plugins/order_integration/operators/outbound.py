"""The four steps of the flows from Omnitron to a channel. The flow is imported when a step runs, by its name.

A flow's module has `CONTENT_TYPE`, `fetch`, `transform` and `send`; settling is the same for all of them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from order_integration.channels.registry import ChannelConfig
from order_integration.operators.base import FlowOperator, RedRun, is_last_try, now, run_key, staging
from order_integration.operators.fresh import note_settled
from order_integration.operators.lock_wait import WaitsForLock
from order_integration.operators.metrics import count_records
from order_integration.staging import Folder, OpenBatches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from order_integration.flows.outbound import Sending

IS_SYNC = "is_sync"  # a param of DAGs whose channel may answer later


class OutboundOperator(FlowOperator):
    """One step of an outbound flow."""

    @property
    def steps(self) -> Any:
        """The flow's own functions."""
        return import_module(f"order_integration.flows.{self.flow}")

    def sending(self, context: "Context", channel: ChannelConfig, omnitron: Any, ready: str = "") -> "Sending":
        """What this attempt works with, and who it is."""
        from order_integration.flows.outbound import Sending  # noqa: PLC0415

        ti = context["ti"]
        owner = {
            "dag": ti.dag_id,
            "run": run_key(context),
            "task": ti.task_id,
            "map_index": ti.map_index,
            "try": ti.try_number,
            "ready": ready,
        }
        batches = OpenBatches(staging(), channel.name, self.flow)
        content_type = self.steps.CONTENT_TYPE
        return Sending(omnitron, self.flow, channel, content_type, batches, self.folder(context), owner, now())


class Fetch(OutboundOperator):
    """Stage all that is due in Omnitron."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the folder and counts."""
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        folder = self.folder(context)
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            counts = await self.steps.fetch(omnitron, connector, folder)
        self.log.info("%s", counts)
        return {**counts, "folder": folder.path}


class Transform(OutboundOperator):
    """What is due becomes DTOs; what can't be one is set apart."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the folder and counts."""
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        fetched = Folder(staging(), context["ti"].xcom_pull(task_ids="fetch")["folder"])
        folder = self.folder(context)
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            counts = await self.steps.transform(omnitron, connector, fetched, folder)
        self.log.info("%s", counts)
        return {**counts, "folder": folder.path, "fetched": fetched.path}


class Send(OutboundOperator, WaitsForLock):
    """Hand over to the channel, in one batch request that ends whatever happens."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the folder, and the job to wait for, if the channel only accepted it."""
        from order_integration.flows.outbound import How  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        ready = Folder(staging(), context["ti"].xcom_pull(task_ids="transform")["folder"])
        how = How(bool(context["params"].get(IS_SYNC, channel.is_sync)), is_last_try(context))
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            sending = self.sending(context, channel, omnitron, ready.path)
            said = await self.steps.send(sending, connector, ready, how)
        return {"folder": sending.folder.path, **said, "ready": ready.path}


class Settle(OutboundOperator):
    """Report, count; decides alone whether the run is green."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the run's table."""
        from order_integration.flows import outbound_settling as settling  # noqa: PLC0415
        from order_integration.flows.outbound import kept  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        ti = context["ti"]
        ready, sent = ti.xcom_pull(task_ids="transform"), ti.xcom_pull(task_ids="send")
        # After a Clear from fetch, what send said before is there until it has run again.
        if not ready or not sent or sent["ready"] != ready["folder"]:
            raise RedRun("nothing to settle: fetch, transform or send failed, see their logs")
        checked = ti.xcom_pull(task_ids="check_orders") if "check_orders" in self.upstream_task_ids else None
        said = {one.pk: one for one in kept(Folder(staging(), sent["folder"]))}
        if checked and checked.get("folder") and checked["batch_pk"] == sent.get("batch_pk"):
            said |= {one.pk: one for one in kept(Folder(staging(), checked["folder"]))}
        sents = list(said.values())
        async with OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron:
            table = await settling.settle(self.sending(context, channel, omnitron), sents)
        self.log.info("%s of %s\n%s", self.flow, channel.name, settling.as_table(table))
        count_records(self.flow, channel.name, table)
        if sentence := settling.verdict(sents, channel.limits, (checked or {}).get("trouble", "")):
            ti.xcom_push(key="return_value", value=table)
            technical = any(sent.technical for sent in sents)
            raise RedRun(settling.without_people(sentence), technical=technical)
        note_settled(self.flow, channel.name)
        return table
