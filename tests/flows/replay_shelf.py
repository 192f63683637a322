"""A shelf that can be asked for one record, and says how far its orders are; and a deployment of its two flows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from order_integration.channels.commands import OrderState, Record
from order_integration.flows.windows import WAITING_ONLY
from order_integration.staging import Places
from tests.conftest import BackOffice
from tests.flows import cancelling
from tests.flows.cancelling import start
from tests.flows.steps import Steps
from tests.shelf import CancelShelf, Shelf, ShelfGetCancelledOrders, ShelfGetOrders


class _Asked:
    async def get_by_key(self, key: str) -> Record | None:
        answer = ReplayShelf.shown.get(key)
        if isinstance(answer, Exception):
            raise answer
        return answer or next((row for row in ReplayShelf.all() if row["id"] == key), None)


class ReplayGetOrders(_Asked, ShelfGetOrders):
    def order_state(self, record: Record) -> OrderState | None:
        return OrderState(record.get("state", "open"))


class ReplayGetCancelledOrders(_Asked, ShelfGetCancelledOrders):
    async def get_by_key(self, key: str) -> Record | None:
        return next((row for row in CancelShelf.cancels if row["id"] == key), None)


class ReplayShelf(CancelShelf):
    """`connector: tests.flows.replay_shelf:ReplayShelf`."""

    commands = (ReplayGetOrders, ReplayGetCancelledOrders)
    shown: dict[str, Any] = {}  # noqa: RUF012 - a test's own answers of `get_by_key`

    @classmethod
    def all(cls) -> list[Record]:
        return Shelf.orders


class Two:
    """Flows 1 and 4 of a channel, in one staging area."""

    def __init__(self, url: str, home: Path, office: BackOffice) -> None:
        ReplayShelf.shown.clear()
        self.cancels = start(url, home, office)
        self.cancels.channel = self.cancels.channel.model_copy(
            update={"connector": "tests.flows.replay_shelf:ReplayShelf"}
        )
        self.orders = replace(self.cancels, flow="fetch_orders")

    def places(self, steps: Steps | None = None) -> Places:
        steps = steps or self.orders
        return Places.of(steps.staging, steps.channel.name, steps.flow)

    def replay(self) -> Any:
        """The run that a replay triggers."""
        return self.orders.run(WAITING_ONLY)

    def open(self, steps: Steps | None = None) -> tuple[list[str], list[str]]:
        places = self.places(steps)
        return list(places.quarantine.open_keys()), list(places.parked.open_keys())


put_cancels = cancelling.put
