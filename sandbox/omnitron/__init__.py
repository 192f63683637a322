"""A stand-in for Akinon's Omnitron: the endpoints that the order flows call, over SQLite."""

from sandbox.omnitron.app import create_app

__all__ = ["create_app"]
