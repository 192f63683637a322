"""A shelf with all seven commands, whose connector may stumble over a record and say so at length."""

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

from order_integration.channels.commands import Connector, Record, SendUpdatedOrders, UpdateCancellationRequest, Window
from order_integration.dto import BatchRequestResponseDto, ChannelCreateOrderDto, Submission, Submitted
from order_integration.errors import RetriableError
from order_integration.transport import Auth, FixedHeaders
from tests.security.people import ECHO
from tests.shelf import (
    AskedGetUpdatedOrderItems,
    CancelShelf,
    NewsShelf,
    Shelf,
    ShelfGetCancellationRequests,
    ShelfGetCancelledOrders,
    ShelfGetOrders,
)

log = logging.getLogger(__name__)


class TalkativeError(Exception):
    """A connector's own, which quotes what it was given."""


def stumbles(step: str) -> None:
    """Raise what a test wants to see raised in this step."""
    if step not in Stumbling.steps:
        return
    Stumbling.stumbled.append(step)
    match Stumbling.steps[step]:
        case "chain":
            raise RetriableError("the shelf is out of reach") from TalkativeError(f"can't read {ECHO}")
        case "group":
            raise ExceptionGroup(ECHO, [TalkativeError(ECHO), ValueError(ECHO)])
        case "note":
            error = TalkativeError(ECHO)
            error.add_note(ECHO)
            raise error
        case kind:
            raise kind(f"can't read {ECHO}")


class Stumbling:
    """By step, the kind of what is raised there."""

    steps: ClassVar[dict[str, Any]] = {}
    stumbled: ClassVar[list[str]] = []


class Orders(ShelfGetOrders):
    def send_request(self, data: Window) -> Iterator[list[Record]]:
        stumbles("pages")
        if "log" in Stumbling.steps:
            log.warning("reading %s", Stumbling.steps["log"])
        yield from super().send_request(data)

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        stumbles("record")
        return super().normalize_response(response)


class Cancels(ShelfGetCancelledOrders):
    def send_request(self, data: Window) -> Iterator[list[Record]]:
        stumbles("pages")
        yield list(CancelShelf.cancels)


class Tell(SendUpdatedOrders):
    def send_request(self, data: Submission) -> Submitted:
        stumbles("tell")
        rows = [{"status": "SUCCESS", "remote_id": one.remote_id, "number": one.number} for one in data.orders]
        return Submitted.model_validate({"results": rows})

    def normalize_response(self, response: Submitted) -> Submitted:
        return response


class Answer(UpdateCancellationRequest):
    def send_request(self, data: Any) -> Any:
        stumbles("tell")
        return [
            BatchRequestResponseDto.model_validate({"status": "SUCCESS", "remote_id": one.remote_id}) for one in data
        ]

    def normalize_response(self, response: Any) -> list[BatchRequestResponseDto]:
        return list(response)


class CanaryShelf(NewsShelf):
    """`connector: tests.security.shelf:CanaryShelf`."""

    commands = (Orders, Cancels, AskedGetUpdatedOrderItems, ShelfGetCancellationRequests, Tell, Answer)

    def auth(self) -> Auth:
        return FixedHeaders(
            {"X-Api-Key": self.connection.password, "X-Other": str(self.connection.extra.get("secret"))}
        )

    async def __aenter__(self) -> Connector:  # type: ignore[override]
        stumbles("open")
        return await super().__aenter__()


def start_again() -> None:
    """Nothing on the shelf, nothing to stumble over."""
    NewsShelf.start_again()
    Shelf.orders.clear()
    CancelShelf.cancels.clear()
    Stumbling.steps.clear()
    Stumbling.stumbled.clear()
