"""Settle notes how far a flow has come, for whoever watches it."""

from datetime import datetime

from order_integration.operators.base import now, staging
from order_integration.staging import Fresh


def note_settled(
    flow: str, channel: str, until: datetime | None = None, rows: int | None = None, *, is_green: bool = True
) -> None:
    """A run settled; `until` and `rows`: its window's end, and what it read in it.

    A run of a flow with windows that read none (`rows` without `until`) says nothing of how fresh the flow is.
    """
    from order_integration.flows.freshness import after_settled  # noqa: PLC0415

    if until is None and rows is not None:
        return
    note = Fresh(staging(), channel, flow)
    note.put(after_settled(note.get(), now(), until, rows or 0, is_green=is_green))
