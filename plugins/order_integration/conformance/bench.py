"""What a connector's author writes for the suite: an opened connector, and ways to let things happen at the channel."""

# ruff: noqa: ARG002, B027 - a bench leaves out what it can't make happen
from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from order_integration.channels.commands import Connector
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import CancellationType


class NotCovered(Exception):  # noqa: N818 - it is no error: what can't be tried is listed at the end
    """A bench can't make this happen, or the connector has no such command."""


@dataclass(frozen=True)
class Placed:
    """An order that was placed: the channel's id of it, when that was, and what the buyer pays."""

    key: str
    at: datetime
    total: Decimal


def channel_of(connector: str, **own: Any) -> ChannelConfig:
    """An entry of the channel file as a connector needs it; `own` replaces fields."""
    fields = {
        "name": "conformance",
        "connector": connector,
        "connection": "conformance",
        "omnitron_channel_id": 1,
        "catalog_id": 1,
        "active_from": "2020-01-01T00:00:00Z",
        "limits": {"requests_per_second": 200},
    }
    return ChannelConfig.model_validate({**fields, **own})


class Bench(ABC):
    """One channel that the suite may play with; it need not be empty, and nobody else changes what was placed here.

    Plain methods, `module:Class` without arguments. Those that are not abstract need not be written: what they would
    show is NOT COVERED then. Items are named by their remote ids.
    """

    @abstractmethod
    def connector(self, **own: Any) -> Connector:
        """The connector, not entered yet; `own` are fields of its channel, `page_size` for one."""

    @abstractmethod
    def place(self, units: int) -> Placed:
        """Somebody buys: an order that the connector can read, of so many units at least; later than those before."""

    def change(self, key: str) -> None:
        """Something about the order changes, so that its modification time moves; what was bought stays."""
        raise NotCovered("change")

    def state(self, key: str) -> object:
        """All that sending may change of an order and its requests, to be compared: modification times as well."""
        raise NotCovered("state")

    def shipped(self, key: str) -> set[str]:
        """The items of an order that the channel takes for shipped or delivered."""
        raise NotCovered("shipped")

    def work(self) -> None:
        """The channel works off what it was sent as feeds. Not written: it does so by itself, within a minute."""

    def cancel(self, key: str, items: list[str]) -> None:
        """The channel cancels these units; given in the order in which they are cancelled (from the back)."""
        raise NotCovered("cancel")

    def news(self, key: str, item: str) -> None:
        """The channel learns something of a unit, the first of its line: a tracking number, an invoice, a delivery."""
        raise NotCovered("news")

    def ask(self, key: str, items: list[str], kind: CancellationType) -> None:
        """A shopper asks for a cancel or a return of these units (from the back), all at once.

        A return is of what was shipped and delivered; that is the bench's to see to.
        """
        raise NotCovered(f"ask {kind}")

    def close(self) -> None:
        """End what was started."""
