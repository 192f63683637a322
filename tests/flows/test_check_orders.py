"""A channel that answers with a job: it is waited for, asked, and ended once, whatever it says or does not say."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import ConfigurationError, ContractError, RetriableError
from order_integration.flows.submissions import Notes
from order_integration.omnitron.batch_requests import REMOTE_ID_LENGTH
from tests.conftest import BackOffice
from tests.flows.outbound_steps import OutboundSteps, actions, change, due, nothing_is_open, statuses
from tests.flows.steps import DAY, Steps, results
from tests.shelf import order

GONE = 987654  # nobody's pk

Make = Callable[..., OutboundSteps]


@pytest.fixture
def make(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Make:
    """A deployment whose channel answers with jobs, and whose orders are due."""

    def built(*keys: str, connector: str = "OutboundShelf", **own: Any) -> OutboundSteps:
        made = OutboundSteps(omnitron_url, tmp_path, connector, own)
        made.board.rule(answers="feeds")
        shelf(*(order(key, minutes=place, buyer="1") for place, key in enumerate(keys)))
        made.steps.run()
        change(back_office, *keys)
        return made

    return built


def decide(outbound: OutboundSteps, state: str = "done") -> None:
    outbound.board.rule(feeds={"*": state})


def notes_of(outbound: OutboundSteps) -> list[Any]:
    staging, channel = outbound.staging, outbound.channel.name
    return Notes(staging, f"submissions/{channel}/update_orders").all()


@pytest.mark.defect("B6", "B7", "B10")
def test_a_job_is_handed_over_polled_and_ended_with_a_result_for_each_order(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2")
    outbound.board.rule(refuse=["2"])

    said = outbound.sent(is_sync=False)
    [feed] = outbound.board.feeds()
    [batch] = back_office.rows("batch_requests", pk__in=said["batch_pk"])
    assert (batch["status"], batch["remote_batch_id"]) == ("sent_to_remote", feed)
    assert said["feed_ids"] == [feed]
    assert due(back_office) == []  # under way
    assert outbound.checked(said) is None
    [batch] = back_office.rows("batch_requests", pk__in=said["batch_pk"])
    assert batch["status"] == "ongoing"
    decide(outbound)
    told = outbound.settled(said, outbound.checked(said))

    assert told.states() == {"1": "succeeded", "2": "failed"}
    assert told.reasons() == {"2": "remote"}
    assert told.verdict is None
    assert statuses(back_office)[-1] == "done"
    assert due(back_office) == ["2"]
    assert len(back_office.rows("error_reports")) == 1
    assert (outbound.batches().all(), notes_of(outbound)) == ([], [])
    assert outbound.board.orders() == ["1", "2"]


def test_ongoing_is_said_once_however_often_it_is_asked_for(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    said = outbound.sent()
    for _ in range(3):
        assert outbound.checked(said) is None
    decide(outbound)
    outbound.checked(said)

    path = f"/batch_requests/{said['batch_pk']}/"
    assert len(back_office.calls("PATCH", path)) == 4  # commit, sent_to_remote, ongoing, done


def test_a_job_that_is_decided_at_once_never_becomes_ongoing(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    decide(outbound)

    told = outbound.run()

    assert told.states() == {"1": "succeeded"}
    assert len(back_office.calls("PATCH", f"/batch_requests/{back_office.rows('batch_requests')[-1]['pk']}/")) == 3


def test_a_job_is_waited_for_even_if_an_answer_at_once_was_asked_for(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")

    said = outbound.sent(is_sync=True)

    assert said["feed_ids"]
    assert statuses(back_office)[-1] == "sent_to_remote"


def test_what_the_channel_said_at_once_counts_when_the_job_ends(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2", "3", "4")
    outbound.board.rule(answers="both", at_once=["1", "2"], refuse=["2", "4"])
    said = outbound.sent()
    assert {row["status"] for row in actions(back_office).values()} == {"processing"}
    decide(outbound)

    told = outbound.settled(said, outbound.checked(said))

    assert told.states() == {"1": "succeeded", "2": "failed", "3": "succeeded", "4": "failed"}
    assert due(back_office) == ["2", "4"]


def test_a_mapping_failure_is_told_when_the_job_ends(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    [bad] = [row for row in back_office.rows("orders") if row["extra_field"]["id"] == "2"]
    [unit] = [row for row in back_office.rows("order_items") if row["order"] == bad["pk"]]
    link = actions(back_office, "orderitem")["2-1/1"]
    path = f"/api/v1/channel/1/integration_actions/{link['pk']}/"
    back_office.patch(path, json={"channel_id": 1, "remote_id": None}).raise_for_status()
    back_office.patch(f"/admin/order_items/{unit['pk']}", json={"extra_field": {"id": None}}).raise_for_status()
    said = outbound.sent()
    decide(outbound)

    told = outbound.settled(said, outbound.checked(said))

    assert told.states() == {"1": "succeeded", "2": "failed"}
    assert told.reasons() == {"2": "mapping"}
    assert due(back_office) == ["2"]


def test_a_job_that_failed_as_a_whole_ends_as_fail_with_a_report_and_its_orders_are_offered_again(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2")
    said = outbound.sent()
    decide(outbound, "failed")

    told = outbound.settled(said, outbound.checked(said))

    assert statuses(back_office)[-1] == "fail"
    assert told.reasons() == {"1": "remote", "2": "remote"}
    assert told.verdict is not None
    assert "the channel's job failed as a whole: the shelf fell" in told.verdict
    assert len(back_office.rows("error_reports")) == 3
    assert sorted(due(back_office)) == ["1", "2"]
    decide(outbound)
    assert outbound.run("next").states() == {"1": "succeeded", "2": "succeeded"}


def test_of_two_jobs_the_one_that_failed_fails_its_own_orders_alone(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2", "3", "4")
    outbound.board.rule(feeds_a_page=2)
    said = outbound.sent()
    first, second = outbound.board.feeds()
    outbound.board.rule(feeds={first: "done", second: "running"})
    assert outbound.checked(said) is None
    outbound.board.rule(feeds={first: "done", second: "failed"})

    told = outbound.settled(said, outbound.checked(said))

    assert statuses(back_office)[-1] == "done"
    assert sorted(told.states().values()) == ["failed", "failed", "succeeded", "succeeded"]
    assert set(told.reasons().values()) == {"remote"}
    assert len(due(back_office)) == 2


@pytest.mark.defect("B7")
def test_a_job_that_the_channel_forgot_ends_at_the_deadline(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", feed_deadline="2h")
    decide(outbound, "unknown")
    said = outbound.sent()
    outbound.later(hours=1)
    assert outbound.checked(said) is None
    outbound.later(hours=2)

    told = outbound.settled(said, outbound.checked(said))

    assert statuses(back_office)[-1] == "fail"
    assert told.verdict is not None
    assert "did not say in time" in told.verdict
    codes = [row["error_code"] for row in back_office.rows("error_reports")]
    assert len([code for code in codes if code.endswith("job_forgotten")]) == 1
    assert due(back_office) == ["1"]
    assert notes_of(outbound) == []
    outbound.now = None
    outbound.board.rule(answers="results")
    assert outbound.run("next").states() == {"1": "succeeded"}  # sent anew
    assert outbound.board.orders() == ["1", "1"]


@pytest.mark.parametrize("ends", ["done", "failed", "unknown"])
def test_a_job_that_still_runs_at_the_deadline_is_taken_over_by_the_next_run(
    make: Make, back_office: BackOffice, ends: str
) -> None:
    outbound = make("1", "2", "3", feed_deadline="2h")
    outbound.board.rule(answers="both", at_once=["1"])
    said = outbound.sent()
    outbound.later(hours=2)
    told = outbound.settled(said, outbound.checked(said))
    assert told.states() == {"1": "succeeded", "2": "failed", "3": "failed"}
    assert told.verdict is not None
    assert nothing_is_open(back_office)

    said = outbound.sent("next")

    assert outbound.board.orders() == ["1", "2", "3"]
    assert said["feed_ids"] == outbound.board.feeds()
    decide(outbound, "unknown")
    outbound.later(hours=3)
    assert outbound.checked(said, "next") is None  # a new deadline
    decide(outbound, ends)
    outbound.later(hours=4, seconds=30)
    told = outbound.settled(said, outbound.checked(said, "next"), "next")
    assert set(told.states().values()) == {"succeeded" if ends == "done" else "failed"}
    assert sorted(due(back_office)) == ([] if ends == "done" else ["2", "3"])
    assert notes_of(outbound) == []


def test_a_job_that_a_person_ended_gets_no_new_deadline(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", feed_deadline="2h")
    decide(outbound, "unknown")
    first = outbound.sent()
    back_office.post(f"/admin/batch_requests/{first['batch_pk']}/fail").raise_for_status()
    outbound.settled(first, outbound.checked(first))

    said = outbound.sent("next")

    assert said["feed_ids"] == first["feed_ids"]
    assert said["accepted_at"] <= first["accepted_at"]
    assert outbound.board.orders() == ["1"]


def test_a_job_that_ends_with_an_older_one_at_its_deadline_is_sent_once_all_the_same(
    make: Make, back_office: BackOffice
) -> None:
    outbound = make("1", "2", feed_deadline="2h")
    decide(outbound, "unknown")
    ready = asyncio.run(outbound.staged("run"))
    ready.write("orders", [row for row in ready.read("orders") if row["sent"]["key"] == "1"])
    first = asyncio.run(outbound.send(ready, "run"))
    back_office.post(f"/admin/batch_requests/{first['batch_pk']}/fail").raise_for_status()
    outbound.settled(first, outbound.checked(first))
    [old] = notes_of(outbound)
    an_hour_ago = (datetime.now(UTC) - timedelta(hours=1)).isoformat()
    Notes(outbound.staging, "submissions/shelf/update_orders").write(replace(old, since=an_hour_ago))
    said = outbound.sent("next")
    assert len(said["feed_ids"]) == 2
    outbound.later(hours=1, minutes=1)

    outbound.settled(said, outbound.checked(said, "next"), "next")

    [note] = notes_of(outbound)  # of the one that had its time
    assert [sent.key for sent in note.sents] == ["2"]
    outbound.sent("third")
    assert outbound.board.orders() == ["1", "1", "2"]


@pytest.mark.parametrize(
    ("check", "said_of_it"),
    [
        ("retriable", "RetriableError"),
        ("slip", "KeyError"),
        ("other", "OSError"),
        ("setting", "takes no key of ours any more"),
    ],
)
def test_behind_the_deadline_no_error_of_the_channel_keeps_a_job_open(
    make: Make, back_office: BackOffice, caplog: pytest.LogCaptureFixture, check: str, said_of_it: str
) -> None:
    outbound = make("1")
    said = outbound.sent()
    outbound.board.rule(check=check)
    outbound.later(hours=13)

    checked = outbound.checked(said)

    assert checked is not None
    assert statuses(back_office)[-1] == "fail"
    assert f"the channel gave no verdict: {said_of_it}" in caplog.text.replace("the shelf ", "")
    assert "buyer@" not in caplog.text


def test_a_channel_that_does_not_answer_has_not_decided(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    said = outbound.sent()
    outbound.board.rule(check="retriable")

    assert outbound.checked(said) is None
    outbound.board.rule(check="slip")
    with pytest.raises(KeyError):
        outbound.checked(said)
    assert statuses(back_office)[-1] == "ongoing"


def test_an_order_that_the_finished_job_says_nothing_of_is_our_own_failure(make: Make) -> None:
    outbound = make("1", "2")
    outbound.board.rule(silent=["2"])
    decide(outbound)

    told = outbound.run()

    assert told.states() == {"1": "succeeded", "2": "failed"}
    assert told.reasons() == {"2": "channel_app"}
    assert told.verdict is not None


def test_asking_again_after_the_end_changes_nothing_and_says_the_same(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(refuse=["2"])
    said = outbound.sent()
    decide(outbound)
    first = outbound.checked(said)
    calls = len(back_office.calls("PATCH", f"/batch_requests/{said['batch_pk']}/"))

    again = outbound.checked(said)

    assert first is not None
    assert again is not None
    assert again.sents == first.sents
    assert len(back_office.calls("PATCH", f"/batch_requests/{said['batch_pk']}/")) == calls


@pytest.mark.defect("B12")
def test_a_job_that_somebody_ended_by_hand_is_said(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    said = outbound.sent()
    back_office.post(f"/admin/batch_requests/{said['batch_pk']}/fail").raise_for_status()

    told = outbound.settled(said, outbound.checked(said))

    assert told.states() == {"1": "failed"}
    assert told.verdict is not None
    assert "ended in fail" in told.verdict


def test_a_job_ends_well_even_if_staging_is_lost(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(refuse=["2"], by="number")
    said = outbound.sent()
    decide(outbound)
    for note in notes_of(outbound):
        Notes(outbound.staging, "submissions/shelf/update_orders").drop(note)

    checked = outbound.checked(said)

    assert checked is not None
    assert {sent.key: str(sent.state) for sent in checked.sents} == {"1": "succeeded", "2": "failed"}
    assert set(actions(back_office)) == {"1", "2"}
    assert due(back_office) == ["2"]


def test_an_order_that_changed_while_the_channel_worked_is_offered_again(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    said = outbound.sent()
    change(back_office, "1", status="550")
    decide(outbound)
    outbound.checked(said)

    assert due(back_office) == ["1"]


def test_while_its_own_job_is_undecided_the_next_run_waits_green_and_sends_nothing(
    make: Make, back_office: BackOffice, shelf: Any
) -> None:
    outbound = make("1", "2")
    said = outbound.sent(run="first")
    change(back_office, "2", status="550")
    before = len(statuses(back_office))

    told = outbound.run("second")

    assert told.verdict is None
    assert told.table["sent"] == 0
    assert outbound.board.orders() == ["1", "2"]
    assert len(statuses(back_office)) == before
    decide(outbound)
    outbound.settled(said, outbound.checked(said, "first"), "first")
    assert due(back_office) == ["2"]


def test_feed_ids_stay_within_what_omnitron_holds_and_the_rest_waits(make: Make, back_office: BackOffice) -> None:
    keys = [f"k{number:03}" for number in range(301)]
    outbound = make(*keys)
    outbound.board.rule(padding=100)

    said = outbound.sent()

    [batch] = back_office.rows("batch_requests", pk__in=said["batch_pk"])
    assert len(batch["remote_batch_id"]) <= REMOTE_ID_LENGTH
    assert batch["remote_batch_id"] == ",".join(outbound.board.feeds()) == ",".join(said["feed_ids"])
    assert len(outbound.board.orders()) == 200
    decide(outbound)
    told = outbound.settled(said, outbound.checked(said))
    assert told.table["succeeded"] == 200
    assert told.table["waiting"] == 101
    assert told.verdict is None
    outbound.run("next")
    assert sorted(outbound.board.orders()) == keys
    assert due(back_office) == []


def test_more_feed_ids_than_omnitron_holds_are_waited_for_all_the_same(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2", "3", "4")
    outbound.board.rule(padding=100, feeds_a_page=4)
    said = outbound.sent()
    assert len(said["feed_ids"]) == 2
    known = outbound.board.feeds()[:-1]
    outbound.board.rule(feeds=dict.fromkeys(known, "done"))
    assert outbound.checked(said) is None
    outbound.board.rule(feeds={"*": "done"})

    told = outbound.settled(said, outbound.checked(said))

    assert set(told.states().values()) == {"succeeded"}


@pytest.mark.defect("B15")
def test_beside_an_undecided_job_new_orders_arrive_and_are_linked(
    make: Make, back_office: BackOffice, shelf: Any
) -> None:
    outbound = make("1")
    said = outbound.sent()
    assert outbound.checked(said) is None
    shelf(order("2"), order("3"))

    balance = Steps(outbound.url, outbound.home).run(DAY)

    assert results(balance)["created"] == 2
    assert {"2", "3"} <= set(actions(back_office))
    assert {"2-1/1", "3-1/1"} <= set(actions(back_office, "orderitem"))
    decide(outbound)
    told = outbound.settled(said, outbound.checked(said))
    assert told.states() == {"1": "succeeded"}


def test_a_batch_request_that_was_never_handed_over_is_not_asked_about(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()
    said = {"batch_pk": row["pk"], "accepted_at": datetime.now(UTC).isoformat()}

    with pytest.raises(ContractError, match="was never handed over"):
        outbound.checked(said)


def test_a_channel_that_knows_no_feeds_is_a_wrong_setting(make: Make) -> None:
    outbound = make("1")
    said = outbound.sent()
    other = OutboundSteps(outbound.url, outbound.home)
    other.channel = other.steps.channel = other.channel.model_copy(
        update={"connector": "tests.shelf:Shelf", "settings": {}}
    )

    with pytest.raises(ConfigurationError, match="CheckOrders"):
        other.checked(said)


def test_a_try_after_the_channel_was_out_of_reach_keeps_the_jobs_that_it_accepted(
    make: Make, back_office: BackOffice
) -> None:
    keys = [f"k{number:03}" for number in range(102)]
    outbound = make(*keys)
    outbound.board.rule(fail="before", on=1)  # its second page
    with pytest.raises(RetriableError):
        outbound.sent(last_try=False)
    assert nothing_is_open(back_office)
    outbound.board.rule(fail=None)

    async def again() -> Any:
        return await outbound.send(outbound.folder("run", "transform"), "run")

    said = asyncio.run(again())

    assert sorted(outbound.board.orders()) == keys
    assert said["feed_ids"] == outbound.board.feeds()
    decide(outbound)
    told = outbound.settled(said, outbound.checked(said))
    assert told.table["succeeded"] == 102


def test_an_order_that_is_gone_when_its_job_is_taken_over_stops_no_other(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2")
    outbound.board.rule(fail="after", feeds={"*": "done"})
    with pytest.raises(RetriableError):
        outbound.sent(last_try=False)
    outbound.board.rule(fail=None)
    [note] = notes_of(outbound)
    gone = replace(note.sents[0], pk=GONE, key="gone")
    Notes(outbound.staging, "submissions/shelf/update_orders").write(replace(note, sents=(gone, note.sents[1])))

    told = outbound.run("next")

    assert told.states()["gone"] == "failed"
    assert told.states()["2"] == "succeeded"
    assert statuses(back_office)[-1] == "done"
    assert notes_of(outbound) == []


def test_an_order_that_is_gone_when_its_job_ends_stops_no_other(make: Make, back_office: BackOffice) -> None:
    outbound = make("1", "2", "3")
    outbound.board.rule(refuse=["3"])
    said = outbound.sent()
    decide(outbound)
    [note] = notes_of(outbound)
    gone = replace(note.sents[0], pk=GONE)
    Notes(outbound.staging, "submissions/shelf/update_orders").write(replace(note, sents=(gone, *note.sents[1:])))

    checked = outbound.checked(said)

    assert checked is not None
    assert (checked.status, checked.trouble) == ("done", "")
    assert statuses(back_office)[-1] == "done"
    assert due(back_office) == ["3"]
    assert notes_of(outbound) == []


def test_a_job_whose_results_omnitron_refuses_ends_badly_with_a_report(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    said = outbound.sent()
    decide(outbound)
    refused = {"status": 400, "body": {"objects": ["Not today."]}, "times": 2}
    back_office.fault("PATCH", f"/batch_requests/{said['batch_pk']}/", "status", **refused)

    told = outbound.settled(said, outbound.checked(said))

    assert statuses(back_office)[-1] == "fail"
    assert told.verdict is not None
    assert "Omnitron refuses its results" in told.verdict
    assert len(back_office.rows("error_reports")) == 2
    assert due(back_office) == ["1"]
    assert (outbound.batches().all(), notes_of(outbound)) == ([], [])


def test_what_a_channel_says_of_a_job_is_told_without_anybody_in_it(make: Make, back_office: BackOffice) -> None:
    outbound = make("1")
    outbound.board.rule(fell="over buyer@example.com, +90 532 123 45 67")
    said = outbound.sent()
    decide(outbound, "failed")

    checked = outbound.checked(said)

    assert checked is not None
    assert checked.trouble.endswith("as a whole: the shelf fell over … …")


def test_a_sensor_that_is_killed_for_good_when_the_job_has_ended_leaves_nothing_to_take_over(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    outbound = make("1")
    said = outbound.sent()
    decide(outbound)
    with monkeypatch.context() as killed:
        killed.setattr(Notes, "forget", _killed)
        with pytest.raises(KeyboardInterrupt):
            outbound.checked(said)
    assert notes_of(outbound) != []

    outbound.settled(said, None)

    assert (outbound.batches().all(), notes_of(outbound)) == ([], [])
    assert not outbound.sent("next").get("batch_pk")


def _killed(*_: Any) -> None:
    raise KeyboardInterrupt
