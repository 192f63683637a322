"""What Medusa says when it refuses something, in one sentence for people."""

from collections.abc import Mapping

from order_integration.errors import IntegrationError, RefusedError

LONGEST = 250


def said(error: IntegrationError) -> str:
    """Medusa's own sentence, which tells ids and quantities and nothing of people; or what became of the call."""
    if not isinstance(error, RefusedError):  # among them 500, its answer to many a mistake that lasts
        return error.sentence
    message = error.body.get("message") if isinstance(error.body, Mapping) else None
    return str(message or f"Medusa answered {error.status}")[:LONGEST]
