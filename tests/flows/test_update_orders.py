"""Orders that changed in Omnitron, told to a channel that answers at once."""

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from order_integration.dto import FailedReasonType
from order_integration.errors import LockedError, RetriableError
from order_integration.flows.outbound import Sent
from tests.conftest import BackOffice
from tests.flows.outbound_steps import (
    OutboundSteps,
    actions,
    change,
    due,
    nothing_is_open,
    statuses,
)
from tests.shelf import item, order

Make = Callable[..., OutboundSteps]


@pytest.fixture
def make(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Make:
    """A deployment whose orders are in Omnitron, linked, and shipped by the merchant."""

    def built(*keys: str, connector: str = "OutboundShelf", shipped: bool = True, **own: Any) -> OutboundSteps:
        made = OutboundSteps(omnitron_url, tmp_path, connector, own)
        shelf(*(order(key, minutes=place, buyer="1") for place, key in enumerate(keys)))
        made.steps.run()
        if shipped:
            change(back_office, *keys)
        back_office.delete("/admin/requests")
        return made

    return built


def test_what_the_merchant_changed_is_told_once(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2", "3", shipped=False)
    change(back_office, "1", "3")

    told = outbound.run()

    assert outbound.board.orders() == ["1", "3"]
    assert told.states() == {"1": "succeeded", "3": "succeeded"}
    assert told.verdict is None
    assert statuses(back_office).count("done") == len(statuses(back_office))
    assert due(back_office) == []
    assert outbound.run("again").table["due"] == 0
    assert outbound.board.orders() == ["1", "3"]
    assert outbound.batches().all() == []


@pytest.mark.defect("U5")
def test_an_order_goes_with_its_items_and_its_carrier_s_code(make: Make, back_office: BackOffice, shelf: Any) -> None:
    outbound = make()
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    outbound.steps.run()
    [row] = back_office.rows("orders")
    first, _ = back_office.rows("order_items")
    [carrier] = back_office.rows("cargos")
    back_office.patch(f"/admin/orders/{row['pk']}", json={"status": "500", "tracking_number": "T1"})
    news = {"status": "500", "tracking_number": "T1", "invoice_number": "I1"}
    back_office.patch(f"/admin/order_items/{first['pk']}", json=news).raise_for_status()

    outbound.run()

    [[sent]] = [row["orders"] for row in outbound.board.received()]
    assert (sent["remote_id"], sent["number"], sent["status"]) == ("1", "N1", "500")
    assert (sent["cargo_company"], sent["tracking_number"]) == (carrier["erp_code"], "T1")
    told = [(unit["remote_id"], unit["status"], unit["invoice_number"]) for unit in sent["items"]]
    assert told == [("1-1/1", "500", "I1"), ("1-1/2", "400", None)]


@pytest.mark.defect("B16")
def test_nothing_due_opens_no_batch_request_and_is_green(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", shipped=False)
    before = len(statuses(back_office))

    told = outbound.run()

    assert told.table["due"] == 0
    assert told.verdict is None
    assert len(statuses(back_office)) == before
    assert outbound.board.received() == []


@pytest.mark.defect("B2", "U3")
def test_an_order_that_the_channel_refuses_fails_alone_and_is_offered_again(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2")
    outbound.board.rule(refuse=["2"])

    told = outbound.run()

    assert told.states() == {"1": "succeeded", "2": "failed"}
    assert told.reasons() == {"2": "remote"}
    assert told.verdict is None
    assert nothing_is_open(back_office)
    assert actions(back_office)["1"]["status"] == "success"
    assert actions(back_office)["2"]["status"] == "error"
    assert due(back_office) == ["2"]
    outbound.board.rule(refuse=[])
    assert outbound.run("next").states() == {"2": "succeeded"}


def test_the_merchant_reads_why_an_order_failed_and_nothing_about_anybody(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    outbound.board.rule(refuse=["1"])

    outbound.run()
    outbound.run("again")

    [report] = back_office.rows("error_reports")  # the same news is the same report
    assert report["error_desc"] == "1: remote: no shelf for …"
    assert report["error_code"].startswith("update_orders-")
    [pk] = [row["pk"] for row in back_office.rows("orders")]
    assert report["action_object_id"] == pk


@pytest.mark.defect("U1")
@pytest.mark.parametrize("by", ["number", "remote_id_as_number"])
def test_a_result_is_found_by_remote_id_or_by_number(make: Make, by: str) -> None:
    outbound = make("1", "2")
    outbound.board.rule(by=by, refuse=["2"])

    assert outbound.run().states() == {"1": "succeeded", "2": "failed"}


@pytest.mark.defect("U2")
def test_what_a_result_carries_never_becomes_the_link_s_remote_id(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(by="number", refuse=["2"])

    outbound.run()

    assert set(actions(back_office)) == {"1", "2"}


@pytest.mark.defect("U3")
def test_an_order_without_a_result_is_our_own_failure_and_turns_the_run_red(make: Make) -> None:
    outbound = make("1", "2")
    outbound.board.rule(silent=["2"])

    told = outbound.run()

    assert told.states() == {"1": "succeeded", "2": "failed"}
    assert told.reasons() == {"2": "channel_app"}
    assert told.verdict is not None
    assert "1 of 2 could not be sent" in told.verdict


@pytest.mark.defect("B9")
def test_a_channel_that_answers_nothing_at_all_leaves_nothing_open(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(answers="nothing")

    told = outbound.run()

    assert told.reasons() == {"1": "channel_app", "2": "channel_app"}
    assert nothing_is_open(back_office)
    assert sorted(due(back_office)) == ["1", "2"]


@pytest.mark.defect("B5")
def test_many_orders_that_fail_for_different_reasons_end_in_one_batch_request(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2", "3", "4")
    outbound.board.rule(refuse=["1", "2"], silent=["3"])
    before = len(statuses(back_office))

    told = outbound.run()

    assert told.states() == {"1": "failed", "2": "failed", "3": "failed", "4": "succeeded"}
    assert statuses(back_office)[before:] == ["done"]


@pytest.mark.defect("U8", "U4")
def test_an_order_that_can_t_be_mapped_fails_alone(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    bad = next(row for row in back_office.rows("orders") if row["extra_field"]["id"] == "1")
    [unit] = [row for row in back_office.rows("order_items") if row["order"] == bad["pk"]]
    link = actions(back_office, "orderitem")["1-1/1"]
    path = f"/api/v1/channel/1/integration_actions/{link['pk']}/"
    back_office.patch(path, json={"channel_id": 1, "remote_id": None}).raise_for_status()
    back_office.patch(f"/admin/order_items/{unit['pk']}", json={"extra_field": {"id": None}}).raise_for_status()

    told = outbound.run()

    assert told.states() == {"1": "failed", "2": "succeeded"}
    assert told.reasons() == {"1": "mapping"}
    assert outbound.board.orders() == ["2"]
    [report] = back_office.rows("error_reports")
    assert "mapping" in report["error_desc"]
    assert "remote_id" in report["error_desc"]
    assert due(back_office) == ["1"]


@pytest.mark.defect("U8")
def test_an_item_without_a_link_is_known_by_what_it_was_created_with(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    link = actions(back_office, "orderitem")["1-1/1"]
    path = f"/api/v1/channel/1/integration_actions/{link['pk']}/"
    back_office.patch(path, json={"channel_id": 1, "remote_id": None}).raise_for_status()

    assert outbound.run().states() == {"1": "succeeded"}

    [[sent]] = [row["orders"] for row in outbound.board.received()]
    assert [unit["remote_id"] for unit in sent["items"]] == ["1-1/1"]


@pytest.mark.defect("U6", "B14")
@pytest.mark.parametrize("bare", [False, True], ids=["pages", "array"])
def test_more_than_a_page_is_sent_in_one_run_and_one_batch_request(
    make: Make, back_office: BackOffice, bare: bool
) -> None:
    keys = [f"k{number}" for number in range(103)]
    outbound = make(*keys)
    outbound.board.rule(refuse=["k1", "k102"])
    back_office.switch(updates_as_array=bare)
    before = len(statuses(back_office))

    told = outbound.run()

    assert sorted(told.sents) == sorted(keys)
    assert told.table["succeeded"] == 101
    assert told.reasons() == {"k1": "remote", "k102": "remote"}
    assert [len(row["orders"]) for row in outbound.board.received()] == [100, 3]
    assert len({row["reference"].partition("/")[0] for row in outbound.board.received()}) == 1
    assert statuses(back_office)[before:] == ["done"]
    assert {row["status"] for row in back_office.rows("integration_actions")} == {"success", "error"}
    back_office.switch(updates_as_array=False)
    assert sorted(due(back_office)) == ["k1", "k102"]


def test_many_failures_turn_the_run_red(make: Make) -> None:
    outbound = make("1", "2", "3", limits={"quarantine_floor": 1, "quarantine_share": 0.5})
    outbound.board.rule(refuse=["1", "2"])

    assert outbound.run().verdict == "2 of 3 failed: is a setting wrong?"


def test_what_changes_between_reading_and_sending_is_offered_again_as_it_is_then(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2")

    def meanwhile(method: str, path: str) -> None:
        if (method, path) == ("GET", "channel/1/orders/") and not seen:
            seen.append(path)
            change(back_office, "1", status="550")

    seen: list[str] = []
    outbound.before = meanwhile
    told = outbound.run()

    assert seen
    assert told.states() == {"1": "left_out", "2": "succeeded"}
    assert told.verdict is None
    assert due(back_office) == ["1"]
    outbound.run("next")
    assert [order["status"] for row in outbound.board.received() for order in row["orders"]] == ["500", "550"]
    assert due(back_office) == []


@pytest.mark.parametrize("answers", ["results", "feeds"])
@pytest.mark.parametrize("later", ["next", "run"], ids=["after a later run", "after its own end"])
def test_a_run_that_is_cleared_tells_nothing_that_the_channel_was_told_already(
    make: Make, back_office: BackOffice, answers: str, later: str
) -> None:
    outbound = make("1", "2", "3")
    outbound.board.rule(answers=answers, feeds={"*": "done"}, refuse=["3"])
    ready = asyncio.run(outbound.staged("run"))
    unmapped = Sent.from_row(next(row["sent"] for row in ready.read("orders") if row["sent"]["key"] == "2"))
    outbound.run(later)
    ready.write("orders", [row for row in ready.read("orders") if row["sent"]["key"] != "2"])
    ready.write("unmapped", [unmapped.failed(FailedReasonType.MAPPING, "no remote id").as_row()])

    said = asyncio.run(outbound.send(ready, "run"))
    told = outbound.settled(said, outbound.checked(said) if said.get("batch_pk") else None)

    assert told.states() == {"1": "left_out", "2": "left_out", "3": "failed"}
    assert outbound.board.orders() == ["1", "2", "3", "3"]
    assert due(back_office) == ["3"]


def test_what_changes_between_the_commit_and_the_end_is_offered_again(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    patched: list[str] = []

    def meanwhile(method: str, path: str) -> None:
        if method == "PATCH":
            patched.append(path)
            if len(patched) == 2:  # the end
                change(back_office, "1", status="550")

    outbound.before = meanwhile

    assert outbound.run().states() == {"1": "succeeded"}
    assert due(back_office) == ["1"]


@pytest.mark.defect("B8")
def test_the_setting_reaches_the_command_and_is_the_run_s_own(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    outbound.run(is_sync=False)
    change(back_office, "1", status="550")
    outbound.run("next", is_sync=True)

    assert [row["is_sync"] for row in outbound.board.received()] == [False, True]


def test_a_lock_that_stays_is_the_task_s_to_wait_for_and_nothing_is_sent(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()

    with pytest.raises(LockedError, match="another batch request is open"):
        outbound.sent()

    assert outbound.board.received() == []
    assert statuses(back_office).count("fail") == 1
    assert outbound.batches().all() == []
    back_office.delete(f"/admin/lock/{row['pk']}")
    assert outbound.run("run").states() == {"1": "succeeded"}


def test_a_lock_that_is_given_back_at_once_is_waited_for_in_the_task(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()
    commits: list[str] = []

    def meanwhile(method: str, path: str) -> None:
        if method == "PATCH":
            commits.append(path)
            if len(commits) == 2:
                back_office.delete(f"/admin/lock/{row['pk']}")

    outbound.before = meanwhile

    assert outbound.run().states() == {"1": "succeeded"}
    assert "fail" not in statuses(back_office)


def test_while_the_channel_works_on_somebody_s_job_everything_waits_and_is_green(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2")
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()
    accepted = {"channel": 1, "status": "sent_to_remote", "remote_batch_id": "theirs"}
    back_office.patch(f"/api/v1/channel/1/batch_requests/{row['pk']}/", json=accepted).raise_for_status()

    told = outbound.run()

    assert told.states() == {"1": "waiting", "2": "waiting"}
    assert told.verdict is None
    assert outbound.board.received() == []
    assert sorted(due(back_office)) == ["1", "2"]


@pytest.mark.defect("B1", "P5")
@pytest.mark.parametrize("connector", ["OutboundShelf", "PlainShelf"])
@pytest.mark.parametrize("fail", ["before", "after"])
def test_a_channel_that_does_not_answer_leaves_nothing_open_and_gets_nothing_twice(
    make: Make, back_office: BackOffice, fail: str, connector: str
) -> None:
    outbound = make("1", "2", connector=connector)
    outbound.board.rule(fail=fail)

    with pytest.raises(RetriableError):
        outbound.sent(last_try=False)

    assert nothing_is_open(back_office)
    outbound.board.rule(fail=None)
    assert outbound.run().states() == {"1": "succeeded", "2": "succeeded"}
    assert outbound.board.orders() == ["1", "2"]
    assert nothing_is_open(back_office)
    assert due(back_office) == []


def test_in_the_last_try_a_page_without_an_answer_stops_no_other_page(make: Make, back_office: BackOffice) -> None:
    keys = [f"k{number:03}" for number in range(102)]
    outbound = make(*keys)
    outbound.board.rule(fail="after", on=0)

    told = outbound.run()

    assert told.table["succeeded"] == 2
    assert told.table["reasons"] == {"channel_app": 100}
    assert told.verdict is not None
    assert nothing_is_open(back_office)
    outbound.board.rule(fail=None)
    following = outbound.run("next")
    assert following.table["succeeded"] == 100
    assert following.verdict is None
    assert sorted(outbound.board.orders()) == keys  # the channel was asked, and had them


@pytest.mark.parametrize("fail", ["slip", "other"])
@pytest.mark.parametrize("last_try", [False, True])
def test_a_page_over_which_the_connector_fails_stops_no_other_page(make: Make, fail: str, last_try: bool) -> None:
    keys = [f"k{number:03}" for number in range(102)]
    outbound = make(*keys)
    outbound.board.rule(fail=fail, on=0)

    told = outbound.settled(outbound.sent(last_try=last_try), None)

    assert told.table["succeeded"] == 2
    assert told.table["reasons"] == {"channel_app": 100}
    assert told.verdict is not None


@pytest.mark.defect("B1")
@pytest.mark.parametrize(("fail", "kind"), [("slip", "KeyError"), ("other", "OSError")])
def test_a_slip_of_a_connector_is_told_without_what_it_held(
    make: Make, back_office: BackOffice, caplog: pytest.LogCaptureFixture, fail: str, kind: str
) -> None:
    outbound = make("1")
    outbound.board.rule(fail=fail)

    told = outbound.run()

    assert told.reasons() == {"1": "channel_app"}
    assert told.verdict is not None
    assert nothing_is_open(back_office)
    assert f"{kind} in send_request" in caplog.text
    assert "buyer@" not in caplog.text


def test_a_channel_that_can_t_be_asked_is_sent_it_again(make: Make) -> None:
    outbound = make("1", connector="ForgetfulShelf")
    outbound.board.rule(fail="after")
    with pytest.raises(RetriableError):
        outbound.sent(last_try=False)
    outbound.board.rule(fail=None)

    assert outbound.run().states() == {"1": "succeeded"}
    assert outbound.board.orders() == ["1", "1"]
    assert len({row["reference"] for row in outbound.board.received()}) == 1  # it may know it by that


@pytest.mark.defect("B12")
def test_a_batch_request_that_somebody_ended_meanwhile_is_said(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    patched: list[str] = []

    def meanwhile(method: str, path: str) -> None:
        if method == "PATCH":
            patched.append(path)
            if len(patched) == 2:
                pk = back_office.rows("batch_requests")[-1]["pk"]
                back_office.post(f"/admin/batch_requests/{pk}/fail").raise_for_status()

    outbound.before = meanwhile

    with pytest.raises(Exception, match="a batch request is fail, not done"):
        outbound.sent()
    outbound.before = lambda method, path: None
    assert outbound.run("next").states() == {"1": "succeeded"}
    assert outbound.board.orders() == ["1"]


def test_an_object_that_omnitron_does_not_take_stops_no_other(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    ready = asyncio.run(outbound.staged("run"))
    gone = Sent("gone", 987654, "2026-01-05T12:00:00Z").failed(FailedReasonType.MAPPING, "no remote id")
    known = back_office.rows("orders")[0]
    unmapped = Sent("1", known["pk"], known["modified_date"]).failed(FailedReasonType.MAPPING, "no remote id")
    ready.write("unmapped", [gone.as_row(), unmapped.as_row()])
    ready.write("orders", [row for row in ready.read("orders") if row["sent"]["key"] == "2"])

    said = asyncio.run(outbound.send(ready, "run"))
    told = outbound.settled(said, None)

    assert told.reasons() == {"gone": "channel_app", "1": "mapping"}
    assert told.states()["2"] == "succeeded"
    assert nothing_is_open(back_office)


def test_nothing_that_is_staged_or_noted_tells_who_somebody_is(make: Make) -> None:
    outbound = make("1")
    outbound.board.rule(fail="after")
    with pytest.raises(RetriableError):
        outbound.sent(last_try=False)

    for place in ("runs/shelf/update_orders", "submissions", "batches"):
        files = [path for path in (outbound.home / "staging" / place).rglob("*") if path.is_file()]
        for path in files:
            assert_tells_nobody(path)
        assert files or place == "batches"


def assert_tells_nobody(path: Path) -> None:
    content = path.read_bytes()
    text = (gzip.decompress(content) if path.suffix == ".gz" else content).decode()
    for word in ("Ayşe", "@", "Moda", "+90"):
        assert word not in text
