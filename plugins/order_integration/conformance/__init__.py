"""The conformance suite: `python -m order_integration.conformance module:Bench` (docs/channels.md)."""
