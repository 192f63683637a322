"""Batch requests that nobody looks after: ended by the ownership rule, and nobody else's touched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from order_integration.staging import OpenBatches
from tests.conftest import BackOffice
from tests.flows.outbound_steps import OutboundSteps, change, due, nothing_is_open, statuses
from tests.shelf import order

Make = Callable[..., OutboundSteps]


@pytest.fixture
def make(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Make:
    def built(*keys: str, connector: str = "OutboundShelf", **own: Any) -> OutboundSteps:
        made = OutboundSteps(omnitron_url, tmp_path, connector, own)
        made.board.rule(answers="feeds")
        shelf(*(order(key, minutes=place, buyer="1") for place, key in enumerate(keys)))
        made.steps.run()
        change(back_office, *keys)
        return made

    return built


def foreign(office: BackOffice, status: str = "commit", feeds: str | None = None, kind: str | None = "order") -> int:
    """A batch request that another client opened, with one order in it."""
    office.rows("orders")  # logged in
    path = "/api/v1/channel/1/batch_requests/"
    row = office.post(path, json={"channel": 1}).raise_for_status().json()
    steps = ["initialized", "commit", "sent_to_remote", "ongoing"]
    for step in steps[1 : steps.index(status) + 1]:
        body: dict[str, Any] = {"channel": 1, "status": step}
        if step == "commit":
            objects = [
                {"pk": order["pk"], "content_type": "order", "version_date": order["modified_date"], "remote_id": None}
                for order in office.rows("orders")[:1]
            ]
            body |= {"content_type": kind, "objects": objects if kind == "order" else []}
        if step == "sent_to_remote":
            body["remote_batch_id"] = feeds
        office.patch(f"{path}{row['pk']}/", json=body).raise_for_status()
    return int(row["pk"])


def status_of(office: BackOffice, pk: int) -> str:
    return str(office.rows("batch_requests", pk__in=pk)[0]["status"])


def reports(office: BackOffice) -> list[str]:
    return [row["error_desc"] for row in office.rows("error_reports")]


def test_the_job_of_a_run_that_is_over_ends_with_the_channel_s_verdict(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(refuse=["2"])
    said = outbound.sent()
    assert outbound.sweep("run").counts == {"alive": 1}
    assert status_of(back_office, said["batch_pk"]) == "sent_to_remote"
    swept = outbound.sweep()
    assert (swept.counts, swept.troubles) == ({"running": 1}, [])
    assert status_of(back_office, said["batch_pk"]) == "ongoing"
    outbound.board.rule(feeds={"*": "done"})

    swept = outbound.sweep()

    assert (swept.counts, swept.troubles) == ({"done": 1}, [])
    assert due(back_office) == ["2"]
    assert len(reports(back_office)) == 1
    assert outbound.batches().all() == []
    assert outbound.sweep().counts == {}


@pytest.mark.defect("B7")
def test_the_job_of_a_run_that_is_over_ends_at_its_deadline_with_a_report(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", feed_deadline="1h")
    said = outbound.sent()
    outbound.later(hours=1)

    swept = outbound.sweep()

    assert swept.counts == {"fail": 1}
    assert "did not say in time" in swept.troubles[0]
    assert status_of(back_office, said["batch_pk"]) == "fail"
    assert len(reports(back_office)) == 2
    assert due(back_office) == ["1"]


def test_a_run_that_lives_in_name_only_keeps_its_job_open_no_longer(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", feed_deadline="1h")
    said = outbound.sent()
    outbound.later(hours=1, minutes=30)
    assert outbound.sweep("run").counts == {"alive": 1}
    outbound.later(hours=2)

    assert outbound.sweep("run").counts == {"fail": 1}

    assert status_of(back_office, said["batch_pk"]) == "fail"
    assert outbound.settled(said, outbound.checked(said)).states() == {"1": "failed"}  # it comes back to life


@pytest.mark.parametrize("status", ["initialized", "commit"])
@pytest.mark.parametrize("flow", ["update_orders", "fetch_orders", "update_cancellation_requests"])
def test_what_died_with_its_run_is_failed_whichever_flow_opened_it(
    make: Make, back_office: BackOffice, status: str, flow: str
) -> None:
    outbound = make("1")
    pk = foreign(back_office, status)
    owner = {"dag": "update_orders", "run": "update_orders/run", "task": "t", "map_index": -1, "try": 1}
    OpenBatches(outbound.staging, "shelf", flow).register(pk, owner)
    assert outbound.sweep("run").counts == {"alive": 1}
    assert status_of(back_office, pk) == status

    assert outbound.sweep().counts == {"failed": 1}

    assert status_of(back_office, pk) == "fail"
    assert OpenBatches(outbound.staging, "shelf", flow).all() == []
    assert nothing_is_open(back_office)


def test_what_is_over_or_gone_is_forgotten(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    pk = foreign(back_office, "commit")
    owner = {"dag": "update_orders", "run": "update_orders/run", "task": "t", "map_index": -1, "try": 1}
    back_office.post(f"/admin/batch_requests/{pk}/fail").raise_for_status()
    for known in (pk, 987654):
        outbound.batches().register(known, owner)

    assert outbound.sweep().counts == {"over": 2}
    assert outbound.batches().all() == []


@pytest.mark.parametrize("status", ["initialized", "commit"])
def test_what_another_client_works_with_is_never_ended_and_reported_once_when_it_is_old(
    make: Make, back_office: BackOffice, status: str
) -> None:
    outbound = make("1")
    pk = foreign(back_office, status)
    assert outbound.sweep().counts == {"young": 1}
    assert reports(back_office) == []
    outbound.later(hours=2)

    for _ in range(3):
        assert outbound.sweep().counts == {"left": 1}

    assert status_of(back_office, pk) == status
    [text] = reports(back_office)
    assert f"batch request {pk} is left open: it is {status}" in text
    assert len(back_office.calls("POST", "/error_reports/")) == 1


@pytest.mark.parametrize("status", ["sent_to_remote", "ongoing"])
@pytest.mark.parametrize(("state", "ends"), [("done", "done"), ("failed", "fail")])
def test_another_client_s_job_ends_with_the_channel_s_verdict(
    make: Make, back_office: BackOffice, status: str, state: str, ends: str
) -> None:
    outbound = make("1")
    pk = foreign(back_office, status, "theirs")
    assert outbound.sweep().counts == {"running": 1}
    assert status_of(back_office, pk) == status
    outbound.board.rule(feeds={"*": state})

    assert outbound.sweep().counts == {ends: 1}

    assert status_of(back_office, pk) == ends
    assert due(back_office) == ["1"]  # theirs said nothing of it


@pytest.mark.parametrize("feeds", ["theirs", None])
def test_another_client_s_job_that_the_channel_does_not_know_is_left_and_reported_once(
    make: Make, back_office: BackOffice, feeds: str | None
) -> None:
    outbound = make("1")
    outbound.board.rule(feeds={"*": "unknown"})
    pk = foreign(back_office, "ongoing", feeds)
    outbound.later(days=30)

    for _ in range(2):
        assert outbound.sweep().counts == {"left": 1}

    assert status_of(back_office, pk) == "ongoing"
    assert len(reports(back_office)) == 1


def test_another_client_s_job_of_another_kind_is_left(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    outbound.board.rule(feeds={"*": "done"})
    pk = foreign(back_office, "sent_to_remote", "theirs", kind="productprice")

    assert outbound.sweep().counts == {"left": 1}

    assert status_of(back_office, pk) == "sent_to_remote"
    assert not (outbound.board.folder / "asked").exists()


@pytest.mark.defect("B11")
def test_all_pages_of_open_batch_requests_are_looked_at(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    path = "/api/v1/channel/1/batch_requests/"
    back_office.rows("orders")
    for _ in range(105):
        back_office.post(path, json={"channel": 1}).raise_for_status()
    pk = foreign(back_office, "ongoing", "theirs")
    outbound.board.rule(feeds={"*": "done"})

    counts = outbound.sweep().counts

    assert counts == {"young": 105, "done": 1}
    assert status_of(back_office, pk) == "done"


@pytest.mark.defect("B11")
def test_many_jobs_of_ours_are_all_looked_at(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    path = "/api/v1/channel/1/batch_requests/"
    back_office.rows("orders")
    owner = {"dag": "update_orders", "run": "update_orders/run", "task": "send", "map_index": -1, "try": 1}
    for _ in range(12):
        row = back_office.post(path, json={"channel": 1}).raise_for_status().json()
        outbound.batches().register(row["pk"], owner)

    assert outbound.sweep().counts == {"failed": 12}
    assert set(statuses(back_office)) <= {"done", "fail"}


@pytest.mark.defect("B10")
@pytest.mark.parametrize(("check", "kind"), [("slip", "KeyError"), ("other", "OSError")])
def test_one_that_can_t_be_checked_is_said_and_stops_no_other(
    make: Make, back_office: BackOffice, check: str, kind: str
) -> None:
    outbound = make("1")
    said = outbound.sent()
    orphan = back_office.post("/api/v1/channel/1/batch_requests/", json={"channel": 1}).json()["pk"]
    owner = {"dag": "update_orders", "run": "update_orders/run", "task": "send", "map_index": -1, "try": 1}
    outbound.batches().register(orphan, owner)
    outbound.board.rule(check=check)

    swept = outbound.sweep()

    assert swept.counts == {"unchecked": 1, "failed": 1}
    assert swept.troubles == [f"batch request {said['batch_pk']} can't be checked: {kind}"]
    outbound.board.rule(check=None, feeds={"*": "done"})
    assert outbound.sweep().counts == {"done": 1}
    assert nothing_is_open(back_office)
