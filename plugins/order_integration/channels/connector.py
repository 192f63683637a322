"""One configured channel, opened: its connection, its settings, its commands."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from order_integration.channels.registry import ChannelConfig
from order_integration.channels.steps import ChannelCommand
from order_integration.errors import ConfigurationError
from order_integration.transport import Auth, FixedHeaders, HttpSession, Limits, checked_base_url

C = TypeVar("C", bound=ChannelCommand)


@dataclass(frozen=True)
class ChannelConnection:
    """The Airflow connection of a channel, without Airflow. `extra` is never sent anywhere by itself."""

    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


class ConnectorSettings(BaseModel):
    """A connector's own settings (`settings:` of its channel); subclass it to add some."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Connector:
    """One configured channel, opened. Use it as an async context manager: it keeps one HTTP session.

    A connector is a subclass with its `commands`, its `Settings` and, where the channel wants one, its `auth`.
    """

    Settings: ClassVar[type[ConnectorSettings]] = ConnectorSettings
    commands: ClassVar[tuple[type[ChannelCommand], ...]] = ()

    def __init__(self, channel: ChannelConfig, connection: ChannelConnection, *, share: int = 1) -> None:
        """`share`: how many tasks share the channel's request rate.

        Raises ConfigurationError for settings that the connector does not know, and for an address that is not one.
        """
        self.channel = channel
        self.connection = connection
        try:
            self.settings = self.Settings(**channel.settings)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ConfigurationError(f"channel {channel.name}, settings: {wrong}") from None
        limits = channel.limits
        self.http = HttpSession(
            checked_base_url(connection.base_url, f"connection {channel.connection}"),
            self.auth(),
            Limits(
                in_flight=limits.in_flight,
                requests_per_second=limits.requests_per_second / share,
                timeout=limits.timeout.total_seconds(),
            ),
        )

    def auth(self) -> Auth:
        """How the channel knows us; nothing by default."""
        return FixedHeaders()

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.__aexit__(*exc)

    def command(self, kind: type[C]) -> C:
        """This connector's command of a kind.

        Raises ConfigurationError where it has none.
        """
        for command in self.commands:
            if issubclass(command, kind):
                return command(self)
        if not inspect.isabstract(kind):
            return kind(self)
        raise ConfigurationError(
            f"channel {self.channel.name}: connector {self.channel.connector} has no {kind.__name__}"
        )
