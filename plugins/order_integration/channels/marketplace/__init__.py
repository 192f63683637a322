"""A marketplace with an API key, cursors and feeds, as a sales channel; the sandbox's is one."""

from order_integration.channels.marketplace.connector import MarketplaceConnector

CONNECTOR = MarketplaceConnector

__all__ = ["CONNECTOR"]
