"""From raw records to DTOs in chunks: duplicates counted, bad records set apart, customers kept together."""

import inspect
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from order_integration.channels.commands import SLIPS, ReadCommand, Record
from order_integration.dto import Cut, Dto, collected_cuts, record_error
from order_integration.errors import Reason, RecordError

D = TypeVar("D", bound=Dto)
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Entry(Generic[D]):
    """One distinct key: its raw record, and the DTO or what is wrong with it."""

    key: str
    record: Record
    time: datetime | None
    dto: D | None = None
    cuts: list[Cut] = field(default_factory=list)
    error: RecordError | None = None


async def entries_of(command: ReadCommand[D], rows: Iterable[Record], same: Callable[[D], Hashable]) -> list[Entry[D]]:
    """One entry per key, in the order of their times.

    Of several versions of a record the latest counts; versions that contradict each other in what may not change
    (`same`) are a conflict, and nothing is guessed.
    """
    versions: dict[str, list[Record]] = defaultdict(list)
    for row in rows:
        known = versions[command.key_of(row)]
        if row not in known:
            known.append(row)
    entries = [await _entry(command, key, records, same) for key, records in versions.items()]
    return sorted(entries, key=lambda entry: (entry.time or BEGINNING, entry.key))


async def _entry(command: ReadCommand[D], key: str, records: list[Record], same: Callable[[D], Hashable]) -> Entry[D]:
    records = sorted(records, key=lambda record: command.time_of(record) or BEGINNING)
    read = [await _read(command, key, record) for record in records]
    dtos = [entry.dto for entry in read if entry.dto is not None]
    latest = read[-1]
    if len({same(dto) for dto in dtos}) > 1:
        latest.dto = None
        latest.error = RecordError(
            Reason.CONFLICT, "record", "the channel gave two versions that contradict each other"
        )
    return latest


async def _read(command: ReadCommand[D], key: str, record: Record) -> Entry[D]:
    entry: Entry[D] = Entry(key, record, command.time_of(record))
    try:
        with collected_cuts() as cuts:
            found: Any = command.normalize_response(record)
            entry.dto = await found if inspect.isawaitable(found) else found
        entry.cuts = cuts
    except ValidationError as error:
        entry.error = record_error(error)
    except RecordError as error:
        entry.error = error
    except SLIPS as error:
        # A connector's own slip on one record: its text may quote values, its kind does not.
        sentence = f"the connector can't read this record: {type(error).__name__}"
        entry.error = RecordError(Reason.RECORD_MALFORMED, "record", sentence)
    return entry


def in_groups(entries: list[Entry[D]], ties: Callable[[D], Iterable[Hashable]]) -> list[list[Entry[D]]]:
    """Entries that share a tie (an e-mail address, a customer code) are in one group, however long the chain."""
    group_of: dict[Hashable, int] = {}
    groups: dict[int, list[Entry[D]]] = {}
    marks_of: dict[int, set[Hashable]] = {}
    for number, entry in enumerate(entries):
        if entry.dto is None:
            continue
        marks = set(ties(entry.dto))
        joined = {group_of[mark] for mark in marks if mark in group_of}
        # The largest takes the others in: a mailbox that thousands share costs no more than thousands of mailboxes.
        home = max(joined, key=lambda one: (len(groups[one]), -one), default=number)
        for other in sorted(joined - {home}):
            groups[home] += groups.pop(other)
            marks |= marks_of.pop(other)
        groups.setdefault(home, []).append(entry)
        marks_of.setdefault(home, set()).update(marks)
        group_of.update(dict.fromkeys(marks, home))
    return list(groups.values())


def in_chunks(groups: list[list[Entry[D]]], size: int, most: int) -> list[list[list[Entry[D]]]]:
    """Whole groups, spread evenly over as few chunks as `size` allows, but never more than `most`."""
    total = sum(map(len, groups))
    chunks: list[list[list[Entry[D]]]] = [[] for _ in range(min(most, -(-total // size)))]
    loads = [0] * len(chunks)
    for group in sorted(groups, key=len, reverse=True):
        lightest = loads.index(min(loads))
        chunks[lightest].append(group)
        loads[lightest] += len(group)
    return [chunk for chunk in chunks if chunk]
