"""Every command that reads: windows, pages, keys, times, and records that are not as they should be."""

from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest

from order_integration.channels.commands import (
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    GetUpdatedOrderItems,
    Record,
    Window,
)
from order_integration.conformance.bench import Bench, NotCovered
from order_integration.conformance.judging import (
    Happened,
    any_two,
    done,
    entries,
    entries_from,
    happened,
    pages_of,
)
from order_integration.dto import Dto
from order_integration.exact_json import dumps, loads
from order_integration.flows.transforming import Entry, entries_of

TICK = timedelta(microseconds=1)
MARK = "conformance-marker"
WRONG: tuple[Any, ...] = (None, MARK, -1, [], {"x": MARK})
PATHS_AT_MOST = 80

reading = pytest.mark.parametrize(
    "kind",
    [GetOrders, GetCancelledOrders, GetUpdatedOrderItems, GetCancellationRequests],
    ids=lambda kind: kind.__name__,
)


def keys_in(bench: Bench, kind: type[Any], window: Window, wanted: set[str]) -> Counter[str]:
    """How often each wanted key comes; a row that comes again inside one window is a duplicate, which is no harm."""
    return Counter(entry.key for entry in entries(bench, kind, window) if entry.key in wanted)


@reading
def test_windows_that_meet_share_nothing_and_leave_nothing_out(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 3)
    keys = made.keys(bench)
    found = [entry for entry in entries(bench, kind, made.window) if entry.key in keys]

    for entry in found:
        assert entry.time is not None, "record_time gives no time with a zone"
        for middle, half in ((entry.time, 1), (entry.time + TICK, 0)):
            halves = [Window(made.window.start, middle), Window(middle, made.window.end)]
            counted = [keys_in(bench, kind, window, keys) for window in halves]
            assert counted[0] + counted[1] == Counter(dict.fromkeys(keys, 1)), "not once in two windows that meet"
            assert entry.key in counted[half], "start belongs to a window, end does not"


@reading
def test_a_window_is_read_whole_whatever_the_page_size(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 3)
    whole = made.keys(bench)

    pages = pages_of(bench, kind, made.window, page_size=2)

    assert len(whole) == len(made.about)
    assert {key for key in keys_of(bench, kind, pages) if key in whole} == whole
    if kind is GetOrders:  # other records are parts of what the channel counts
        assert max(map(len, pages)) <= 2, "a page has more records than page_size"


@reading
def test_what_comes_late_is_in_the_same_window_read_again(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 1)
    before = made.keys(bench)
    later = happened(bench, kind, 1)

    again = Happened(kind, made.about | later.about, made.window).keys(bench)

    assert before < again


@reading
def test_a_window_read_twice_gives_the_same_records(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 2)

    first, second = (
        {entry.key: entry.record for entry in entries(bench, kind, made.window) if made.ours(entry.dto)}
        for _ in range(2)
    )

    assert first == second


@reading
def test_a_record_by_its_key_is_what_the_window_gives(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 1)
    found = [entry for entry in entries(bench, kind, made.window) if made.ours(entry.dto)]

    async def by_key(command: Any) -> tuple[list[Record | None], Record | None]:
        if not command.can_get_by_key():
            raise NotCovered(f"{kind.__name__}.get_by_key: what waits is tried again as it was read")
        return [await command.get_by_key(entry.key) for entry in found], await command.get_by_key("conformance-no-key")

    records, unknown = done(bench, kind, by_key)

    assert None not in records, "a key that the window gave is not known"
    again = entries_from(bench, kind, [record for record in records if record is not None])
    # Not the records themselves: a channel may show more of one than of many.
    assert [(one.key, one.time, one.dto) for one in again] == [(one.key, one.time, one.dto) for one in found]
    assert unknown is None, "a key that the channel does not know is None"


@reading
def test_times_have_a_zone_and_are_in_their_window(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 1)
    found = [entry for entry in entries(bench, kind, made.window) if made.ours(entry.dto)]

    for entry in found:
        assert isinstance(entry.time, datetime)
        assert made.window.start <= entry.time < made.window.end


@reading
def test_records_go_through_a_file_and_are_the_same(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 1)

    for entry in entries(bench, kind, made.window):
        if made.ours(entry.dto):
            (again,) = entries_from(bench, kind, [loads(dumps(entry.record))])
            assert (again.key, again.time, again.dto) == (entry.key, entry.time, entry.dto)


@reading
def test_a_bad_record_is_refused_without_its_values_and_stops_no_other(bench: Bench, kind: type[Any]) -> None:
    made = happened(bench, kind, 1)
    good = next(entry.record for entry in entries(bench, kind, made.window) if made.ours(entry.dto))
    people = [text for text in _texts(good) if "@" in text or text.startswith("+")]
    records = [{}, *_spoiled(good)]

    async def read(command: Any) -> list[Entry[Dto]]:
        # Each alone: an error that is not of one record comes out of here, as it would stop a flow.
        return [entry for bad in records for entry in await entries_of(command, [bad], any_two)]

    found = done(bench, kind, read)

    assert found[0].error is not None, "a record that holds nothing was taken for one"
    for entry in found:
        if entry.error is not None:
            said = f"{entry.error} {entry.error.field}"
            assert not [text for text in [MARK, *people] if text in said], "a value of a record is in its error"


def keys_of(bench: Bench, kind: type[Any], pages: list[list[Record]]) -> list[str]:
    return [entry.key for entry in entries_from(bench, kind, [row for page in pages for row in page])]


def _paths(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    for name, one in inside:
        yield (*above, name)
        yield from _paths(one, (*above, name))


def _spoiled(good: Record) -> Iterator[Record]:
    """The record with one place of it wrong, or gone."""
    for path in list(_paths(good))[:PATHS_AT_MOST]:
        for wrong in WRONG:
            bad = deepcopy(good)
            _at(bad, path)[path[-1]] = wrong
            yield bad
        bad = deepcopy(good)
        del _at(bad, path)[path[-1]]
        yield bad


def _at(record: Any, path: tuple[Any, ...]) -> Any:
    for name in path[:-1]:
        record = record[name]
    return record


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _texts(one)
