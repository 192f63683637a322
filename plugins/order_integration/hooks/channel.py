"""A configured channel's connector, from an Airflow connection."""

import asyncio

from airflow.sdk import BaseHook, Connection

from order_integration.channels.commands import ChannelConnection, Connector
from order_integration.channels.registry import ChannelConfig, connector_class
from order_integration.hooks.connections import base_url, connection, connection_of_trigger


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
        return self._connector(connection(self.channel.connection), share)

    async def get_conn_of_trigger(self) -> Connector:
        """The same where nothing may block."""
        found = await connection_of_trigger(self.channel.connection)
        return await asyncio.to_thread(self._connector, found)  # it may import a package

    def _connector(self, found: Connection, share: int = 1) -> Connector:
        known = ChannelConnection(
            base_url(found), found.login or "", found.password or "", found.extra_dejson if found.extra else {}
        )
        return connector_class(self.channel)(self.channel, known, share=share)
