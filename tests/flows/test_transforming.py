"""Raw records become DTOs in chunks: duplicates, versions, conflicts, ties, and whole groups."""

import asyncio
from collections.abc import Hashable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_integration.channels.commands import ChannelConnection
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import Reason
from order_integration.flows.transforming import Entry, entries_of, in_chunks, in_groups
from tests.flows.steps import config
from tests.shelf import Shelf, ShelfGetOrders, customer, item, order


class AwaitedGetOrders(ShelfGetOrders):
    async def normalize_response(self, response: Any) -> ChannelCreateOrderDto:
        return super().normalize_response(response)


def entries(*rows: Any, kind: type[ShelfGetOrders] = ShelfGetOrders) -> list[Entry[ChannelCreateOrderDto]]:
    command = kind(Shelf(config(), ChannelConnection("http://127.0.0.1:9")))
    return asyncio.run(entries_of(command, rows, ChannelCreateOrderDto.fingerprint))


def reasons(found: list[Entry[ChannelCreateOrderDto]]) -> dict[str, str | None]:
    return {entry.key: entry.error.reason if entry.error else None for entry in found}


def test_entries_stand_in_the_order_of_their_times() -> None:
    found = entries(order("b", minutes=2), order("a", minutes=3), order("c", minutes=1))

    assert [entry.key for entry in found] == ["c", "b", "a"]
    assert all(entry.dto and not entry.error for entry in found)


def test_the_same_record_twice_is_one() -> None:
    assert len(entries(order("1"), order("2"), order("1"))) == 2


@pytest.mark.parametrize("backwards", [False, True])
def test_of_several_versions_the_latest_counts(*, backwards: bool) -> None:
    versions = [order("1", minutes=minute, status=status) for minute, status in ((0, "400"), (5, "500"), (9, "550"))]

    [entry] = entries(*(reversed(versions) if backwards else versions))

    assert entry.dto is not None
    assert entry.dto.order.status == "550"
    assert entry.record == versions[-1]


@pytest.mark.parametrize(
    "other",
    [
        order("1", minutes=5, amount="60.01"),
        order("1", minutes=5, number="N2"),
        order("1", minutes=5, items=[item("1", product="SKU-2")]),
    ],
)
def test_versions_that_contradict_each_other_are_a_conflict(other: dict[str, Any]) -> None:
    [entry] = entries(order("1"), other)

    assert entry.dto is None
    assert entry.error is not None
    assert entry.error.reason is Reason.CONFLICT


def test_a_latest_version_that_is_bad_is_not_replaced_by_an_older_one() -> None:
    [entry] = entries(order("1"), order("1", minutes=5, items=[]))

    assert entry.dto is None
    assert reasons([entry]) == {"1": Reason.ITEMS_EMPTY}


def test_an_older_version_that_is_bad_hurts_nobody() -> None:
    [entry] = entries(order("1", items=[]), order("1", minutes=5))

    assert entry.dto is not None
    assert entry.error is None


BROKEN: list[Any] = [None, "text", 5, [], {}, {"id": "x"}, {"id": "x", "dto": None}, {"id": "x", "dto": []}]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_record_that_is_none_stops_nobody_else(broken: Any) -> None:
    found = entries(order("1"), broken, order("2", minutes=1))

    assert len(found) == 3
    assert sum(entry.dto is not None for entry in found) == 2
    [bad] = [entry for entry in found if entry.error]
    assert bad.error is not None
    assert bad.error.reason in {Reason.RECORD_MALFORMED, Reason.FIELD_MALFORMED}
    assert bad.record == broken


@pytest.mark.parametrize("nameless", [{"a": 1}, {"id": None, "a": 1}, {"id": "", "a": 1}])
def test_records_without_an_id_are_counted_one_by_one(nameless: dict[str, Any]) -> None:
    assert len(entries(nameless, {**nameless, "a": 2}, nameless)) == 2


@pytest.mark.parametrize("error", [KeyError, TypeError, ValueError, OverflowError, IndexError, AttributeError])
def test_a_connector_s_slip_is_told_by_its_kind_not_by_its_words(error: type[Exception]) -> None:
    class Slipping(ShelfGetOrders):
        def normalize_response(self, response: Any) -> ChannelCreateOrderDto:
            raise error("ayse@example.com")

    [entry] = entries(order("1"), kind=Slipping)

    assert reasons([entry]) == {"1": Reason.RECORD_MALFORMED}
    assert error.__name__ in str(entry.error)
    assert "ayse" not in str(entry.error)


def test_a_connector_s_step_may_be_awaited() -> None:
    assert reasons(entries(order("1"), order("2", amount="1.00"), kind=AwaitedGetOrders)) == {
        "1": None,
        "2": Reason.TOTALS_MISMATCH,
    }


def test_what_was_cut_stands_with_its_record() -> None:
    long, short = entries(order("1", notes="x" * 400), order("2", minutes=1))

    assert [(cut.field, cut.length, cut.limit) for cut in long.cuts] == [("notes", 400, 320)]
    assert short.cuts == []


# Groups and chunks ---------------------------------------------------------------------------------------------------

DTO = ChannelCreateOrderDto.model_validate(order("1")["dto"])


def tied(*ties: set[int]) -> list[list[str]]:
    """Groups of entries that are named by their place and tied by these marks."""
    made = [Entry(str(number), {}, None, DTO.model_copy()) for number in range(len(ties))]
    marks = {id(entry.dto): tie for entry, tie in zip(made, ties, strict=True)}

    def ties_of(dto: ChannelCreateOrderDto) -> set[Hashable]:
        return set(marks[id(dto)])

    return [sorted(entry.key for entry in group) for group in in_groups(made, ties_of)]


def test_a_chain_of_ties_is_one_group() -> None:
    assert tied({1}, {1, 2}, {2, 3}, {3}, {9}) == [["0", "1", "2", "3"], ["4"]]


def test_a_tie_that_comes_late_joins_two_groups() -> None:
    assert sorted(tied({1}, {2}, {3}, {1, 2})) == [["0", "1", "3"], ["2"]]


def test_entries_without_a_dto_are_in_no_group() -> None:
    bad = Entry[ChannelCreateOrderDto]("bad", {}, None)

    assert in_groups([bad], lambda dto: [1]) == []


TIES = st.lists(st.sets(st.integers(0, 12), min_size=1, max_size=3), max_size=30)


@given(ties=TIES)
def test_two_entries_are_in_one_group_exactly_when_a_chain_of_ties_joins_them(ties: list[set[int]]) -> None:
    groups = tied(*ties)

    assert sorted(key for group in groups for key in group) == sorted(map(str, range(len(ties))))
    marks = [set().union(*(ties[int(key)] for key in group)) for group in groups]
    assert sum(map(len, marks)) == len(set().union(*marks)) if marks else True  # no mark is in two groups
    for group, mark in zip(groups, marks, strict=True):
        assert _is_joined([ties[int(key)] for key in group], mark)


def _is_joined(ties: list[set[int]], mark: set[int]) -> bool:
    reached = set(ties[0])
    while any(reached & tie and not tie <= reached for tie in ties):
        reached |= set().union(*(tie for tie in ties if tie & reached))
    return reached == mark


@given(
    sizes=st.lists(st.integers(1, 40), max_size=40),
    size=st.integers(1, 50),
    most=st.integers(1, 5),
)
def test_chunks_hold_every_group_once_and_whole(sizes: list[int], size: int, most: int) -> None:
    groups = [
        [Entry[ChannelCreateOrderDto](f"{g}-{n}", {}, None) for n in range(count)] for g, count in enumerate(sizes)
    ]

    chunks = in_chunks(groups, size, most)

    placed = [[entry.key for entry in group] for chunk in chunks for group in chunk]
    assert sorted(placed) == sorted([entry.key for entry in group] for group in groups)
    assert len(chunks) <= min(most, -(-sum(sizes) // size))
    assert all(chunks)
    loads = [sum(map(len, chunk)) for chunk in chunks]
    if loads:  # even, but for one group
        assert max(loads) - min(loads) <= max(sizes)


def test_one_customer_of_many_orders_is_one_group_in_reasonable_work() -> None:
    """Each order is looked at a few times, not once for each order before it."""
    looked: list[int] = []
    made = [Entry(str(number), {}, None, DTO) for number in range(2000)]

    def ties(dto: ChannelCreateOrderDto) -> list[Hashable]:
        looked.append(1)
        return [dto.order.customer.email]

    [group] = in_groups(made, ties)

    assert len(group) == 2000
    assert len(looked) < 10 * 2000


def test_customers_who_share_nothing_are_apart() -> None:
    found = entries(order("1", buyer="a"), order("2", buyer="b"), order("3", buyer="a", customer=customer("a")))

    groups = in_groups(found, lambda dto: [dto.order.customer.email])

    assert sorted(sorted(entry.key for entry in group) for group in groups) == [["1", "3"], ["2"]]
