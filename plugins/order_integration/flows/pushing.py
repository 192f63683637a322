"""What a push task works with, and what an error of one record means for it: the others go on."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from order_integration.channels.commands import SLIPS, Connector, ReadCommand, Record
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import Dto, masked
from order_integration.errors import ContractError, IntegrationError, Reason, RecordError, RefusedError, RetriableError
from order_integration.flows.outcomes import WAITS_FOR, Outcome, Result
from order_integration.flows.transforming import BEGINNING, entries_of
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.customers import refused
from order_integration.staging import Staging

Row = dict[str, Any]
D = TypeVar("D", bound=Dto)


@dataclass(frozen=True)
class Pushing:
    """What a push task has at hand."""

    omnitron: Omnitron
    connector: Connector  # open
    channel: ChannelConfig
    staging: Staging
    run: str  # unique over all DAGs
    try_number: int
    last_try: bool  # what still fails is parked


@dataclass(frozen=True)
class Item(Generic[D]):
    """One row of a chunk."""

    key: str
    group: int
    in_overlap: bool
    marked: bool
    cancelled: bool  # by the channel, while it waited
    dto: D
    cuts: tuple[Row, ...]
    time: datetime | None
    waited: bool  # it did not come with the window alone: another run may hold it, too
    read_at: str  # when reading it began at the channel, ISO 8601 in UTC

    @property
    def already_there(self) -> Result:
        """What it is when nothing had to be done."""
        return Result.SEEN_BEFORE if self.in_overlap else Result.ALREADY_THERE


def items_of(dto: type[D], rows: Iterable[Row]) -> list[Item[D]]:
    """The rows of a chunk, in the order of the channel's times."""
    items = [
        Item(
            row["key"],
            row["group"],
            row["in_overlap"],
            row["marked"],
            row.get("cancelled", False),  # staged by an earlier version it has none
            dto.model_validate(row["dto"]),
            tuple(row["cuts"]),
            datetime.fromisoformat(row["time"]) if row["time"] else None,
            row.get("waited", False),
            row["read_at"],
        )
        for row in rows
    ]
    return sorted(items, key=lambda item: (item.time or BEGINNING, item.key))


async def latest(
    ctx: Pushing, command_type: type[ReadCommand[D]], item: Item[D], same: Callable[[D], Hashable]
) -> D | None:
    """In a later try the channel is asked again, where it can be: what was staged may be old by now.

    None: the channel has it no more. Raises RetriableError where it does not say, RecordError where it says what can't
    be used. `same`: as in the flow's spec.
    """
    command = ctx.connector.command(command_type)
    if ctx.try_number == 1 or not command.can_get_by_key() or command.is_without_id(item.key):
        return item.dto
    record = await shown_again(command, item)
    if record is None:
        return None
    [entry] = await entries_of(command, [record], same)
    if entry.dto is None:
        raise entry.error or RecordError(Reason.RECORD_MALFORMED, "record", "can't be read")
    return entry.dto


async def shown_again(command: ReadCommand[D], item: Item[D]) -> Record | None:
    """The record as the channel has it now, or None.

    Raises RetriableError where it does not say.
    """
    try:
        return await command.get_by_key(item.key)
    except (IntegrationError, *SLIPS) as error:
        wait = getattr(error, "retry_after", None)
        raise RetriableError(f"the channel can't show it again: {type(error).__name__}", retry_after=wait) from None


PushOne = Callable[[Item[D]], Awaitable[Outcome]]


async def pushed(ctx: Pushing, items: Iterable[Item[D]], push_one: PushOne[D], subject: str) -> list[Outcome]:
    """An outcome for each: groups side by side, the items of one in the given order, one after the other.

    `push_one` raises RecordError for what can't be used (or has to wait, see `WAITS_FOR`). What Omnitron does not
    answer is FAILED, for the next try; after the last one it is parked. `subject`: the field that a refusal is about.
    """
    groups: dict[int, list[Item[D]]] = {}
    for item in items:
        groups.setdefault(item.group, []).append(item)
    done = await asyncio.gather(*(_group(ctx, group, push_one, subject) for group in groups.values()))
    return [outcome for group in done for outcome in group]


async def _group(ctx: Pushing, group: list[Item[D]], push_one: PushOne[D], subject: str) -> list[Outcome]:
    return [await _guarded(ctx, item, push_one, subject) for item in group]


async def _guarded(ctx: Pushing, item: Item[D], push_one: PushOne[D], subject: str) -> Outcome:
    try:
        return await push_one(item)
    except RecordError as error:
        return set_apart(item, error)
    except (RetriableError, ContractError, RefusedError) as error:
        if isinstance(error, RefusedError) and ctx.last_try:  # of a look-up: it is not even fit to be asked for
            return set_apart(item, refused(error, subject))
        result = Result.PARKED if ctx.last_try else Result.FAILED
        reason, wait = type(error).__name__, getattr(error, "retry_after", None)
        return Outcome(item.key, result, reason, sentence=str(error), failed=True, retry_after=wait)


def set_apart(item: Item[D], error: RecordError, **more: Any) -> Outcome:
    """Quarantined, or parked where the reason is that something is not there yet. `more`: its links, say."""
    if error.reason in WAITS_FOR:
        return Outcome(item.key, Result.PARKED, error.reason, error.field, error.sentence, **more)
    return Outcome.quarantined(item.key, error, masked=masked(item.dto), **more)
