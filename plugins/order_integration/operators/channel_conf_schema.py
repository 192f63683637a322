"""The two steps of `update_channel_conf_schema`. The flow itself is imported when a step runs."""

from typing import TYPE_CHECKING, Any

from order_integration.channels.registry import ChannelConfig
from order_integration.operators.base import FlowOperator, staging
from order_integration.staging import Folder

if TYPE_CHECKING:
    from airflow.sdk import Context


class FetchConfSchema(FlowOperator):
    """Stage what can be set for the channel: what every channel has, and what its connector adds."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the folder and counts."""
        from order_integration.flows import update_channel_conf_schema as flow  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415

        folder = self.folder(context)
        async with ChannelHook(channel).get_conn() as connector:
            return {**await flow.fetch(connector, folder), "folder": folder.path}


class PublishConfSchema(FlowOperator):
    """Merge it into the channel's schema in Omnitron; then check what is set there."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns counts."""
        from order_integration.flows import update_channel_conf_schema as flow  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        staged = Folder(staging(), context["ti"].xcom_pull(task_ids="fetch")["folder"])
        async with OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron:
            table = await flow.push(omnitron, staged.read(flow.ENTRIES))
        self.log.info("%s of %s: %s", self.flow, channel.name, table)
        return table
