"""Flow 1: orders of a channel become orders in Omnitron. `fetch → transform → push → settle`, a function each."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

from order_integration.channels.commands import SLIPS, Connector, GetOrders, Record
from order_integration.channels.registry import ChannelConfig
from order_integration.dto import ChannelCreateOrderDto, masked
from order_integration.errors import ContractError, IntegrationError, Reason, RecordError, RefusedError, RetriableError
from order_integration.flows.outcomes import SETTLED, Balance, Outcome, Result
from order_integration.flows.settling import Settlement
from order_integration.flows.transforming import Entry, entries_of, in_chunks, in_groups
from order_integration.flows.windows import Reading
from order_integration.omnitron.client import Omnitron, slices
from order_integration.omnitron.customers import Addresses, Customers, identifier_of, refused
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.omnitron.lookups import Lookups
from order_integration.omnitron.orders import Orders, is_ours
from order_integration.staging import Folder, OwedLinks, Waiting, key_digest

FLOW = "fetch_orders"
PAGE = "page"
PARKED = "parked"
CHUNK = "chunk"
QUARANTINED = "quarantined"
MANIFEST = "manifest"
OUTCOMES = "outcomes"
OF = "of"  # beside outcomes: the folder of the chunks they are about

PARKED_AT_MOST = 5000  # parked records that one run begins with
PARKED_AT_ONCE = 16  # of them read from the channel at the same time

log = logging.getLogger(__name__)
Row = dict[str, Any]
EntryOf = Entry[ChannelCreateOrderDto]


async def preflight(omnitron: Omnitron, catalog_id: int) -> str:
    """What would fail every order is found out before the first one is read; returns the customers' identifier.

    Raises ConfigurationError.
    """
    await omnitron.catalog(catalog_id)
    return identifier_of(await omnitron.channel())


# fetch ----------------------------------------------------------------------------------------------------------------


async def fetch(connector: Connector, reading: Reading, parked: Waiting, folder: Folder) -> Row:
    """Stage the window's pages as they come, and the records that were parked before. Returns counts."""
    command = connector.command(GetOrders)  # type: ignore[type-abstract]
    pages = rows = 0
    async for page in command.pages(reading.window):
        pages += 1
        rows += folder.write(f"{PAGE}-{pages:05}", page)
        log.info("page %d: %d rows", pages, len(page))
    waited = folder.write(PARKED, await _parked_records(command, parked))
    return {"pages": pages, "rows": rows, "parked": waited}


async def _parked_records(command: GetOrders, parked: Waiting) -> list[Record]:
    """Those that were not tried for longest, afresh from the channel where that can be: they may have changed."""
    waiting = sorted(parked.open_keys().items(), key=lambda one: str(one[1]["last_seen"]))[:PARKED_AT_MOST]
    if not command.can_get_by_key():
        return [row["record"] for _, row in waiting]
    records: list[Record] = []
    for some in slices(waiting, PARKED_AT_ONCE):
        found = await asyncio.gather(*(_parked_record(command, parked, key, row["record"]) for key, row in some))
        records += [record for record in found if record is not None]
    return records


async def _parked_record(command: GetOrders, parked: Waiting, key: str, staged: Record) -> Record | None:
    """None: the channel has it no more, so it waits for nothing. What can't be read now is used as it was staged."""
    if command.is_without_id(key):
        return staged
    try:
        record = await command.get_by_key(key)
    except (IntegrationError, *SLIPS) as error:
        log.warning(
            "parked record %s can't be read again (%s); it is used as it was", key_digest(key), type(error).__name__
        )
        return staged
    if record is None:
        log.warning("parked record %s is not in the channel any more; it is closed", key_digest(key))
        parked.close(key, "gone_at_channel", now=datetime.now(UTC).isoformat())
    return record


# transform ------------------------------------------------------------------------------------------------------------


async def transform(
    connector: Connector, fetched: Folder, fresh_from: datetime, identifier: str, chunks: Folder
) -> Row:
    """Stage DTOs in chunks, what can't be one, and the manifest that `settle` checks everything against."""
    command = connector.command(GetOrders)  # type: ignore[type-abstract]
    rows: list[Record] = [row for name in fetched.names() if name.startswith(PAGE) for row in fetched.read(name)]
    in_window = {command.key_of(row) for row in rows}
    waited = [row for row in fetched.read(PARKED) if command.key_of(row) not in in_window]
    entries = await entries_of(command, [*rows, *waited], ChannelCreateOrderDto.fingerprint)
    taken = _second_of_a_number(entries)
    limits = connector.channel.limits
    made = in_chunks(in_groups(entries, _ties_on(identifier)), limits.chunk_size, limits.push_tasks)
    for number, groups in enumerate(made):
        chunks.write(f"{CHUNK}-{number:03}", _chunk_rows(groups, fresh_from, taken))
    bad = [entry for entry in entries if entry.error is not None]
    chunks.write(QUARANTINED, ({**_bad(entry).as_row(), "record": entry.record} for entry in bad))
    manifest = {
        "rows": len(rows) + len(waited),
        "duplicates": len(rows) + len(waited) - len(entries),
        "distinct": len(entries),
        "chunks": len(made),
        "staged_at": datetime.now(UTC).isoformat(),
    }
    chunks.write(MANIFEST, [manifest])
    return manifest


def _second_of_a_number(entries: list[EntryOf]) -> set[str]:
    """Of two orders with one number in a run the earlier keeps it, whichever task would have been faster.

    Push refuses the other one, unless it was linked by an earlier run: then the number is its own.
    """
    first: dict[str, str] = {}
    found = sorted((entry.dto.order.created_at, entry.key, entry.dto.order.number) for entry in entries if entry.dto)
    return {key for _, key, number in found if first.setdefault(number, key) != key}


def _ties_on(identifier: str) -> Callable[[ChannelCreateOrderDto], Iterator[Hashable]]:
    """What makes two buyers one customer of Omnitron: the field it is found by, and what is unique there."""

    def ties(dto: ChannelCreateOrderDto) -> Iterator[Hashable]:
        customer = dto.order.customer
        yield "email", customer.email.casefold()
        yield "channel_code", customer.channel_code
        # Marketplaces give many buyers one relay number: a tie only where it identifies.
        if identifier == "phone_number" and customer.phone_number:
            yield "phone_number", customer.phone_number

    return ties


def _chunk_rows(groups: list[list[EntryOf]], fresh_from: datetime, taken: set[str]) -> Iterator[Row]:
    for number, group in enumerate(groups):
        for entry in group:
            yield {
                "key": entry.key,
                "group": number,
                "in_overlap": entry.time is not None and entry.time < fresh_from,
                "number_taken": entry.key in taken,
                "dto": entry.dto.model_dump(mode="json") if entry.dto else None,
                "cuts": [asdict(cut) for cut in entry.cuts],
                "record": entry.record,
            }


def _bad(entry: EntryOf) -> Outcome:
    if entry.error is None:
        raise ContractError("a record that is fine was to be quarantined")
    return Outcome.quarantined(entry.key, entry.error)


# push -----------------------------------------------------------------------------------------------------------------


async def prepared(omnitron: Omnitron, channel: ChannelConfig, run: str) -> Orders:
    """What one push task needs of Omnitron, read once. `run` marks what this run creates."""
    identifier = identifier_of(await omnitron.channel())
    lookups = Lookups(omnitron)
    return Orders(
        omnitron,
        lookups,
        Customers(omnitron, identifier),
        Addresses(omnitron, lookups),
        await omnitron.catalog(channel.catalog_id),
        key_digest(run),
    )


@dataclass(frozen=True)
class _Item:
    key: str
    group: int
    in_overlap: bool
    number_taken: bool  # by another order of this run
    dto: ChannelCreateOrderDto
    cuts: tuple[Row, ...]

    @property
    def as_of(self) -> datetime:
        """The channel's time of this news."""
        return self.dto.order.modified_at or self.dto.order.created_at


async def push(orders: Orders, rows: Iterable[Row], *, last_try: bool) -> list[Outcome]:
    """Create what is not there yet, many at a time; one customer's orders one after the other.

    Outcomes are returned for every row. FAILED ones are for the next try; after the last one they are parked.
    """
    items = [
        _Item(
            row["key"],
            row["group"],
            row["in_overlap"],
            row["number_taken"],
            ChannelCreateOrderDto.model_validate(row["dto"]),
            tuple(row["cuts"]),
        )
        for row in rows
    ]
    known = await _known(orders, items)
    new = [item for item in items if item.key not in known.rows]
    await orders.lookups.read_products(unit.product for item in new for unit in item.dto.order_item)
    groups: dict[int, list[_Item]] = {}
    for item in sorted(items, key=lambda item: (item.as_of, item.key)):
        groups.setdefault(item.group, []).append(item)
    done = await asyncio.gather(*(_push_group(orders, group, known, last_try=last_try) for group in groups.values()))
    return [outcome for group in done for outcome in group]


@dataclass(frozen=True)
class _Known:
    """What is linked: orders by key, the keys of those whose items surely are, too, and ids of several orders."""

    rows: dict[str, Row]
    whole: set[str]
    ambiguous: set[str]


async def _known(orders: Orders, items: list[_Item]) -> _Known:
    """Read in bulk. Items are looked at as well: another client may have linked an order alone."""
    actions = IntegrationActions(orders.omnitron)
    found = await actions.by_remote_id("order", (item.dto.order.remote_id for item in items))
    pks = {remote_id: int(rows[0]["object_id"]) for remote_id, rows in found.items() if len(rows) == 1}
    rows = await orders.by_pk(pks.values())
    known = [item for item in items if pks.get(item.dto.order.remote_id) in rows]
    units = Counter(unit.remote_id for item in known for unit in item.dto.order_item)
    linked = await actions.by_remote_id("orderitem", units)
    # Another client may have linked an order alone, and an id may be one only within its order.
    sure = {remote_id for remote_id, count in units.items() if len(linked.get(remote_id, ())) == count}
    whole = {
        item.key
        for item in known
        if is_ours(rows[pks[item.dto.order.remote_id]]) and {unit.remote_id for unit in item.dto.order_item} <= sure
    }
    ambiguous = {remote_id for remote_id, rows in found.items() if len(rows) > 1}
    return _Known({item.key: rows[pks[item.dto.order.remote_id]] for item in known}, whole, ambiguous)


async def _push_group(orders: Orders, group: list[_Item], known: _Known, *, last_try: bool) -> list[Outcome]:
    # What was said of a buyer last counts from the start, so that nothing older is written in between.
    said = {item.dto.order.customer.model_dump_json(): item.as_of for item in group}
    newest = [said[item.dto.order.customer.model_dump_json()] for item in group]
    return [
        await _push_one(orders, item, known, as_of, last_try=last_try)
        for item, as_of in zip(group, newest, strict=True)
    ]


async def _push_one(orders: Orders, item: _Item, known: _Known, as_of: datetime, *, last_try: bool) -> Outcome:
    try:
        return await (_check(orders, item, known) if item.key in known.rows else _create(orders, item, known, as_of))
    except RecordError as error:
        return Outcome.quarantined(item.key, error, masked=masked(item.dto))
    except (RetriableError, ContractError, RefusedError) as error:
        if isinstance(error, RefusedError) and last_try:  # of a look-up: it is not even fit to be asked for
            return Outcome.quarantined(item.key, refused(error, "order"), masked=masked(item.dto))
        result = Result.PARKED if last_try else Result.FAILED
        reason, wait = type(error).__name__, getattr(error, "retry_after", None)
        return Outcome(item.key, result, reason, sentence=str(error), failed=True, retry_after=wait)


async def _check(orders: Orders, item: _Item, known: _Known) -> Outcome:
    """Linked by an earlier run."""
    row = known.rows[item.key]
    await orders.check_same(row, item.dto)
    result = Result.SEEN_BEFORE if item.in_overlap else Result.ALREADY_THERE
    if item.key in known.whole:
        return Outcome(item.key, result)
    missing = await IntegrationActions(orders.omnitron).missing(await orders.links(row))
    return Outcome(item.key, result, links=tuple(missing))


async def _create(orders: Orders, item: _Item, known: _Known, as_of: datetime) -> Outcome:
    order = item.dto.order
    if order.remote_id in known.ambiguous:
        raise RecordError(Reason.CONFLICT, "order.remote_id", "several orders of Omnitron are linked with this id")
    if item.number_taken:
        raise RecordError(Reason.NUMBER_TAKEN, "order.number", "this number belongs to another order of the channel")
    created = await orders.create(item.dto, as_of)
    links = tuple(await orders.links(created.row))
    try:
        await orders.check_same(created.row, item.dto)
    except RecordError as error:  # the order is ours and stays linked; its other content waits for a person
        return Outcome.quarantined(item.key, error, links=links, masked=masked(item.dto))
    result = Result.CREATED if created.by_this_run else Result.ALREADY_THERE
    return Outcome(item.key, result, links=links, cuts=item.cuts)


# settle ---------------------------------------------------------------------------------------------------------------


def collected(chunks: Folder, pushed: Iterable[Folder | None]) -> tuple[Settlement, Balance]:
    """What all tasks of a run say, one outcome per key of the manifest.

    A record that no push task gave account of (it was killed, say) is parked: the next run begins with it.
    """
    manifest = next(iter(chunks.read(MANIFEST)))
    settlement = Settlement([], manifest["staged_at"])
    for row in chunks.read(QUARANTINED):
        settlement.records[row["key"]] = row.pop("record")
        settlement.outcomes.append(Outcome.from_row(row))
    for number, folder in enumerate(pushed):
        said = {row["key"]: Outcome.from_row(row) for row in folder.read(OUTCOMES)} if folder else {}
        for row in chunks.read(f"{CHUNK}-{number:03}"):
            outcome = _final(said.get(row["key"]) or _unaccounted(row["key"]))
            settlement.outcomes.append(outcome)
            if outcome.result in {Result.QUARANTINED, Result.PARKED}:
                settlement.records[row["key"]] = row["record"]
    balance = Balance(rows=manifest["rows"], duplicates=manifest["duplicates"], distinct=manifest["distinct"])
    return settlement, balance


def said_before(chunks: Folder, attempts: Iterable[Folder]) -> dict[str, Outcome]:
    """What earlier tries of a push task settled for good, by key: a retry need not do it again."""
    found: dict[str, Outcome] = {}
    for folder in attempts:
        if OUTCOMES in folder.names() and next(iter(folder.read(OF)))["chunks"] == chunks.path:
            said = (Outcome.from_row(row) for row in folder.read(OUTCOMES))
            found |= {outcome.key: outcome for outcome in said if outcome.result in SETTLED}
    return found


def keep_outcomes(folder: Folder, chunks: Folder, outcomes: list[Outcome], owed: OwedLinks) -> None:
    """Outcomes, the chunks that they are about, and the links, even if this run never gets to settle."""
    folder.write(OF, [{"chunks": chunks.path}])
    folder.write(OUTCOMES, (outcome.as_row() for outcome in outcomes))
    owed.owe(folder.path.replace("/", "-"), [asdict(link) for outcome in outcomes for link in outcome.links])


def _final(outcome: Outcome) -> Outcome:
    """There is no next try any more for what was left to one: somebody ended the push task before."""
    return replace(outcome, result=Result.PARKED) if outcome.result is Result.FAILED else outcome


def _unaccounted(key: str) -> Outcome:
    return Outcome(key, Result.PARKED, "push_failed", sentence="its push task left no outcome", failed=True)
