"""Omnitron, from an Airflow connection."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from airflow.sdk import BaseHook

from order_integration.channels.registry import ChannelConfig
from order_integration.errors import ConfigurationError
from order_integration.hooks.connections import base_url, connection
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.shared_token import SharedToken
from order_integration.transport import HttpSession, Limits, checked_base_url

API = "api/v1/"
STATE_VARIABLE = "ORDER_INTEGRATION_STATE"


def state_folder() -> Path:
    """Where this machine keeps what its task processes share (the token); never in staging, which may be remote."""
    home = os.environ.get("AIRFLOW_HOME", "~/airflow")
    return Path(os.environ.get(STATE_VARIABLE, f"{home}/order_integration")).expanduser()


class OmnitronHook(BaseHook):
    """One channel's view of the Omnitron behind an `http` connection (host, login, password)."""

    conn_name_attr = "omnitron_conn_id"
    default_conn_name = "omnitron"
    conn_type = "http"
    hook_name = "Omnitron"

    def __init__(self, omnitron_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.omnitron_conn_id = omnitron_conn_id

    @asynccontextmanager
    async def channel(self, channel: ChannelConfig, *, share: int = 1) -> AsyncIterator[Omnitron]:
        """Omnitron as `channel` sees it; `share`: how many tasks share the request rate.

        Raises ConfigurationError for a connection that is missing, incomplete, or not encrypted.
        """
        found = connection(self.omnitron_conn_id)
        if not found.login or not found.password:
            raise ConfigurationError(f"connection {self.omnitron_conn_id!r} has no login or no password")
        address = checked_base_url(base_url(found), f"connection {self.omnitron_conn_id}") + API
        limits = Limits(
            in_flight=channel.limits.in_flight,
            requests_per_second=channel.limits.omnitron_requests_per_second / share,
            timeout=channel.limits.timeout.total_seconds(),
        )
        token = SharedToken(address, found.login, found.password, state_folder())
        async with HttpSession(address, token, limits) as http:
            yield Omnitron(http, channel.omnitron_channel_id)
