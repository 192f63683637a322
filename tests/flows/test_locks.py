"""Settles of several flows meet at Omnitron's lock; and what is linked beside a job that holds it for hours."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from order_integration.errors import LockedError
from order_integration.staging import OwedLinks
from tests.conftest import BackOffice
from tests.flows.state import no_batch_is_open
from tests.flows.steps import DAY, Steps, config, results
from tests.flows.test_batches import batch, has_links, lock, move
from tests.shelf import item, order


@pytest.fixture
def feed(back_office: BackOffice) -> Callable[[], None]:
    """A job that the channel works on; called, it is done."""
    pk = batch(back_office)
    move(back_office, pk, "commit", content_type="order", objects=[])
    move(back_office, pk, "sent_to_remote", remote_batch_id="feed-1")
    return lambda: move(back_office, pk, "done", objects=[])


def test_a_lock_that_is_held_for_a_moment_is_waited_for_with_one_batch_request(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"))
    held, asked = lock(back_office), 0

    def release_before_the_third(method: str, path: str) -> None:
        nonlocal asked
        asked += method == "PATCH" and "batch_requests" in path
        if asked == 3:
            back_office.delete(f"/admin/lock/{held}")

    steps.lock_waits, steps.before = (0.01, 0.01, 0.01), release_before_the_third

    assert results(steps.run()) == {"created": 1}

    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}
    assert sorted(row["status"] for row in back_office.rows("batch_requests")) == ["done", "done"]


def test_a_lock_that_lasts_longer_is_given_to_the_caller_to_wait_for(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"))
    lock(back_office)
    steps.lock_waits = (0.01, 0.01)

    with pytest.raises(LockedError):
        steps.run()

    assert sorted(row["status"] for row in back_office.rows("batch_requests")) == ["commit", "fail"]
    asked = [call for call in back_office.get("/admin/requests").json() if call["method"] == "PATCH"]
    assert [call["status"] for call in asked if "batch_requests" in call["path"]] == [406, 406, 406, 200]


def test_a_lock_that_is_gone_when_its_holder_is_looked_for_was_no_refusal(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"))
    held = lock(back_office)

    def release_before_the_look(method: str, path: str) -> None:
        if method == "GET" and path.endswith("batch_requests/"):
            back_office.delete(f"/admin/lock/{held}")

    steps.before = release_before_the_look

    assert results(steps.run()) == {"created": 1}
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}
    assert sorted(row["status"] for row in back_office.rows("batch_requests")) == ["done", "done"]


def test_many_settles_at_once_all_get_their_turn(steps: Steps, back_office: BackOffice, shelf) -> None:
    """As those of four flows: each has a lock of its own against itself, none against the others."""
    flows = [Steps(steps.url, steps.home / str(n), lock_waits=(0.02,) * 50) for n in range(4)]
    shelf(*(order(str(n), minutes=n) for n in range(8)))

    async def at_once() -> list[Any]:
        return await asyncio.gather(*(one.whole() for one in flows))

    assert all(balance.holds and not balance.failed for balance in asyncio.run(at_once()))
    assert len(has_links(back_office)) == 16
    assert no_batch_is_open(back_office)


def test_links_wait_for_a_job_of_the_channel_where_the_channel_is_set_so(
    steps: Steps, back_office: BackOffice, shelf, feed: Callable[[], None]
) -> None:
    steps.channel = config(link_beside_open_jobs=False)
    steps.lock_waits = (3600.0,)  # not for a lock that lasts hours
    shelf(order("1"))
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    pushed = [asyncio.run(steps.push(chunks, 0, "run"))]

    with pytest.raises(LockedError) as refused:
        asyncio.run(steps.settle(chunks, pushed, "run"))

    assert refused.value.ids["batch_status"] == "sent_to_remote"
    assert has_links(back_office, None) == set()
    feed()
    asyncio.run(steps.settle(chunks, pushed, "run"))
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}


@pytest.mark.parametrize("kind", ["orderitem", "cancellationrequest"])
def test_what_is_not_an_order_is_linked_beside_a_job_too(
    steps: Steps, back_office: BackOffice, shelf, feed: Callable[[], None], kind: str
) -> None:
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    steps.run()
    [first, second] = back_office.rows("order_items")
    pk = {"orderitem": second["pk"]}.get(kind) or request_of(back_office, first["pk"])
    link = {"content_type": kind, "pk": pk, "remote_id": "R-1", "version_date": second["modified_date"]}
    OwedLinks(steps.staging, steps.channel.name, "fetch_orders").owe("of-another-run", [link])

    steps.run()

    found = back_office.rows("integration_actions", content_type_name=kind, object_id=pk)
    assert [row["remote_id"] for row in found] == ["R-1"]


def request_of(office: BackOffice, item_pk: int) -> int:
    body = {"order_item": item_pk, "reason": 1, "description": "", "remote_id": "R-1"}
    answer = office.post("/api/v1/channel/1/cancellation_requests/", json=body)
    return int(answer.raise_for_status().json()["id"])


@pytest.mark.parametrize("kind", ["orderitem", "cancellationrequest"])
def test_a_link_whose_object_is_gone_is_left_out_whatever_it_is(
    steps: Steps, back_office: BackOffice, shelf, kind: str
) -> None:
    gone = {"content_type": kind, "pk": 987654, "remote_id": "gone", "version_date": "2026-01-05T00:00:00Z"}
    steps.owed.owe("of-a-dead-run", [gone])

    balance = steps.run()

    assert balance.links_refused == 1
    assert steps.owed.all() == {}


def test_a_run_that_links_and_reports_nothing_opens_no_batch_request(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"), order("x", items=[]))
    steps.run()
    before = len(back_office.rows("batch_requests"))

    assert results(steps.run()) == {"already_there": 1, "quarantined": 1}

    assert len(back_office.rows("batch_requests")) == before
