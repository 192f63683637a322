"""What every command is made of: five steps, and the two kinds of command, those that read and those that send."""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar

from order_integration.dto import Dto
from order_integration.errors import ContractError, Reason, RecordError
from order_integration.exact_json import Json, dumps

if TYPE_CHECKING:
    from order_integration.channels.connector import Connector

Record = dict[str, Any]
D = TypeVar("D", bound=Dto)
A = TypeVar("A")  # what a writing command is given
B = TypeVar("B")  # what it answers
NO_ID = "no-id-"  # begins the key of a record that the channel gave no id
# What a connector's code may raise over one record that is not as it expects.
SLIPS = (KeyError, TypeError, AttributeError, ValueError, ArithmeticError, IndexError, RecordError)


@dataclass(frozen=True)
class Window:
    """Half open: `start` is in it, `end` is not. Both zoned."""

    start: datetime
    end: datetime


class WindowOn(Enum):
    """What moves a record into a window."""

    CREATION = "creation"
    MODIFICATION = "modification"


class ChannelCommand(ABC):
    """The five steps."""

    def __init__(self, connector: "Connector") -> None:
        self.connector = connector
        self.http = connector.http
        self.settings: Any = connector.settings

    def get_data(self, data: Any) -> Any:
        """What was asked for."""
        return data

    def validated_data(self, data: Any) -> Any:
        """Refuse nothing."""
        return data

    def transform_data(self, data: Any) -> Any:
        """The channel speaks our words."""
        return data

    @abstractmethod
    def send_request(self, data: Any) -> Any:
        """Talk to the channel."""

    @abstractmethod
    def normalize_response(self, response: Any) -> Any:
        """From the channel's words to ours."""

    async def _request(self, data: Any) -> Any:
        for step in (self.get_data, self.validated_data, self.transform_data):
            data = await run_step(step, data)
        return data


class ReadCommand(ChannelCommand, Generic[D]):
    """A command that reads a window. `send_request` gets the window and yields pages: lists of raw records.

    Pages are read by keyset, or by re-reading one overlapping row, so that a record that moves while they are read
    is not missed; a record seen twice is counted as a duplicate.
    """

    window_on: ClassVar[WindowOn] = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """The channel's id of the record, under which it is known everywhere."""
        return "" if record["id"] is None else str(record["id"])

    @abstractmethod
    def record_time(self, record: Record) -> datetime:
        """The time, zoned, that puts the record into a window."""

    @abstractmethod
    def normalize_response(self, response: Record) -> D:
        """One raw record as a DTO.

        Raises RecordError, or pydantic's ValidationError, for a record that can't be one.
        """

    async def pages(self, window: Window) -> AsyncIterator[list[Record]]:
        """The window's records, a page at a time (steps one to four)."""
        request = await self._request(window)
        lazy = inspect.isasyncgenfunction(self.send_request) or inspect.isgeneratorfunction(self.send_request)
        found = self.send_request(request) if lazy else await run_step(self.send_request, request)
        if isinstance(found, AsyncIterator):
            async for page in found:
                yield page
            return
        async for page in _in_thread(found):
            yield page

    async def get_by_key(self, key: str) -> Record | None:
        """The record as the channel has it now; None: the channel does not know it.

        Optional: replay and reconciliation need it.
        """
        raise NotImplementedError

    def can_get_by_key(self) -> bool:
        """Whether this command implements `get_by_key`."""
        return type(self).get_by_key is not ReadCommand.get_by_key

    def key_of(self, record: Json) -> str:
        """`record_key`, or a digest of the record where it has none: what can't be named can still be counted."""
        try:
            key = self.record_key(record)
            key.encode()  # half a character is no name: a ValueError
        except SLIPS:
            return _digest(record)
        return key or _digest(record)

    def is_without_id(self, key: str) -> bool:
        """Whether a key is a digest, under which the channel knows nothing."""
        return key.startswith(NO_ID)

    def time_of(self, record: Json) -> datetime | None:
        """`record_time`, or None where the record has none that can be read."""
        try:
            moment = self.record_time(record)
            zone = moment.tzinfo
        except SLIPS:
            return None
        return moment if zone else None


class WriteCommand(ChannelCommand, Generic[A, B]):
    """A command that sends. `send_request` gets what `transform_data` made of it and answers once.

    Whatever it is given may have been given to it before, and may have been carried out: what is in the wanted state
    already is a SUCCESS.
    """

    answer: ClassVar[type]  # what normalize_response has to return

    async def run(self, data: A) -> B:
        """All five steps.

        Raises ContractError where the connector answers with something else than its command's type.
        """
        response = await run_step(self.send_request, await self._request(data))
        return self._checked(await run_step(self.normalize_response, response))

    def _checked(self, answer: Any) -> B:
        """Commands that answer with a list accept a single one, too."""
        answers = answer if isinstance(answer, list) else [answer]
        if not all(isinstance(one, self.answer) for one in answers):
            raise self._wrong(answer)
        return answers  # type: ignore[return-value]

    def _wrong(self, answer: Any) -> ContractError:
        name, wanted = type(self).__name__, self.answer.__name__
        return ContractError(f"{name}.normalize_response has to return {wanted}, not {type(answer).__name__}")


def bad_record(field: str, sentence: str, reason: Reason = Reason.FIELD_MALFORMED) -> RecordError:
    """What a connector raises for a record that it can't read."""
    return RecordError(reason, field, sentence)


async def run_step(step: Callable[..., Any], *args: Any) -> Any:
    """A step may be `def` or `async def`; a plain one runs in a thread."""
    if inspect.iscoroutinefunction(step):
        return await step(*args)
    return await asyncio.to_thread(step, *args)


async def _in_thread(pages: Iterator[list[Record]]) -> AsyncIterator[list[Record]]:
    pages, end = iter(pages), object()
    while (page := await asyncio.to_thread(next, pages, end)) is not end:
        yield page  # type: ignore[misc]


def _digest(record: Json) -> str:
    return NO_ID + sha256(dumps(record).encode()).hexdigest()[:16]
