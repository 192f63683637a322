"""The connector: how the marketplace knows us, and which commands there are."""

from order_integration.channels.commands import Connector, GetChannelConfSchema
from order_integration.channels.marketplace.cancellations import MarketplaceGetCancelledOrders
from order_integration.channels.marketplace.claims import MarketplaceGetCancellationRequests
from order_integration.channels.marketplace.decisions import MarketplaceUpdateCancellationRequest
from order_integration.channels.marketplace.feeds import MarketplaceCheckOrders
from order_integration.channels.marketplace.items import MarketplaceGetUpdatedOrderItems
from order_integration.channels.marketplace.orders import MarketplaceGetOrders
from order_integration.channels.marketplace.settings import MarketplaceSettings
from order_integration.channels.marketplace.shipments import MarketplaceSendUpdatedOrders
from order_integration.errors import ConfigurationError
from order_integration.transport import Auth, FixedHeaders


class MarketplaceConnector(Connector):
    """One seller's account. The connection's password is the API key."""

    Settings = MarketplaceSettings
    commands = (
        MarketplaceGetOrders,
        MarketplaceSendUpdatedOrders,
        MarketplaceCheckOrders,
        MarketplaceGetCancelledOrders,
        MarketplaceGetUpdatedOrderItems,
        MarketplaceGetCancellationRequests,
        MarketplaceUpdateCancellationRequest,
        GetChannelConfSchema,  # the base's own: a merchant can set nothing but what every channel has
    )

    def auth(self) -> Auth:
        """The key, in a header of its own.

        Raises ConfigurationError when the connection has none.
        """
        if not self.connection.password:
            raise ConfigurationError(
                f"connection {self.channel.connection}: its password must be the marketplace's API key"
            )
        return FixedHeaders({"X-Api-Key": self.connection.password})
