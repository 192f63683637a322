"""A record that waits is tried again: it passes, fails again, is gone, or was cancelled meanwhile."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import ConfigurationError, RetriableError
from order_integration.flows.replaying import (
    Fate,
    Search,
    What,
    became,
    counts,
    found,
    listed,
    park,
    replayed,
    resolve,
    selected,
)
from order_integration.flows.windows import WAITING_ONLY
from order_integration.staging import key_digest
from tests.conftest import BackOffice
from tests.flows.cancelling import states
from tests.flows.replay_shelf import ReplayShelf, Two, put_cancels
from tests.flows.steps import DAY, results
from tests.shelf import address, cancel, order

FLOW = "fetch_orders"
LOST = {"shipping_address": address(city="Atlantis")}  # nowhere, until it is mapped


@pytest.fixture
def two(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Two:
    return Two(omnitron_url, tmp_path, back_office)


def now() -> datetime:
    return datetime.now(UTC)


def again(two: Two, *keys: str) -> str:
    """Parked for replay; returns since when."""
    since = now()
    assert park(two.places(), keys, run="test", by="ayse", note="mapped", now=since) == list(keys)
    return since.isoformat()


def mapped(office: BackOffice) -> None:
    """The merchant maps the city."""
    office.told(mappings=[{"level": "city", "channel": 1, "code": "Atlantis", "name": "İstanbul"}])


def fate(two: Two, key: str, since: str) -> str:
    return str(became(two.places(), key, since)["fate"])


def test_what_passes_leaves_quarantine(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST), order("2", minutes=1))
    assert results(two.orders.run()) == {"quarantined": 1, "created": 1}
    mapped(back_office)
    since = again(two, "1")
    assert two.open() == (["1"], ["1"])
    assert fate(two, "1", since) == Fate.NOT_TRIED

    balance = two.replay()

    assert (balance.rows, results(balance)) == (1, {"created": 1})
    assert two.open() == ([], [])
    assert fate(two, "1", since) == Fate.PASSED


def test_what_fails_again_stays_in_quarantine_and_says_why_now(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    shelf(order("1", customer={}))
    since = again(two, "1")

    balance = two.replay()

    assert results(balance) == {"quarantined": 1}
    assert two.open() == (["1"], [])
    told = became(two.places(), "1", since)
    assert (told["fate"], told["reason"]) == (Fate.FAILED_AGAIN, "email_missing")
    assert told["field"].endswith("order.customer.email")
    assert told["sentence"]


def test_what_fails_again_for_the_same_reason_is_not_new(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    since = again(two, "1")

    assert two.replay().new_in_quarantine == 0

    assert fate(two, "1", since) == Fate.FAILED_AGAIN
    assert len(back_office.rows("error_reports")) == 1


def test_what_omnitron_does_not_answer_waits_and_stays_in_quarantine_until_it_passes(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    mapped(back_office)
    since = again(two, "1")
    back_office.fault("POST", "/create_orders/$", "status", status=503, times=100)
    two.replay()
    assert two.open() == (["1"], ["1"])
    assert fate(two, "1", since) == Fate.WAITS
    back_office.delete("/admin/faults")

    two.replay()

    assert two.open() == ([], [])
    assert fate(two, "1", since) == Fate.PASSED


def test_what_is_gone_at_the_channel_is_closed_in_both_places(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    shelf()
    since = again(two, "1")

    balance = two.replay()

    assert balance.rows == 0
    assert two.open() == ([], [])
    assert fate(two, "1", since) == Fate.GONE
    for place in (two.places().quarantine, two.places().parked):
        assert "record" not in (place.get("1") or {"record": 0})


@pytest.mark.parametrize("is_mended", [True, False])
def test_what_was_cancelled_while_it_waited_is_never_created_and_its_cancel_is_settled(
    two: Two, back_office: BackOffice, shelf: Any, is_mended: bool, caplog: Any
) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    put_cancels(cancel("1", "1-1/1"))
    assert results(two.cancels.run()) == {"parked": 1}
    shelf({**order("1", **LOST, **({} if is_mended else {"customer": {}})), "state": "cancelled"})
    mapped(back_office)
    since = again(two, "1")

    balance = two.replay()

    assert balance.holds
    assert results(balance) == {"cancelled_at_channel": 1}
    assert (two.open(), fate(two, "1", since)) == (([], []), Fate.CANCELLED)
    assert back_office.rows("orders") == []
    with caplog.at_level("INFO"):
        assert results(two.cancels.run(WAITING_ONLY)) == {"already_there": 1}
    assert "cancelled while it waited" in caplog.text
    assert two.open(two.cancels) == ([], [])


def test_a_cancel_that_comes_later_is_settled_as_well(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    shelf({**order("1", **LOST), "state": "cancelled"})
    again(two, "1")
    two.replay()
    put_cancels(cancel("1", "1-1/1"), cancel("2", "2-1/1"))

    balance = two.cancels.run()

    assert results(balance) == {"already_there": 1, "parked": 1}
    assert two.open(two.cancels) == ([], ["2"])


def test_what_was_cancelled_while_it_waited_is_not_created_by_a_window_either(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    shelf({**order("1", **LOST), "state": "cancelled"})
    again(two, "1")
    two.replay()
    mapped(back_office)

    assert results(two.orders.run()) == {"cancelled_at_channel": 1}

    assert back_office.rows("orders") == []


def test_what_is_cancelled_while_it_is_in_quarantine_is_not_created_by_a_window(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    put_cancels(cancel("1", "1-1/1"))
    two.cancels.run()
    mapped(back_office)
    shelf({**order("1", **LOST), "state": "cancelled"})

    assert results(two.orders.run()) == {"cancelled_at_channel": 1}

    assert (two.open(), back_office.rows("orders")) == (([], []), [])
    assert results(two.cancels.run()) == {"already_there": 1}


def staged_as_open(two: Two, office: BackOffice, shelf: Any) -> Any:
    """A run that begins with a replayed order, and whose first try of push came to nothing."""
    shelf(order("1", **LOST))
    two.orders.run()
    mapped(office)
    again(two, "1")
    chunks, _ = asyncio.run(two.orders.staged(WAITING_ONLY, "slow"))
    two.orders.attempts += 1
    shelf({**order("1", **LOST), "state": "cancelled"})
    put_cancels(cancel("1", "1-1/1"))
    return chunks


@pytest.mark.parametrize("tries_before", [0, 1])
def test_what_another_run_closed_as_cancelled_is_not_created_by_one_that_still_holds_it(
    two: Two, back_office: BackOffice, shelf: Any, tries_before: int
) -> None:
    chunks = staged_as_open(two, back_office, shelf)
    assert results(two.replay()) == {"cancelled_at_channel": 1}
    assert results(two.cancels.run()) == {"already_there": 1}
    two.orders.attempts = tries_before

    pushed = asyncio.run(two.orders.push(chunks, 0, "slow"))

    assert results(asyncio.run(two.orders.settle(chunks, [pushed], "slow"))) == {"cancelled_at_channel": 1}
    assert (two.open(), back_office.rows("orders")) == (([], []), [])


def test_what_waited_is_read_again_before_a_later_try_creates_it(two: Two, back_office: BackOffice, shelf: Any) -> None:
    chunks = staged_as_open(two, back_office, shelf)

    pushed = asyncio.run(two.orders.push(chunks, 0, "slow"))

    assert results(asyncio.run(two.orders.settle(chunks, [pushed], "slow"))) == {"cancelled_at_channel": 1}
    assert (two.open(), back_office.rows("orders")) == (([], []), [])
    assert results(two.cancels.run()) == {"already_there": 1}


def test_what_the_channel_can_t_show_before_a_later_try_waits(two: Two, back_office: BackOffice, shelf: Any) -> None:
    chunks = staged_as_open(two, back_office, shelf)
    ReplayShelf.shown["1"] = RetriableError("down")

    pushed = asyncio.run(two.orders.push(chunks, 0, "slow"))

    assert results(asyncio.run(two.orders.settle(chunks, [pushed], "slow"))) == {"parked": 1}
    assert back_office.rows("orders") == []


def test_what_is_cancelled_and_did_not_wait_is_created_and_cancelled(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    shelf({**order("1"), "state": "cancelled"})
    put_cancels(cancel("1", "1-1/1"))

    assert results(two.orders.run()) == {"created": 1}
    assert results(two.cancels.run()) == {"created": 1}

    assert states(back_office, "1") == {"1-1/1": ["50"]}


def test_an_order_whose_creation_got_no_answer_is_cancelled_and_not_forgotten(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    """It is there, so it would be shipped."""
    shelf(order("1"))
    back_office.fault("POST", "/create_orders/$", "cut_after", times=1)
    back_office.fault("GET", "/orders/$", "status", status=503, times=100)
    assert results(two.orders.run()) == {"parked": 1}
    back_office.delete("/admin/faults")
    assert len(back_office.rows("orders")) == 1
    shelf({**order("1"), "state": "cancelled"})
    put_cancels(cancel("1", "1-1/1"))

    assert results(two.replay()) == {"already_there": 1}

    assert set(back_office.linked("order")) == {"1"}
    assert results(two.cancels.run()) == {"created": 1}
    assert states(back_office, "1") == {"1-1/1": ["50"]}


def test_a_cancelled_order_leaves_its_number_to_another_one(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", number="N", **LOST))
    two.orders.run()
    again(two, "1")
    shelf({**order("1", number="N"), "state": "cancelled"}, order("2", number="N", minutes=5))

    assert results(two.orders.run()) == {"cancelled_at_channel": 1, "created": 1}


def test_a_record_that_was_staged_without_its_payload_waits_until_it_can_be_read(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    two.places().parked.put("1", {"reason": "missing"}, run="r", now=now().isoformat())
    ReplayShelf.shown["1"] = RetriableError("down")
    assert two.replay().rows == 0
    assert two.open() == ([], ["1"])
    ReplayShelf.shown.clear()
    shelf(order("1"))

    assert results(two.replay()) == {"created": 1}


def test_a_run_of_what_waits_reads_no_window(two: Two, shelf: Any) -> None:
    shelf(order("1"))

    balance = two.replay()

    assert balance.rows == 0


def test_an_older_run_that_settles_later_does_not_undo_a_replay(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    chunks, _ = asyncio.run(two.orders.staged(WAITING_ONLY, "older"))
    two.orders.run()
    again(two, "1")

    asyncio.run(two.orders.settle(chunks, [], "older"))

    assert two.open() == (["1"], ["1"])


def test_an_older_run_that_failed_before_the_mend_leaves_the_replay_to_the_next_one(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    chunks, _ = asyncio.run(two.orders.staged(DAY, "older"))
    failed = asyncio.run(two.orders.push(chunks, 0, "older"))
    mapped(back_office)
    since = again(two, "1")

    asyncio.run(two.orders.settle(chunks, [failed], "older"))

    assert (two.open(), fate(two, "1", since)) == ((["1"], ["1"]), Fate.NOT_TRIED)
    assert results(two.replay()) == {"created": 1}
    assert (two.open(), fate(two, "1", since)) == (([], []), Fate.PASSED)


def test_an_older_run_that_passed_ends_the_replay(two: Two, back_office: BackOffice, shelf: Any) -> None:
    shelf(order("1", **LOST))
    two.orders.run()
    mapped(back_office)
    chunks, _ = asyncio.run(two.orders.staged(DAY, "older"))
    passed = asyncio.run(two.orders.push(chunks, 0, "older"))
    again(two, "1")

    asyncio.run(two.orders.settle(chunks, [passed], "older"))

    assert two.open() == ([], [])


def test_what_can_t_be_read_again_and_fails_again_waits_for_no_further_run(
    two: Two, back_office: BackOffice, shelf: Any
) -> None:
    """What is tried is as old as it was, but it is tried."""
    shelf(order("1", **LOST))
    two.orders.run()
    since = again(two, "1")
    ReplayShelf.shown["1"] = RetriableError("down")
    two.orders.attempts = 0  # the first try of its push: a later one would ask the channel again

    assert results(two.replay()) == {"quarantined": 1}

    assert (two.open(), fate(two, "1", since)) == ((["1"], []), Fate.FAILED_AGAIN)


# What is chosen ---------------------------------------------------------------------------------------


@pytest.fixture
def waiting(two: Two, shelf: Any) -> Two:
    shelf(order("1", **LOST), order("2", minutes=1, customer={}), order("3", minutes=2, customer={}))
    two.orders.run()
    two.places().parked.put("9", {"reason": "order_unknown", "record": {}}, run="r", now="2026-01-01T00:00:00+00:00")
    return two


def keys_of(two: Two, what: What, **own: str) -> list[str]:
    return sorted(row["key"] for row in selected(two.orders.staging, "shelf", FLOW, what, **own))


def test_what_is_to_be_tried_again_is_chosen_by_key_by_reason_or_as_a_whole(waiting: Two) -> None:
    assert keys_of(waiting, What.ONE_KEY, key="2") == ["2"]
    assert keys_of(waiting, What.ONE_KEY, key=key_digest("2")) == ["2"]
    assert keys_of(waiting, What.REASON, reason="email_missing") == ["2", "3"]
    assert keys_of(waiting, What.ALL) == ["1", "2", "3"]
    assert keys_of(waiting, What.REASON, reason="refused") == []


@pytest.mark.parametrize(
    ("what", "own", "sentence"),
    [
        (What.ONE_KEY, {}, "give the key"),
        (What.REASON, {}, "choose a reason"),
        (What.ONE_KEY, {"key": "nobody's"}, "no such key"),
        (What.ONE_KEY, {"key": "0" * 24}, "no such key"),
    ],
)
def test_a_choice_that_is_none_is_refused(waiting: Two, what: What, own: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        keys_of(waiting, what, **own)


def test_what_is_parked_already_is_not_put_back(waiting: Two) -> None:
    row = {"reason": "push_failed", "record": {"n": 1}}
    waiting.places().parked.put("1", row, run="r", now="2026-01-01T00:00:00+00:00")

    again(waiting, "1")

    kept = waiting.places().parked.get("1") or {}
    assert (kept["reason"], kept["first_seen"]) == ("push_failed", "2026-01-01T00:00:00+00:00")


def test_what_passed_meanwhile_is_not_parked(waiting: Two) -> None:
    moment = now()
    waiting.places().quarantine.close("1", "superseded", now=moment.isoformat(), read_at=moment.isoformat())

    assert park(waiting.places(), ["1", "2"], run="r", by="b", note="", now=moment) == ["2"]


# What is looked at ---------------------------------------------------------------------------------------


def test_what_waits_is_listed_by_flow_reason_place_and_age(waiting: Two) -> None:
    area = waiting.orders.staging

    def keys(**own: Any) -> list[str]:
        return sorted(entry.key for entry in listed(area, Search(**own), now()))

    assert keys() == ["1", "2", "3"]
    assert keys(reason="email_missing") == ["2", "3"]
    assert keys(flows=("fetch_and_create_cancel",)) == keys(channels=("other",)) == []
    assert keys(places=("parked",)) == ["9"]
    assert keys(places=("quarantine", "parked"), older_than=now() - datetime(2026, 2, 1, tzinfo=UTC)) == ["9"]
    assert keys(closed=True) == []


def test_a_listed_row_holds_no_payload(waiting: Two) -> None:
    rows = [entry.as_row() for entry in listed(waiting.orders.staging, Search(), now())]

    assert all("record" not in row and row["digest"] == key_digest(row["key"]) for row in rows)


def test_counts_are_per_channel_flow_place_and_reason(waiting: Two) -> None:
    rows = counts(waiting.orders.staging, Search(places=("quarantine", "parked")), now())

    assert [(row["place"], row["reason"], row["count"]) for row in rows] == [
        ("parked", "order_unknown", 1),
        ("quarantine", "city_unknown", 1),
        ("quarantine", "email_missing", 2),
    ]
    assert {(row["channel"], row["flow"]) for row in rows} == {("shelf", FLOW)}


def test_a_key_is_found_by_its_digest_though_it_is_closed(waiting: Two) -> None:
    resolve(waiting.places(), "1", by="ayse", note="a test order", now=now())

    [entry] = found(waiting.orders.staging, key_digest("1"), Search())

    assert (entry.row["state"], entry.row["note"], entry.row["by"]) == ("resolved", "a test order", "ayse")
    assert "record" not in entry.row


def test_what_became_of_all_that_was_tried_again_is_told_the_latest_first(waiting: Two, shelf: Any) -> None:
    again(waiting, "1")
    again(waiting, "2")
    shelf(order("2", minutes=1), order("1", **LOST))
    waiting.replay()

    rows = replayed(waiting.orders.staging, Search(), now())

    assert [(row["key"], row["fate"], row["by"]) for row in rows] == [
        ("2", Fate.PASSED, "ayse"),
        ("1", Fate.FAILED_AGAIN, "ayse"),
    ]


# What a person closed ---------------------------------------------------------------------------------------


def test_what_is_resolved_stays_so_while_its_reason_is_the_same(waiting: Two, back_office: BackOffice) -> None:
    assert resolve(waiting.places(), "2", by="ayse", note="a test order", now=now())
    told = len(back_office.rows("error_reports"))

    balance = waiting.orders.run()

    assert results(balance)["quarantined"] == 3
    assert balance.new_in_quarantine == 0
    assert sorted(waiting.open()[0]) == ["1", "3"]
    assert len(back_office.rows("error_reports")) == told


def test_what_is_resolved_comes_back_with_another_reason_and_passes_when_it_is_mended(waiting: Two, shelf: Any) -> None:
    for key in ("2", "3"):
        resolve(waiting.places(), key, by="ayse", note="", now=now())
    shelf(order("2", **LOST), order("3"))

    balance = waiting.orders.run()

    assert results(balance) == {"quarantined": 1, "created": 1}
    assert balance.new_in_quarantine == 1
    assert "2" in waiting.open()[0]


def test_what_waits_nowhere_can_not_be_resolved(waiting: Two) -> None:
    assert not resolve(waiting.places(), "7", by="ayse", note="", now=now())


def test_what_is_parked_and_resolved_is_parked_again_when_it_fails(waiting: Two, back_office: BackOffice) -> None:
    """It is needed: only what can't be used is a person's to put aside."""
    row = {"reason": "RetriableError", "record": {}}
    waiting.places().parked.put("4", row, run="r", now="2026-01-01T00:00:00+00:00")
    resolve(waiting.places(), "4", by="ayse", note="", now=now())

    waiting.places().parked.put("4", row, run="r", now=now().isoformat())

    assert "4" in waiting.open()[1]
