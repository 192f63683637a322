"""A configured channel's connector, from an Airflow connection."""

from airflow.sdk import BaseHook

from order_integration.channels.commands import ChannelConnection, Connector
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.hooks.connections import base_url, connection


class ChannelHook(BaseHook):
    """The connector of a channel, ready to be opened with `async with`."""

    conn_type = "http"
    hook_name = "Sales channel"

    def __init__(self, channel: ChannelConfig) -> None:
        super().__init__()
        self.channel = channel

    def get_conn(self, *, share: int = 1) -> Connector:
        """The connector; `share`: how many tasks share the channel's request rate.

        Raises ConfigurationError for a missing connection, connector or setting.
        """
        found = connection(self.channel.connection)
        known = ChannelConnection(
            base_url(found), found.login or "", found.password or "", found.extra_dejson if found.extra else {}
        )
        return connector_class(self.channel)(self.channel, known, share=share)
