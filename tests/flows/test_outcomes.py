"""What became of every record, and whether it adds up."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_integration.channels.registry import ChannelLimits
from order_integration.errors import Reason, RecordError
from order_integration.flows.outcomes import SETTLED, Balance, Outcome, Result, as_table
from order_integration.flows.settling import verdict
from order_integration.omnitron.integration_actions import Link
from order_integration.omnitron.lookups import LocationError
from order_integration.transport import dumps, loads

RESULTS = st.sampled_from(list(Result))
LINKS = st.builds(Link, st.sampled_from(["order", "orderitem"]), st.integers(1), st.text(), st.text())
OUTCOMES = st.builds(
    Outcome,
    st.text(min_size=1),
    RESULTS,
    st.sampled_from(["", *Reason]),
    st.text(),
    st.text(),
    links=st.lists(LINKS, max_size=3).map(tuple),
    cuts=st.lists(st.fixed_dictionaries({"field": st.text(), "length": st.integers()}), max_size=2).map(tuple),
    masked=st.none() | st.fixed_dictionaries({"order": st.text()}),
    failed=st.booleans(),
)


@given(outcome=OUTCOMES)
def test_an_outcome_survives_staging(outcome: Outcome) -> None:
    assert Outcome.from_row(loads(dumps(outcome.as_row()))) == outcome


def test_a_quarantined_record_keeps_reason_and_field() -> None:
    outcome = Outcome.quarantined("1", RecordError(Reason.CONFLICT, "order.amount", "differs", order=7))

    assert (outcome.result, outcome.reason, outcome.field, outcome.sentence) == (
        Result.QUARANTINED,
        "conflict",
        "order.amount",
        "differs",
    )
    assert outcome.location is None


def test_an_unknown_place_keeps_what_the_merchant_needs_to_map_it() -> None:
    outcome = Outcome.quarantined("1", LocationError("city", "shipping_address.city", "Atlantis", {"country": 5}))

    assert outcome.reason == "city_unknown"
    assert outcome.location == {"level": "city", "name": "Atlantis", "parents": {"country": 5}}


@given(results=st.lists(RESULTS), duplicates=st.integers(0, 9))
def test_the_balance_holds_when_every_key_has_one_outcome(results: list[Result], duplicates: int) -> None:
    balance = Balance(rows=len(results) + duplicates, duplicates=duplicates, distinct=len(results))

    balance.count(Outcome(str(number), result) for number, result in enumerate(results))

    assert balance.holds
    assert balance.results == Counter(results)


@pytest.mark.parametrize(
    ("rows", "duplicates", "distinct", "outcomes"), [(3, 0, 3, 2), (3, 0, 3, 4), (4, 0, 3, 3), (3, 1, 3, 3)]
)
def test_a_record_too_few_or_too_many_does_not_balance(
    rows: int, duplicates: int, distinct: int, outcomes: int
) -> None:
    balance = Balance(rows=rows, duplicates=duplicates, distinct=distinct)

    balance.count(Outcome(str(number), Result.CREATED) for number in range(outcomes))

    assert not balance.holds
    assert "does not hold" in (verdict(balance, ChannelLimits()) or "")
    assert "DOES NOT HOLD" in as_table(balance.as_row())


def test_reasons_and_failures_are_counted() -> None:
    balance = Balance(rows=4, distinct=4)

    balance.count(
        [
            Outcome("1", Result.QUARANTINED, "conflict"),
            Outcome("2", Result.QUARANTINED, "conflict"),
            Outcome("3", Result.PARKED, failed=True),
            Outcome("4", Result.FAILED),
        ]
    )

    assert balance.as_row()["reasons"] == {"conflict": 2}
    assert balance.failed == 2
    assert "2 records failed" in (verdict(balance, ChannelLimits()) or "")


def test_a_table_names_every_count() -> None:
    balance = Balance(rows=3, duplicates=1, distinct=2)
    balance.count([Outcome("1", Result.CREATED), Outcome("2", Result.QUARANTINED, "items_empty")])

    lines = as_table(balance.as_row()).splitlines()

    assert [line.split() for line in lines[:4]] == [
        ["rows", "3"],
        ["duplicates", "1"],
        ["distinct", "2"],
        ["created", "1"],
    ]
    assert ["seen", "before", "0"] in [line.split() for line in lines]
    assert ["items_empty", "1"] in [line.split() for line in lines]
    assert lines[-1].strip() == "balance holds"


def test_what_waits_is_not_settled() -> None:
    assert set(Result) - SETTLED == {Result.QUARANTINED, Result.PARKED, Result.FAILED}


@pytest.mark.parametrize(
    ("distinct", "new", "is_red"),
    [(10, 50, False), (10, 51, True), (1000, 200, False), (1000, 201, True), (0, 0, False)],
)
def test_too_much_that_is_new_in_quarantine_turns_a_run_red(distinct: int, new: int, *, is_red: bool) -> None:
    balance = Balance(rows=distinct, distinct=distinct, new_in_quarantine=new)
    balance.count(Outcome(str(number), Result.CREATED) for number in range(distinct))

    assert (verdict(balance, ChannelLimits()) is not None) is is_red


@given(new=st.integers(0, 500), distinct=st.integers(0, 500))
def test_more_in_quarantine_is_never_better(new: int, distinct: int) -> None:
    reds = []
    for count in (new, new + 1):
        balance = Balance(rows=distinct, distinct=distinct, new_in_quarantine=count)
        balance.count(Outcome(str(number), Result.CREATED) for number in range(distinct))
        reds.append(verdict(balance, ChannelLimits()) is not None)

    assert all(before <= after for before, after in pairwise(reds))
