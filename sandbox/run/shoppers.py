"""What shoppers and couriers do at a channel, whichever it is."""

from collections.abc import Mapping
from typing import Protocol


class Shop(Protocol):
    """A channel from the other side. Orders and lines have the channel's ids, units are counted."""

    invoices: bool  # whether the channel writes invoices by itself
    cancels_on_request: bool  # whether shoppers can ask for a cancel
    refuses: bool  # whether it can be told to refuse an order, once
    takes_its_time: bool  # whether it decides a feed no sooner than somebody waits for it

    def cancel(self, order: str) -> None:
        """The whole order."""

    def take_back(self, order: str, line: str, units: int) -> None:
        """So many units of a line are cancelled."""

    def deliver(self, order: str) -> None:
        """All that is on its way arrives."""

    def invoice(self, order: str, number: str) -> None:
        """The channel writes an invoice."""

    def ask_for_return(self, order: str, units: Mapping[str, int]) -> None:
        """A shopper wants to send units of lines back."""

    def ask_for_cancel(self, order: str, line: str) -> None:
        """A shopper wants one unit cancelled."""

    def refuse_next(self, order: str) -> None:
        """The next parcel of this order is refused, once."""

    def work(self, *, awaited: bool) -> None:
        """Called again and again while flows run: the channel does what it does in its own time.

        `awaited`: a flow of ours waits for it.
        """

    def close(self) -> None:
        """No more calls."""
