"""A marketplace of nobody's: its HTTP API, its database, and the orders that people place there."""
