"""What a connector implements: the seven commands of the public channel-app guide, and the connector that holds them.

Every command has the same five steps, each with a default; the smallest command writes two of them
(`send_request` and `normalize_response`). A step is `def` or `async def`; plain ones run in a thread.

===================  =============================================================================================
`get_data`           what the command works on: the window, or the objects to send
`validated_data`     refuse what makes no sense
`transform_data`     from our words to the channel's
`send_request`       talk to the channel; reading commands yield pages of raw records
`normalize_response` from the channel's words to ours; reading commands get one raw record at a time
===================  =============================================================================================
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from hashlib import sha256
from typing import Any, ClassVar, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from order_integration.channels.registry import ChannelConfig
from order_integration.dto import (
    BatchRequestResponseDto,
    CancellationRequestDto,
    CancelOrderDto,
    ChannelCancellationRequestDto,
    ChannelCreateOrderDto,
    ChannelUpdateOrderItemDto,
    Dto,
    FeedVerdict,
    Submission,
    Submitted,
)
from order_integration.errors import ConfigurationError, ContractError, Reason, RecordError
from order_integration.exact_json import Json, dumps
from order_integration.transport import Auth, FixedHeaders, HttpSession, Limits, checked_base_url

Record = dict[str, Any]
D = TypeVar("D", bound=Dto)
# What a connector's code may raise over one record that is not as it expects.
NO_ID = "no-id-"  # begins the key of a record that the channel gave no id
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


@dataclass(frozen=True)
class ChannelConnection:
    """The Airflow connection of a channel, without Airflow. `extra` is never sent anywhere by itself."""

    base_url: str
    login: str = ""
    password: str = field(default="", repr=False)
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


class ConnectorSettings(BaseModel):
    """A connector's own settings (`settings:` of its channel); subclass it to add some."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Connector:
    """One configured channel, opened. Use it as an async context manager: it keeps one HTTP session.

    A connector is a subclass with its `commands`, its `Settings` and, where the channel wants one, its `auth`.
    """

    Settings: ClassVar[type[ConnectorSettings]] = ConnectorSettings
    commands: ClassVar[tuple[type["ChannelCommand"], ...]] = ()

    def __init__(self, channel: ChannelConfig, connection: ChannelConnection, *, share: int = 1) -> None:
        """`share`: how many tasks share the channel's request rate.

        Raises ConfigurationError for settings that the connector does not know, and for an address that is not one.
        """
        self.channel = channel
        self.connection = connection
        try:
            self.settings = self.Settings(**channel.settings)
        except ValidationError as error:
            wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
            raise ConfigurationError(f"channel {channel.name}, settings: {wrong}") from None
        limits = channel.limits
        self.http = HttpSession(
            checked_base_url(connection.base_url, f"connection {channel.connection}"),
            self.auth(),
            Limits(
                in_flight=limits.in_flight,
                requests_per_second=limits.requests_per_second / share,
                timeout=limits.timeout.total_seconds(),
            ),
        )

    def auth(self) -> Auth:
        """How the channel knows us; nothing by default."""
        return FixedHeaders()

    async def __aenter__(self) -> Self:
        await self.http.__aenter__()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.http.__aexit__(*exc)

    def command(self, kind: type["C"]) -> "C":
        """This connector's command of a kind.

        Raises ConfigurationError where it has none.
        """
        for command in self.commands:
            if issubclass(command, kind):
                return command(self)
        if not inspect.isabstract(kind):
            return kind(self)
        raise ConfigurationError(
            f"channel {self.channel.name}: connector {self.channel.connector} has no {kind.__name__}"
        )


class ChannelCommand(ABC):
    """The five steps."""

    def __init__(self, connector: Connector) -> None:
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
            data = await _run(step, data)
        return data


C = TypeVar("C", bound=ChannelCommand)


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
        found = self.send_request(request) if lazy else await _run(self.send_request, request)
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


class GetOrders(ReadCommand[ChannelCreateOrderDto]):
    """Flow 1: orders of the channel."""


class GetCancelledOrders(ReadCommand[CancelOrderDto]):
    """Flow 4: what the channel cancelled by itself. One record an order, with all that is cancelled of it by now.

    Keyed by the channel's id of the order. An item id stands in `cancel_items` as often as its units are cancelled so
    far, not only in this window: overlapping windows then cancel nothing twice.
    """


class GetUpdatedOrderItems(ReadCommand[ChannelUpdateOrderItemDto]):
    """Flow 5: invoices, tracking, deliveries that the channel knows first. One record an item id, as it is now.

    Keyed by the item's remote id. `modified_at` decides which of two is newer. Give only the fields that the channel
    knows; one that is given as None is cleared in Omnitron.
    """


class GetCancellationRequests(ReadCommand[CancellationRequestDto]):
    """Flow 6: cancels and returns that shoppers ask for. One record a unit: a return of three units is three records.

    Their `remote_id` may be the same, so the key must hold the item as well (`<request>|<item>`).
    """


A = TypeVar("A")  # what a writing command is given
B = TypeVar("B")  # what it answers


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
        response = await _run(self.send_request, await self._request(data))
        return self._checked(await _run(self.normalize_response, response))

    def _checked(self, answer: Any) -> B:
        """Commands that answer with a list accept a single one, too."""
        answers = answer if isinstance(answer, list) else [answer]
        if not all(isinstance(one, self.answer) for one in answers):
            raise self._wrong(answer)
        return answers  # type: ignore[return-value]

    def _wrong(self, answer: Any) -> ContractError:
        name, wanted = type(self).__name__, self.answer.__name__
        return ContractError(f"{name}.normalize_response has to return {wanted}, not {type(answer).__name__}")


class SendUpdatedOrders(WriteCommand[Submission, Submitted]):
    """Flow 2: orders that changed in Omnitron, with their items.

    Answers with a result for each order, found by its remote id or its number, or with feed ids. One order that fails
    stops no other: it gets a FAIL with a message. An exception means that nothing is known about any of them.
    """

    answer = Submitted

    def _checked(self, answer: Any) -> Submitted:
        if not isinstance(answer, Submitted):
            raise self._wrong(answer)
        return answer

    async def find_submission(self, reference: str) -> Submitted | None:
        """What the channel made of an earlier submission with this reference; None: it never arrived.

        Optional: without it a connector sends at least once, with it exactly once.
        """
        raise NotImplementedError

    def can_find_submission(self) -> bool:
        """Whether this command implements `find_submission`; one that does not sends at least once."""
        return type(self).find_submission is not SendUpdatedOrders.find_submission


class CheckOrders(WriteCommand[list[str], list[FeedVerdict]]):
    """Flow 3: what became of feeds. Given feed ids, it answers a verdict for each; asked often, it changes nothing."""

    answer = FeedVerdict


class UpdateCancellationRequest(WriteCommand[list[ChannelCancellationRequestDto], list[BatchRequestResponseDto]]):
    """Flow 7: what Omnitron decided about requests that the channel answers together; mostly it is one.

    Answers a result for each `remote_id`. A request without a `decision` is still in progress; where the channel can't
    be told before all are decided, SUCCESS means that there is nothing to do yet.
    """

    answer = BatchRequestResponseDto

    async def answered_together(self, remote_id: str) -> list[str]:
        """The remote ids of all requests that the channel answers in one go with this one, itself among them."""
        return [remote_id]


class GetChannelConfSchema(ChannelCommand):
    """What a merchant can set for the channel in Omnitron, besides what every channel has (`reason_mapping`).

    Optional. `send_request` returns key → {required, data_type, key, label}, data types as in the public guide.
    """

    def send_request(self, data: Any) -> dict[str, Record]:  # noqa: ARG002
        """Nothing of its own."""
        return {}

    def normalize_response(self, response: dict[str, Record]) -> dict[str, Record]:
        """As it is."""
        return response

    async def run(self) -> dict[str, Record]:
        """All five steps."""
        found: dict[str, Record] = await _run(
            self.normalize_response, await _run(self.send_request, await self._request(None))
        )
        return found


def bad_record(field: str, sentence: str, reason: Reason = Reason.FIELD_MALFORMED) -> RecordError:
    """What a connector raises for a record that it can't read."""
    return RecordError(reason, field, sentence)


async def _run(step: Callable[..., Any], *args: Any) -> Any:
    if inspect.iscoroutinefunction(step):
        return await step(*args)
    return await asyncio.to_thread(step, *args)


async def _in_thread(pages: Iterator[list[Record]]) -> AsyncIterator[list[Record]]:
    pages, end = iter(pages), object()
    while (page := await asyncio.to_thread(next, pages, end)) is not end:
        yield page  # type: ignore[misc]


def _digest(record: Json) -> str:
    return NO_ID + sha256(dumps(record).encode()).hexdigest()[:16]
