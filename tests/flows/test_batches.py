"""Batch requests: locks of others, what a dead try left; and how Omnitron may behave where nothing is said."""

import asyncio
from typing import Any

import pytest

from order_integration.errors import LockedError
from order_integration.staging import OwedLinks
from tests.conftest import BackOffice
from tests.flows.state import linked, no_batch_is_open
from tests.flows.steps import DAY, Steps, results
from tests.shelf import address, customer, item, order

API = "/api/v1/channel/1/batch_requests/"


def lock(office: BackOffice, content_type: str = "order") -> int:
    answer = office.post("/admin/lock", json={"channel": 1, "content_type": content_type})
    answer.raise_for_status()
    return int(answer.json()["pk"])


def move(office: BackOffice, pk: int, status: str, **more: Any) -> None:
    office.patch(f"{API}{pk}/", json={"channel": 1, "status": status, **more}).raise_for_status()


def batch(office: BackOffice) -> int:
    office.rows("orders")  # logs in
    return int(office.post(API, json={"channel": 1}).json()["pk"])


def has_links(office: BackOffice, status: str | None = "success") -> set[tuple[str, str]]:
    rows = [
        (kind, row["remote_id"])
        for kind in ("order", "orderitem")
        for row in office.rows("integration_actions", content_type_name=kind)
        if row["status"] == status
    ]
    assert len(rows) == len(set(rows))
    return set(rows)


def test_a_foreign_lock_is_named_and_settle_is_whole_after_its_release(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"), order("x", cargo_company="guvercin"))
    held = lock(back_office)
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    pushed = [asyncio.run(steps.push(chunks, 0, "run"))]

    with pytest.raises(LockedError) as refused:
        asyncio.run(steps.settle(chunks, pushed, "run"))

    assert refused.value.ids["batch"] == held
    assert len(back_office.rows("orders")) == 1
    back_office.delete(f"/admin/lock/{held}").raise_for_status()
    balance = asyncio.run(steps.settle(chunks, pushed, "run"))
    assert results(balance) == {"created": 1, "quarantined": 1}
    assert balance.new_in_quarantine == 1
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}
    assert len(back_office.rows("error_reports")) == 1
    assert steps.batches.all() == []


def test_while_a_lock_is_held_every_try_leaves_nothing_behind(steps: Steps, back_office: BackOffice, shelf) -> None:
    """Airflow asks every half minute for hours."""
    shelf(order("1"))
    held = lock(back_office)
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    pushed = [asyncio.run(steps.push(chunks, 0, "run"))]
    for _ in range(3):
        with pytest.raises(LockedError):
            asyncio.run(steps.settle(chunks, pushed, "run"))

    back_office.delete(f"/admin/lock/{held}").raise_for_status()
    asyncio.run(steps.settle(chunks, pushed, "run"))

    ours = [row["status"] for row in back_office.rows("batch_requests") if row["pk"] != held]
    assert sorted(ours) == ["done", "fail", "fail", "fail"]
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}
    assert steps.batches.all() == []


def test_a_lock_on_another_kind_of_object_is_in_nobody_s_way(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))
    lock(back_office, "cancellationrequest")

    assert results(steps.run()) == {"created": 1}


@pytest.mark.parametrize("status", ["sent_to_remote", "ongoing"])
def test_links_need_not_wait_for_a_job_that_the_channel_has_accepted(
    steps: Steps, back_office: BackOffice, shelf, status: str
) -> None:
    shelf(order("0"))
    steps.run()
    [known] = back_office.rows("orders")
    theirs = batch(back_office)
    entry = {"pk": known["pk"], "content_type": "order", "version_date": known["modified_date"], "remote_id": "0"}
    move(back_office, theirs, "commit", content_type="order", objects=[entry])
    move(back_office, theirs, "sent_to_remote", remote_batch_id="feed-1")
    if status == "ongoing":
        move(back_office, theirs, "ongoing")
    shelf(order("0"), order("1", items=[item("1"), item("1", unit=2)], amount="110.00"), order("x", items=[]))

    balance = steps.run()

    assert results(balance) == {"created": 1, "already_there": 1, "quarantined": 1}
    assert has_links(back_office, None) == {("order", "1"), ("orderitem", "1-1/1"), ("orderitem", "1-1/2")}
    assert back_office.get(f"{API}{theirs}/").json()["status"] == status
    assert len(back_office.rows("error_reports")) == 1
    assert results(steps.run()) == {"already_there": 2, "quarantined": 1}
    move(back_office, theirs, "done", objects=[entry])
    assert no_batch_is_open(back_office)


def test_links_that_are_written_one_by_one_survive_a_lost_answer(steps: Steps, back_office: BackOffice, shelf) -> None:
    theirs = batch(back_office)
    move(back_office, theirs, "commit", content_type="order", objects=[])
    move(back_office, theirs, "sent_to_remote")
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"), order("2"))
    back_office.fault("POST", "/integration_actions/$", "cut_after", skip=1)

    balance = steps.run(tries=2)

    assert results(balance) == {"created": 2}
    assert {remote_id for _, remote_id in has_links(back_office, None)} == {"1", "2", "1-1/1", "1-1/2", "2-1/1"}


@pytest.mark.defect("B1")
def test_a_batch_request_that_a_dead_try_left_empty_is_ended_by_the_next_settle(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    left = batch(back_office)
    steps.batches.register(left, {"run": "of yesterday"})

    steps.run()

    assert back_office.get(f"{API}{left}/").json()["status"] == "fail"
    assert steps.batches.all() == []


def test_a_batch_request_that_is_not_ours_is_never_ended(steps: Steps, back_office: BackOffice, shelf) -> None:
    empty, held = batch(back_office), lock(back_office, "cancellationrequest")
    shelf(order("1"))

    steps.run()

    found = {row["pk"]: row["status"] for row in back_office.rows("batch_requests")}
    assert (found[empty], found[held]) == ("initialized", "commit")


def test_a_batch_request_that_the_merchant_ended_meanwhile_does_no_harm(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"))
    ended: list[str] = []

    def end_it(method: str, path: str) -> None:
        """Between commit and done."""
        if method == "PATCH" and "batch_requests" in path:
            ended.append(path)
            if len(ended) == 2:
                pk = path.rstrip("/").rpartition("/")[2]
                back_office.post(f"/admin/batch_requests/{pk}/fail").raise_for_status()

    steps.before = end_it
    with pytest.raises(Exception, match="is fail, not done"):
        steps.run()

    balance = steps.run()

    assert results(balance) == {"already_there": 1}
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}


def test_many_links_go_in_several_commits(steps: Steps, back_office: BackOffice, shelf) -> None:
    units = [item("1", unit=number, price="1.00") for number in range(1, 300)]
    more = [item("2", unit=number, price="1.00") for number in range(1, 300)]
    shelf(order("1", items=units, amount="309.00"), order("2", items=more, amount="309.00"))

    balance = steps.run()

    assert results(balance) == {"created": 2}
    assert len(linked(back_office)) == 600
    details = [back_office.get(f"{API}{row['pk']}/").json() for row in back_office.rows("batch_requests")]
    assert sorted(len(row["objects"]) for row in details) == [100, 500]


# How the stand-in behaves where the documents are silent: the numbers are those of the fact sheet's open questions.
SWITCHES: dict[str, dict[str, Any]] = {
    "3: a refused commit is 400": {"refused_commit_status": 400},
    "3: a refused commit is 406": {"refused_commit_status": 406},
    "3: a refused commit is 409": {"refused_commit_status": 409},
    "3: a refused commit is 423": {"refused_commit_status": 423},
    "4: open batch requests stay open": {"expire_open_batches_minutes": None},
    "4: open batch requests expire": {"expire_open_batches_minutes": 10},
    "8: an item touches its order": {"item_touches_order": True},
    "8: an item leaves its order alone": {"item_touches_order": False},
    "9: updates are pages": {"updates_as_array": False},
    "9: updates are an array": {"updates_as_array": True},
    "10: there are operational events": {"operational_events_missing": False},
    "10: there are none": {"operational_events_missing": True},
    "12: a code again updates its report": {"strict_error_codes": False},
    "12: a code again is refused": {"strict_error_codes": True},
    "13: duplicates are 406": {"duplicates_as_400_list": False},
    "13: duplicates are 400 with a list": {"duplicates_as_400_list": True},
    "20: unknown filters are ignored": {"strict_filters": False},
    "20: unknown filters are refused": {"strict_filters": True},
}


@pytest.mark.parametrize("switch", SWITCHES)
def test_the_flow_passes_however_omnitron_behaves(steps: Steps, back_office: BackOffice, shelf, switch: str) -> None:
    """Duplicates of all kinds, a lost answer, a lock, reports of all kinds, and the whole day again."""
    shelf(
        order("1", buyer="a", items=[item("1"), item("1", unit=2)], amount="110.00"),
        order("2", buyer="a", minutes=1, customer=customer("a", phone_number="+905339876543")),
        order("3", minutes=2, customer=customer("b", channel_code="c-a")),
        order("4", minutes=3, notes="n" * 400),
        order("5", minutes=4, shipping_address=address("5", city="Atlantis")),
        order("6", minutes=5, number="N1"),
    )
    office = Steps(steps.url, steps.home / "earlier")
    asyncio.run(_pushed(office))  # somebody else made everything, and linked nothing
    back_office.switch(**SWITCHES[switch])
    back_office.fault("POST", "/error_reports/$", "cut_after")
    back_office.fault("POST", "/create_orders/$", "cut_after")
    held = lock(back_office)
    with pytest.raises(LockedError):
        steps.run()
    back_office.delete(f"/admin/lock/{held}").raise_for_status()

    balance = steps.run()
    again = steps.run()

    assert results(balance) == {"already_there": 4, "quarantined": 2}
    assert results(again) == {"already_there": 4, "quarantined": 2}
    assert {remote_id for kind, remote_id in has_links(back_office) if kind == "order"} == {"1", "2", "3", "4"}
    assert len(back_office.rows("orders")) == 4
    assert {code.rpartition("-")[2] for code in codes(back_office)} == {"city_unknown", "number_taken", "notes"}
    assert back_office.get("/admin/ignored_filters").json() == []
    assert no_batch_is_open(back_office)


async def _pushed(steps: Steps) -> None:
    chunks, manifest = await steps.staged(DAY, "run")
    for number in range(manifest["chunks"]):
        await steps.push(chunks, number, "run")


def codes(office: BackOffice) -> set[str]:
    return {row["error_code"] for row in office.rows("error_reports")}


def test_a_lock_that_omnitron_ends_by_itself_is_gone(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))
    held = lock(back_office)
    with pytest.raises(LockedError):
        steps.run()
    back_office.post(f"/admin/batch_requests/{held}/fail").raise_for_status()

    balance = steps.run()

    assert results(balance) == {"already_there": 1}
    assert has_links(back_office) == {("order", "1"), ("orderitem", "1-1/1")}


def test_one_link_that_omnitron_refuses_stops_no_other_and_is_reported(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """Its object was removed between push and settle, say."""
    shelf(*(order(str(number), minutes=number) for number in range(5)))
    gone = {"content_type": "order", "pk": 987654, "remote_id": "gone", "version_date": "2026-01-05T00:00:00Z"}
    OwedLinks(steps.staging, steps.channel.name, "fetch_orders").owe("of-a-dead-run", [gone])

    first, second = steps.run(), steps.run()

    assert len([key for kind, key in has_links(back_office) if kind == "order"]) == 5
    assert "refuses 1 links" in (steps.verdict(first) or "")
    assert steps.verdict(second) is None
    assert ["gone" in row["error_desc"] for row in back_office.rows("error_reports")] == [True]
    assert no_batch_is_open(back_office)


def test_a_registered_batch_request_that_omnitron_does_not_know_is_forgotten(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """Omnitron was restored, or the channel's id was corrected."""
    steps.batches.register(987654, {"run": "of yesterday"})
    shelf(order("1"))

    balance = steps.run()

    assert results(balance) == {"created": 1}
    assert steps.batches.all() == []
