"""Cancellation requests: found again by what they say, whatever the server makes of our filters."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_integration.errors import ContractError, Reason, RecordError, UnknownOutcomeError
from order_integration.omnitron.cancellation_requests import CREATED, MODIFIED, CancellationRequests, Wanted, link_of
from order_integration.omnitron.client import Omnitron, Row, id_of
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from tests.conftest import BackOffice
from tests.flows.steps import Steps
from tests.omnitron.conftest import Ask
from tests.shelf import item, order

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TEXT = "Ayşe'nin kolu kısa geldi"


@pytest.fixture
def items(steps: Steps, back_office: BackOffice, shelf: Any) -> list[int]:
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    steps.run()
    return sorted(back_office.linked("orderitem").values())


def wanted(item: int, **own: Any) -> Wanted:
    return Wanted(**{"order_item": item, "cancellation_type": "refund", "reason": 1, "description": TEXT, **own})


def with_requests(work: Any) -> Any:
    async def asked(omnitron: Omnitron) -> Any:
        return await work(CancellationRequests(omnitron))

    return asked


def creating(*ones: Wanted) -> Any:
    async def work(requests: CancellationRequests) -> list[int]:
        return [id_of(await requests.create(one, f"R{number}")) for number, one in enumerate(ones)]

    return with_requests(work)


def finding(one: Wanted, since: datetime = LONG_AGO) -> Any:
    async def work(requests: CancellationRequests) -> list[int]:
        return [id_of(row) for row in await requests.unlinked(one.marks, since)]

    return with_requests(work)


def by_pk(*pks: int) -> Any:
    async def work(requests: CancellationRequests) -> set[int]:
        return set(await requests.by_pk(pks))

    return with_requests(work)


def of_items(*pks: int) -> Any:
    async def work(requests: CancellationRequests) -> dict[int, list[int]]:
        return {item: [id_of(row) for row in rows] for item, rows in (await requests.of_items(pks)).items()}

    return with_requests(work)


def test_a_request_arrives_as_it_is(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    [pk] = ask(creating(wanted(items[0])))

    [row] = back_office.rows("cancellation_requests")
    assert row["id"] == pk
    assert (row["order_item"], row["reason"], row["cancellation_type"]) == (items[0], 1, "refund")
    assert row["description"] == TEXT


def test_a_request_whose_answer_is_lost_is_not_sent_twice_by_itself(
    ask: Ask, back_office: BackOffice, items: list[int]
) -> None:
    back_office.fault("POST", "/cancellation_requests/", "cut_after")

    with pytest.raises(UnknownOutcomeError):
        ask(creating(wanted(items[0])))
    assert len(back_office.rows("cancellation_requests")) == 1


def test_an_empty_answer_is_not_taken_for_a_request(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    back_office.fault("POST", "/cancellation_requests/", "status", status=201)

    with pytest.raises(ContractError):
        ask(creating(wanted(items[0])))


def test_what_omnitron_refuses_names_no_value(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    with pytest.raises(RecordError) as caught:
        ask(creating(wanted(items[0], reason=99)))

    assert caught.value.reason is Reason.REFUSED
    assert "reason" in caught.value.sentence
    assert "Ayşe" not in str(caught.value)
    assert "Ayşe" not in repr(wanted(items[0]))


# Found again ---------------------------------------------------------------------------------------------------------


def test_a_request_is_found_by_what_it_says(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    one = wanted(items[0], description=f"  {TEXT} ")
    others = [
        wanted(items[0], description="another"),
        wanted(items[0], cancellation_type="cancel"),
        wanted(items[1]),
    ]
    back_office.told(cancellation_reasons=[{"id": 2, "subject": "Beden", "cancellation_type": "refund"}])
    [pk, *_] = ask(creating(one, *others, wanted(items[0], reason=2)))

    assert ask(finding(one)) == [pk]


def test_empty_words_are_found_as_well(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    [pk] = ask(creating(wanted(items[0], description=" ")))

    assert ask(finding(wanted(items[0], description=""))) == [pk]


def test_two_that_say_the_same_are_both_found(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    pks = ask(creating(wanted(items[0]), wanted(items[0])))

    assert ask(finding(wanted(items[0]))) == pks


def test_what_was_made_long_before_is_somebody_else_s(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    ask(creating(wanted(items[0])))

    assert ask(finding(wanted(items[0]), datetime.now(UTC) + timedelta(hours=1))) == []


def test_a_clock_that_goes_a_little_wrong_hides_nothing(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    [pk] = ask(creating(wanted(items[0])))

    assert ask(finding(wanted(items[0]), datetime.now(UTC) + timedelta(minutes=2))) == [pk]


def test_what_is_linked_belongs_to_somebody(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    async def linking(omnitron: Omnitron) -> None:
        row = await CancellationRequests(omnitron).create(wanted(items[0]), "R1")
        await IntegrationActions(omnitron).write([link_of(row, "R1", MODIFIED)])

    ask(linking)

    assert ask(finding(wanted(items[0]))) == []


@pytest.mark.parametrize(("version", "date"), [(MODIFIED, "2026-01-05T09:00:00Z"), (CREATED, "2026-01-04T09:00:00Z")])
def test_a_link_names_the_request_and_the_version_that_is_known(version: str, date: str) -> None:
    row: Row = {"id": 5, "created_date": "2026-01-04T09:00:00Z", "modified_date": "2026-01-05T09:00:00Z"}

    assert link_of(row, "R1", version) == Link("cancellationrequest", 5, "R1", date)


# Filters -------------------------------------------------------------------------------------------------------------


def test_requests_are_read_many_at_once(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    pks = ask(creating(*[wanted(items[0])] * 55))
    back_office.delete("/admin/requests")

    assert ask(by_pk(*pks)) == set(pks)
    assert len(back_office.calls("GET", "/cancellation_requests/")) == 2


@pytest.mark.parametrize("answer", ["ignored", "refused"])
def test_a_server_without_our_filters_is_asked_for_each(
    ask: Ask, back_office: BackOffice, items: list[int], answer: str
) -> None:
    pks = ask(creating(*[wanted(items[0])] * 3, wanted(items[1])))
    if answer == "ignored":
        back_office.fault("GET", "/cancellation_requests/$", "status", status=200, body={"results": [{"id": 98765}]})
    else:
        back_office.fault("GET", "/cancellation_requests/$", "status", status=400, body={"pk__in": ["unknown"]})

    assert ask(by_pk(*pks[:2], 987654)) == set(pks[:2])


def test_requests_of_items_are_told_apart(ask: Ask, back_office: BackOffice, items: list[int]) -> None:
    pks = ask(creating(wanted(items[0]), wanted(items[1]), wanted(items[0])))

    assert ask(of_items(*items)) == {items[0]: [pks[0], pks[2]], items[1]: [pks[1]]}
    assert ask(of_items(items[1], 987654)) == {items[1]: [pks[1]]}
    assert ask(of_items()) == {}


def test_a_server_that_refuses_the_filter_of_items_is_read_whole(
    ask: Ask, back_office: BackOffice, items: list[int]
) -> None:
    pks = ask(creating(wanted(items[0]), wanted(items[1])))
    back_office.fault("GET", "/cancellation_requests/$", "status", status=400, body={"detail": "no such filter"})

    assert ask(of_items(items[1])) == {items[1]: [pks[1]]}


def test_a_server_that_ignores_the_filter_of_items_is_read_once(
    ask: Ask, back_office: BackOffice, items: list[int]
) -> None:
    rows = [{"id": number, "order_item": number} for number in (1, 2, 9)]
    back_office.fault("GET", "/cancellation_requests/$", "status", status=200, body={"results": rows}, times=9)
    back_office.delete("/admin/requests")

    found = ask(of_items(1, 2, *range(100, 200)))

    assert found == {1: [1], 2: [2]}
    assert len(back_office.calls("GET", "/cancellation_requests/")) == 1


@pytest.mark.parametrize("answer", ["ignored", "refused"])
def test_a_server_that_does_not_filter_is_read_whole_once_by_all_who_ask(
    ask: Ask, back_office: BackOffice, items: list[int], answer: str
) -> None:
    older = ask(creating(wanted(items[0]), wanted(items[1])))
    rows = back_office.rows("cancellation_requests")
    if answer == "ignored":
        back_office.fault("GET", "/cancellation_requests/$", "status", status=200, body={"results": rows}, times=99)
    else:
        back_office.fault("GET", "/cancellation_requests/$", "status", status=400, body={"detail": "no such filter"})
    back_office.delete("/admin/requests")

    async def work(requests: CancellationRequests) -> list[list[int]]:
        await asyncio.gather(*(requests.of_items([item]) for item in items))
        await requests.create(wanted(items[1]), "R")
        found = [(await requests.of_items([item]))[item] for item in items]
        return [[id_of(row) for row in rows] for rows in found]

    first, second = ask(with_requests(work))

    assert (first, second[:1], len(second)) == (older[:1], older[1:], 2)
    assert len(back_office.calls("GET", "/cancellation_requests/")) == (1 if answer == "ignored" else 2)
