"""Batch requests: answers get lost, locks are held by others, and ends are final."""

from typing import Any

import pytest

from order_integration.errors import ContractError, LockedError, RefusedError, UnknownOutcomeError
from order_integration.omnitron.batch_requests import Batch, BatchRequests
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.integration_actions import Link
from tests.conftest import BackOffice
from tests.flows.steps import Steps
from tests.omnitron.conftest import Ask
from tests.shelf import order

LOST = ["cut_before", "cut_after", "truncate"]


@pytest.fixture
def link(back_office: BackOffice, steps: Steps, shelf: Any) -> Link:
    """An order that is in Omnitron."""
    shelf(order("1"))
    steps.run()
    back_office.delete("/admin/requests")
    [row] = back_office.rows("orders")
    return Link("order", row["pk"], "1-new", row["modified_date"])


def create(omnitron: Omnitron) -> Any:
    return BatchRequests(omnitron).create()


def status(back_office: BackOffice, batch: Batch) -> str:
    [row] = back_office.rows("batch_requests", pk__in=batch.pk)
    return str(row["status"])


async def whole(omnitron: Omnitron, link: Link) -> Batch:
    batches = BatchRequests(omnitron)
    batch = await batches.create()
    await batches.commit(batch, "order", [link])
    await batches.done(batch.pk, [link])
    return batch


def test_a_batch_request_links_its_objects(ask: Ask, back_office: BackOffice, link: Link) -> None:
    batch = ask(lambda o: whole(o, link))

    assert status(back_office, batch) == "done"
    assert back_office.linked("order") == {"1-new": link.pk}


@pytest.mark.parametrize("kind", LOST)
@pytest.mark.parametrize("call", [0, 1], ids=["commit", "done"])
def test_a_lost_answer_of_a_change_is_asked_for_again(
    ask: Ask, back_office: BackOffice, link: Link, kind: str, call: int
) -> None:
    back_office.fault("PATCH", "/batch_requests/", kind, skip=call)

    batch = ask(lambda o: whole(o, link))

    assert status(back_office, batch) == "done"
    assert back_office.linked("order") == {"1-new": link.pk}


@pytest.mark.parametrize("kind", LOST)
def test_a_lost_answer_of_a_creation_leaves_no_lock_behind(
    ask: Ask, back_office: BackOffice, link: Link, kind: str
) -> None:
    back_office.fault("POST", "/batch_requests/", kind)

    ask(lambda o: whole(o, link))

    assert {row["status"] for row in back_office.rows("batch_requests")} <= {"done", "initialized"}


def test_done_twice_is_done(ask: Ask, back_office: BackOffice) -> None:
    batch = ask(create)
    ask(lambda o: BatchRequests(o).done(batch.pk))
    ask(lambda o: BatchRequests(o).done(batch.pk))

    assert status(back_office, batch) == "done"


@pytest.mark.defect("B12")
def test_another_end_than_the_wanted_one_is_reported(ask: Ask, back_office: BackOffice) -> None:
    batch = ask(create)
    back_office.post(f"/admin/batch_requests/{batch.pk}/fail").raise_for_status()

    with pytest.raises(ContractError, match="is fail, not done") as caught:
        ask(lambda o: BatchRequests(o).done(batch.pk))
    assert caught.value.ids == {"batch": batch.pk}


@pytest.mark.parametrize("end", ["done", "fail"])
def test_failing_what_has_ended_is_silent(ask: Ask, back_office: BackOffice, end: str) -> None:
    batch = ask(create)
    ask(lambda o: BatchRequests(o).done(batch.pk) if end == "done" else BatchRequests(o).fail(batch.pk))

    ask(lambda o: BatchRequests(o).fail(batch.pk))

    assert status(back_office, batch) == end


def test_failing_lets_the_objects_go(ask: Ask, back_office: BackOffice, link: Link) -> None:
    async def story(omnitron: Omnitron) -> None:
        batches = BatchRequests(omnitron)
        batch = await batches.create()
        await batches.commit(batch, "order", [link])
        await batches.fail(batch.pk)

    ask(story)

    assert ask(lambda o: BatchRequests(o).open_ones("order")) == []
    ask(lambda o: whole(o, link))


@pytest.mark.parametrize("refused", [406, 400, 409, 423])
def test_a_lock_that_another_one_holds_names_it(ask: Ask, back_office: BackOffice, link: Link, refused: int) -> None:
    back_office.switch(refused_commit_status=refused)
    holder = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()

    with pytest.raises(LockedError) as caught:
        ask(lambda o: whole(o, link))

    assert caught.value.ids == {"batch": holder["pk"], "batch_status": "commit"}
    assert str(holder["pk"]) in str(caught.value)


def test_locks_of_others_that_end_while_they_are_looked_for_are_in_nobody_s_way(
    ask: Ask, back_office: BackOffice, link: Link
) -> None:
    back_office.fault("PATCH", "/batch_requests/", "status", status=406, body={"code": "locked"}, times=3)

    assert status(back_office, ask(lambda o: whole(o, link))) == "done"


def test_locks_of_other_content_types_and_channels_are_none_of_ours(
    ask: Ask, back_office: BackOffice, link: Link
) -> None:
    for channel, content_type in ((1, "cancellationrequest"), (2, "order")):
        back_office.post("/admin/lock", json={"channel": channel, "content_type": content_type}).raise_for_status()

    assert status(back_office, ask(lambda o: whole(o, link))) == "done"


def test_a_commit_that_is_refused_without_a_lock_is_a_refusal(ask: Ask, back_office: BackOffice) -> None:
    stranger = Link("order", 987654, "x", "2026-01-01T00:00:00Z")

    with pytest.raises(RefusedError) as caught:
        ask(lambda o: whole(o, stranger))
    assert not isinstance(caught.value, LockedError)


@pytest.mark.defect("B14")
def test_objects_may_be_committed_in_two_goes(ask: Ask, back_office: BackOffice, steps: Steps, shelf: Any) -> None:
    shelf(order("1"), order("2", minutes=1))
    steps.run()
    links = [
        Link("order", row["pk"], f"new-{row['number']}", row["modified_date"]) for row in back_office.rows("orders")
    ]

    async def story(omnitron: Omnitron) -> None:
        batches = BatchRequests(omnitron)
        batch = await batches.create()
        for link in links:
            await batches.commit(batch, "order", [link])
        await batches.done(batch.pk, links)

    ask(story)

    assert set(back_office.linked("order")) == {"new-N1", "new-N2"}


def test_a_batch_request_that_is_nowhere_is_a_refusal(ask: Ask) -> None:
    with pytest.raises(RefusedError):
        ask(lambda o: BatchRequests(o).fail(987654))


def test_an_end_whose_answer_stays_lost_is_unknown(ask: Ask, back_office: BackOffice) -> None:
    batch = ask(create)
    back_office.fault("PATCH", "/batch_requests/", "cut_after", times=9)

    with pytest.raises(UnknownOutcomeError):
        ask(lambda o: BatchRequests(o).done(batch.pk), tries=2)
    back_office.delete("/admin/faults")
    assert ask(lambda o: BatchRequests(o).status(batch.pk)) == "done"
