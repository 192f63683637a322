"""What the flows from a channel to Omnitron share: `fetch → transform → push → settle`, the first two of them here.

A flow is a module with its own name that holds a `SPEC` and what its push does. `push` is in `pushing`, what push tasks
hand over to settle in `handing_over`, and settle itself in `settling`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from order_integration.channels.commands import SLIPS, Connector, ReadCommand, Record
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import Dto
from order_integration.errors import ContractError, IntegrationError
from order_integration.flows.outcomes import Outcome, Result
from order_integration.flows.pushing import Pushing
from order_integration.flows.transforming import Entry, entries_of, in_chunks, in_groups
from order_integration.flows.windows import Reading
from order_integration.omnitron.client import Omnitron, slices
from order_integration.staging import Ended, Folder, Places, Staging, key_digest, moment_of

BEGAN = "began"
PAGE = "page"
PARKED = "parked"
CHUNK = "chunk"
QUARANTINED = "quarantined"
MANIFEST = "manifest"
GONE_LEFT = "gone_left"

PARKED_AT_MOST = 5000  # parked records that one run begins with
PARKED_AT_ONCE = 16  # of them read from the channel at the same time

log = logging.getLogger(__name__)
Row = dict[str, Any]
D = TypeVar("D", bound=Dto)


async def nothing_ahead(omnitron: Omnitron, channel: ChannelConfig) -> Row:  # noqa: ARG001
    """A preflight that finds out no more than whether the channel is there and active."""
    await omnitron.channel()
    return {}


def versions_follow(dto: Dto) -> Hashable:  # noqa: ARG001
    """Versions of a record never contradict each other: the latest counts."""
    return None


def none_marked(entries: list[Entry[D]]) -> AbstractSet[str]:  # noqa: ARG001
    """No record of a run is in another one's way."""
    return frozenset()


def goes_on(command: ReadCommand[D], record: Record) -> bool:  # noqa: ARG001
    """What waited is still to be brought."""
    return False


@dataclass(frozen=True)
class Inbound(Generic[D]):
    """What one flow from a channel to Omnitron has of its own."""

    name: str  # of its module, its DAG's file and its folders in staging
    command: type[ReadCommand[D]]
    dto: type[D]
    content_type: str  # whose lock its batch requests take
    # One outcome for every row of a chunk.
    push: Callable[[Pushing, list[Row]], Awaitable[list[Outcome]]]
    # What two records have in common that must not be pushed at the same time; gets preflight's row as well.
    ties: Callable[[D, Row], Iterable[Hashable]]
    # What may not differ between two versions of a record in one run.
    same: Callable[[D], Hashable] = versions_follow
    # What would fail every record is found out before the first one is read. Ids and codes alone: they go into XCom.
    preflight: Callable[[Omnitron, ChannelConfig], Awaitable[Row]] = nothing_ahead
    # Keys of records that another one of the same run rules out: their rows are `marked`.
    marks: Callable[[list[Entry[D]]], AbstractSet[str]] = none_marked
    # Whether the channel cancelled a record while it waited, so that there is nothing to create any more.
    is_cancelled: Callable[[ReadCommand[D], Record], bool] = goes_on
    one_chunk: bool = False  # whether one push task does it all


# fetch ----------------------------------------------------------------------------------------------------------------


async def fetch(spec: Inbound[D], connector: Connector, reading: Reading, staging: Staging, folder: Folder) -> Row:
    """Stage the window's pages as they come, if there is one, and the records that were parked before. Returns counts.

    When it begins is staged as well: what was read earlier never takes the place of what was read later.
    """
    command = connector.command(spec.command)
    began = datetime.now(UTC).isoformat()
    folder.write(BEGAN, [{"read_at": began}])
    pages = rows = 0
    if reading.window:
        async for page in command.pages(reading.window):
            pages += 1
            rows += folder.write(f"{PAGE}-{pages:05}", page)
            log.info("page %d: %d rows", pages, len(page))
    places = Places.of(staging, connector.channel.name, spec.name)
    gone: list[str] = []
    waited = folder.write(PARKED, await _parked_records(command, places, began, gone))
    return {
        "pages": pages,
        "rows": rows,
        "parked": waited,
        "gone_left": _close_gone(connector, places, gone, folder, began),
    }


def _close_gone(connector: Connector, places: Places, gone: list[str], folder: Folder, began: str) -> int:
    """Returns how many stay open: so many at once are rather asked for at the wrong place, and the run is red."""
    left = len(gone) if len(gone) > connector.channel.limits.quarantine_floor else 0
    folder.write(GONE_LEFT, [{"count": left}])
    for key in gone[left:]:
        places.close(key, Ended.GONE_AT_CHANNEL, now=datetime.now(UTC).isoformat(), read_at=began)
    return left


async def _parked_records(command: ReadCommand[D], places: Places, began: str, gone: list[str]) -> list[Row]:
    """Those that were not tried for longest, afresh from the channel where that can be: they may have changed.

    Each with the moment it was read: what is used as it was staged is as old as it was. `gone` gets the keys of others.
    """
    waiting = sorted(places.parked.open_keys().items(), key=lambda one: str(one[1]["last_seen"]))[:PARKED_AT_MOST]
    if not command.can_get_by_key():
        return [row for key, one in waiting if (row := _as_staged(key, one))]
    records: list[Row] = []
    for some in slices(waiting, PARKED_AT_ONCE):
        found = await asyncio.gather(*(_parked_record(command, key, row, began, gone) for key, row in some))
        records += [record for record in found if record is not None]
    return records


def _as_staged(key: str, row: Row) -> Row | None:
    """None: nothing is staged of it but its key, so it waits on."""
    if row.get("record") is None:
        log.warning("parked record %s has to be read from the channel, which does not show it now", key_digest(key))
        return None
    return {"record": row["record"], "read_at": moment_of(row)}


async def _parked_record(command: ReadCommand[D], key: str, row: Row, began: str, gone: list[str]) -> Row | None:
    """None: the channel has it no more, so it waits for nothing. What can't be read now is used as it was staged."""
    if command.is_without_id(key):
        return _as_staged(key, row)
    try:
        record = await command.get_by_key(key)
    except (IntegrationError, *SLIPS) as error:
        log.warning(
            "parked record %s can't be read again (%s); it is used as it was", key_digest(key), type(error).__name__
        )
        return _as_staged(key, row)
    if record is None:
        log.warning("parked record %s is not in the channel any more", key_digest(key))
        gone.append(key)
        return None
    return {"record": record, "read_at": began}


# transform ------------------------------------------------------------------------------------------------------------


async def transform(
    spec: Inbound[D], connector: Connector, fetched: Folder, fresh_from: datetime, preflight: Row, chunks: Folder
) -> Row:
    """Stage DTOs in chunks, what can't be one, and the manifest that `settle` checks everything against."""
    command = connector.command(spec.command)
    rows: list[Record] = [row for name in fetched.names() if name.startswith(PAGE) for row in fetched.read(name)]
    in_window = {command.key_of(row) for row in rows}
    found = {command.key_of(row["record"]): row for row in fetched.read(PARKED)}
    waited = {key: row for key, row in found.items() if key not in in_window}
    entries = await entries_of(command, [*rows, *(row["record"] for row in waited.values())], spec.same)
    [began] = fetched.read(BEGAN)
    moments = {entry.key: waited.get(entry.key, began)["read_at"] for entry in entries}
    places = Places.of(fetched.staging, connector.channel.name, spec.name)
    over = {
        entry.key
        for entry in entries
        if spec.is_cancelled(command, entry.record) and (entry.key in found or places.has_waited(entry.key))
    }
    marked = spec.marks([entry for entry in entries if entry.key not in over])
    limits = connector.channel.limits
    groups = in_groups(entries, lambda dto: spec.ties(dto, preflight))
    made = in_chunks(groups, limits.chunk_size, 1 if spec.one_chunk else limits.push_tasks)
    for number, some in enumerate(made):
        chunks.write(f"{CHUNK}-{number:03}", _chunk_rows(some, fresh_from, marked, over, found.keys(), moments))
    bad = [entry for entry in entries if entry.error is not None]
    chunks.write(QUARANTINED, (_bad_row(entry, moments[entry.key], entry.key in over) for entry in bad))
    manifest = {
        "rows": len(rows) + len(waited),
        "duplicates": len(rows) + len(waited) - len(entries),
        "distinct": len(entries),
        "chunks": len(made),
        "began": began["read_at"],
        "gone_left": sum(row["count"] for row in fetched.read(GONE_LEFT)) if GONE_LEFT in fetched.names() else 0,
    }
    chunks.write(MANIFEST, [manifest])
    return manifest


def _chunk_rows(
    groups: list[list[Entry[D]]],
    fresh_from: datetime,
    marked: AbstractSet[str],
    over: AbstractSet[str],
    waited: AbstractSet[str],
    moments: dict[str, str],
) -> Iterator[Row]:
    for number, group in enumerate(groups):
        for entry in group:
            yield {
                "key": entry.key,
                "group": number,
                "time": entry.time.isoformat() if entry.time else None,
                "in_overlap": entry.time is not None and entry.time < fresh_from,
                "marked": entry.key in marked,
                "cancelled": entry.key in over,
                "waited": entry.key in waited,
                "dto": entry.dto.model_dump(mode="json", exclude_unset=True) if entry.dto else None,
                "cuts": [asdict(cut) for cut in entry.cuts],
                "record": entry.record,
                "read_at": moments[entry.key],
            }


def _bad_row(entry: Entry[D], moment: str, is_cancelled: bool) -> Row:
    if entry.error is None:
        raise ContractError("a record that is fine was to be quarantined")
    outcome = Outcome.quarantined(entry.key, entry.error)
    if is_cancelled:
        outcome = Outcome(entry.key, Result.CANCELLED_AT_CHANNEL)
    return {**outcome.as_row(), "record": entry.record, "read_at": moment}
