"""Medusa, the commerce server, as a sales channel (made against 2.21)."""

from order_integration.channels.medusa.connector import MedusaConnector

CONNECTOR = MedusaConnector

__all__ = ["CONNECTOR"]
