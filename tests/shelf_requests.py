"""A shelf that shoppers bring things back to: what is told of their requests is written down, and answered as told."""

from collections.abc import Callable
from typing import Any, ClassVar

from order_integration.channels.commands import GetChannelConfSchema, Record, UpdateCancellationRequest
from order_integration.dto import BatchRequestResponseDto, ChannelCancellationRequestDto
from tests.shelf import Shelf, ShelfGetOrders

Told = list[ChannelCancellationRequestDto]


def fine(told: Told) -> Any:
    """A SUCCESS for each request."""
    return [{"status": "SUCCESS", "remote_id": one.remote_id} for one in told]


class ShelfTellRequests(UpdateCancellationRequest):
    """Remembers what it was told, and in which calls; a test says what it answers."""

    async def answered_together(self, remote_id: str) -> list[str]:
        return RequestShelf.together(remote_id)

    def send_request(self, data: Told) -> Any:
        RequestShelf.told.append(data)
        return RequestShelf.answer(data)

    def normalize_response(self, response: Any) -> list[BatchRequestResponseDto]:
        return [BatchRequestResponseDto.model_validate(one) for one in response]


class ShelfConfSchema(GetChannelConfSchema):
    """What can be set for this shelf."""

    def send_request(self, data: Any) -> dict[str, Record]:
        return RequestShelf.entries


class RequestShelf(Shelf):
    """`connector: tests.shelf_requests:RequestShelf`."""

    commands = (ShelfGetOrders, ShelfTellRequests, ShelfConfSchema)
    told: ClassVar[list[Told]] = []
    answer: ClassVar[Callable[[Told], Any]] = staticmethod(fine)
    together: ClassVar[Callable[[str], list[str]]] = staticmethod(lambda remote_id: [remote_id])
    entries: ClassVar[dict[str, Record]] = {}

    @classmethod
    def start_again(cls) -> None:
        """Nothing told, every answer fine, every request alone."""
        cls.told.clear()
        cls.answer = staticmethod(fine)
        cls.together = staticmethod(lambda remote_id: [remote_id])
        cls.entries = {}
