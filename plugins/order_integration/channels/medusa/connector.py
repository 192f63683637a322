"""The connector: how Medusa knows us, and which commands there are."""

import base64

from order_integration.channels.commands import Connector
from order_integration.channels.medusa.cancels import MedusaGetCancelledOrders
from order_integration.channels.medusa.decisions import MedusaUpdateCancellationRequest
from order_integration.channels.medusa.feeds import MedusaCheckOrders
from order_integration.channels.medusa.item_updates import MedusaGetUpdatedOrderItems
from order_integration.channels.medusa.orders import MedusaGetOrders
from order_integration.channels.medusa.returns import MedusaGetCancellationRequests
from order_integration.channels.medusa.settings import MedusaSettings
from order_integration.channels.medusa.updates import MedusaSendUpdatedOrders
from order_integration.errors import ConfigurationError
from order_integration.transport import Auth, FixedHeaders

KEY_PREFIX = "sk_"  # of a secret API key; a publishable one begins with pk_ and opens nothing of ours


class MedusaConnector(Connector):
    """One Medusa server. The connection's password is a secret API key of it."""

    Settings = MedusaSettings
    commands = (
        MedusaGetOrders,
        MedusaSendUpdatedOrders,
        MedusaCheckOrders,
        MedusaGetCancelledOrders,
        MedusaGetUpdatedOrderItems,
        MedusaGetCancellationRequests,
        MedusaUpdateCancellationRequest,
    )

    def auth(self) -> Auth:
        """The key stands where a user name would, with an empty password.

        Raises ConfigurationError when the connection has no such key.
        """
        key = self.connection.password
        if not key.startswith(KEY_PREFIX):
            raise ConfigurationError(
                f"connection {self.channel.connection}: its password must be a secret API key of Medusa ({KEY_PREFIX}…)"
            )
        return FixedHeaders({"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"})
