"""Flow 5: items are brought to what the channel says of them; nothing is sent twice, and nothing older wins."""

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import IntegrationError, RefusedError, RetriableError
from order_integration.staging import Places, key_digest
from tests.conftest import BackOffice
from tests.flows.after_sales import UPDATES, arrive, from_now_on, killed_push, last_batch, order, steps_of, writes
from tests.flows.steps import DAY, Steps, results
from tests.flows.test_killed import PROCESSES, fork_server, is_no_end_of_a_call_that_hangs
from tests.shelf import NewsShelf, item, news

__all__ = ["fork_server"]

EARLIER, NOW, LATER = "2026-01-06T09:00:00+00:00", "2026-01-06T10:00:00+00:00", "2026-01-06T11:00:00+00:00"
DELIVERED = {"status": "550", "modified_at": NOW}


@pytest.fixture
def steps(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Steps:
    NewsShelf.start_again()
    return steps_of(UPDATES, omnitron_url, tmp_path)


@pytest.fixture
def asked(steps: Steps) -> Steps:
    """Of a channel that can be asked for one item."""
    return steps_of(UPDATES, steps.url, steps.home, "AskedShelf")


def told(*rows: dict[str, Any]) -> None:
    NewsShelf.items[:] = rows


def there(office: BackOffice, *names: str) -> dict[str, list[Any]]:
    """What Omnitron says of the items, by the channel's id."""
    found: dict[str, list[Any]] = {}
    for row in office.rows("order_items"):
        said = [row[name] for name in names]
        found.setdefault(row["extra_field"]["id"], []).append(said[0] if len(said) == 1 else tuple(said))
    return found


def pk_of(office: BackOffice, remote_id: str) -> int:
    return next(row["pk"] for row in office.rows("order_items") if row["extra_field"]["id"] == remote_id)


def set_status(office: BackOffice, remote_id: str, status: str) -> None:
    path = f"/admin/order_items/{pk_of(office, remote_id)}"
    office.patch(path, json={"status": status}).raise_for_status()


# What arrives --------------------------------------------------------------------------------------------------------


@pytest.mark.defect("I1", "I2", "I5")
def test_every_item_with_the_id_is_updated_and_named_in_the_batch_request(
    steps: Steps, back_office: BackOffice
) -> None:
    arrive(steps, order("1", [item("1"), item("1"), item("1", unit=2)]))
    invoice = {"invoice_number": "A-1", "invoice_date": NOW, "extra_field": {"seal": 1}}
    told(news("1-1/1", order_remote_id="1", order_number="N1", **DELIVERED, **invoice))

    balance = steps.run()

    assert results(balance) == {"updated": 1}
    assert there(back_office, "status", "invoice_number") == {
        "1-1/1": [("550", "A-1"), ("550", "A-1")],
        "1-1/2": [("400", None)],
    }
    changed = [row for row in back_office.rows("order_items") if row["status"] == "550"]
    assert all(row["extra_field"]["seal"] == 1 for row in changed)
    batch = last_batch(back_office)
    assert (batch["status"], batch["content_type"]) == ("done", "order")
    assert {(one["content_type"], one["pk"], one["version_date"]) for one in batch["objects"]} == {
        ("orderitem", row["pk"], row["modified_date"]) for row in changed
    }


def test_a_second_run_writes_nothing(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1"), item("1", unit=2)]))
    told(
        news("1-1/1", order_remote_id="1", **DELIVERED, invoice_number=" A ", extra_field={"w": 1.5}),
        news("1-1/2", tracking_number="T", invoice_date=NOW),
    )
    assert results(steps.run()) == {"updated": 2}
    from_now_on(back_office)

    assert results(steps.run()) == {"unchanged": 2}
    assert writes(back_office) == []


def test_where_nothing_differs_nothing_is_written(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", status="400", invoice_number=None, modified_at=NOW))
    from_now_on(back_office)

    balance = steps.run()

    assert results(balance) == {"unchanged": 1}
    assert writes(back_office) == []


@pytest.mark.defect("I4")
def test_what_is_given_as_nothing_is_cleared_and_what_is_not_given_stays(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", invoice_number="A", tracking_number="T"))
    steps.run()

    told(news("1-1/1", tracking_number=None, extra_field={"floor": 0, "gift": False, "note": ""}))
    steps.run()

    [row] = back_office.rows("order_items")
    assert (row["invoice_number"], row["tracking_number"]) == ("A", None)
    assert {name: row["extra_field"][name] for name in ("floor", "gift", "note")} == {
        "floor": 0,
        "gift": False,
        "note": "",
    }


def test_an_id_that_is_one_only_within_its_order_reaches_that_order_alone(
    steps: Steps, back_office: BackOffice
) -> None:
    arrive(steps, order("1", [item("x")]), order("2", [item("x")]))
    told(news("x-1/1", order_remote_id="2", **DELIVERED))

    steps.run()

    orders = {row["pk"]: row["extra_field"]["id"] for row in back_office.rows("orders")}
    assert {orders[row["order"]]: row["status"] for row in back_office.rows("order_items")} == {"1": "400", "2": "550"}


def test_news_of_two_orders_under_one_key_are_no_two_versions(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("x")]), order("2", [item("x")]))
    told(news("x-1/1", order_remote_id="1"), news("x-1/1", order_remote_id="2", minutes=1, **DELIVERED))

    balance = steps.run()

    assert (results(balance), balance.reasons) == ({"quarantined": 1}, {"conflict": 1})
    assert set(steps.quarantine.open_keys()) == {"x-1/1"}


def test_an_order_s_items_are_read_once(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1", unit=unit) for unit in range(1, 6)]))
    told(*(news(f"1-1/{unit}", order_remote_id="1", **DELIVERED) for unit in range(1, 6)))
    from_now_on(back_office)

    assert results(steps.run()) == {"updated": 5}
    reads = [call for call in back_office.get("/admin/requests").json() if "order_items" in call["path"]]
    assert [call["method"] for call in reads].count("GET") == 1
    assert len(back_office.calls("GET", "/integration_actions/")) == 2


# What waits ----------------------------------------------------------------------------------------------------------


@pytest.mark.defect("I3")
def test_news_of_an_item_that_is_not_there_yet_wait_for_it(steps: Steps, back_office: BackOffice) -> None:
    told(news("1-1/1", **DELIVERED), news("2-1/1", order_remote_id="2", **DELIVERED))

    first = steps.run()
    told()
    arrive(steps, order("1", [item("1")]), order("2", [item("2")]))
    second = steps.run()

    assert (results(first), steps.verdict(first)) == ({"parked": 2}, None)
    assert results(second) == {"updated": 2}
    assert steps.parked.open_keys() == {}
    assert there(back_office, "status") == {"1-1/1": ["550"], "2-1/1": ["550"]}


def test_what_waits_says_what_for(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("9", **DELIVERED), news("1-1/9", order_remote_id="1"), news("1-1/1", order_remote_id="9"))

    steps.run()

    assert steps.keys(steps.parked) == {
        "9": ("item_unknown", "remote_id"),
        "1-1/9": ("item_unknown", "remote_id"),
        "1-1/1": ("order_unknown", "order_remote_id"),
    }
    assert there(back_office, "status") == {"1-1/1": ["400"]}


def test_an_order_id_that_several_orders_have_is_not_guessed(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]), order("2", [item("2")]))
    action = next(
        row for row in back_office.rows("integration_actions", content_type_name="order") if row["remote_id"] == "2"
    )
    path = f"/api/v1/channel/1/integration_actions/{action['pk']}/"
    back_office.patch(path, json={"remote_id": "1"}).raise_for_status()
    told(news("1-1/1", order_remote_id="1", **DELIVERED))

    assert steps.run().reasons == {"ambiguous": 1}


@pytest.mark.defect("I3")
def test_what_waits_for_days_is_told_once(steps: Steps, back_office: BackOffice) -> None:
    told(news("9", **DELIVERED, extra_field={"buyer": "Ayşe"}))
    steps.run()
    assert back_office.rows("error_reports") == []

    known = steps.parked.get("9") or {}
    known["first_seen"] = (datetime.now(UTC) - timedelta(days=4)).isoformat()
    steps.staging.write(f"{steps.parked.folder}/{key_digest('9')}.json", json.dumps(known).encode())
    told()
    assert results(steps.run()) == {"parked": 1}

    [report] = back_office.rows("error_reports")
    assert report["error_code"] == f"{UPDATES}-{key_digest('9')}-item_unknown"
    assert "Ayşe" not in json.dumps(report)
    from_now_on(back_office)
    assert results(steps.run()) == {"parked": 1}
    assert writes(back_office) == []


def test_a_report_that_could_not_be_written_is_told_by_the_next_run(steps: Steps, back_office: BackOffice) -> None:
    told(news("9", **DELIVERED))
    steps.run()
    known = steps.parked.get("9") or {}
    known["first_seen"] = "2026-01-01T00:00:00+00:00"
    steps.staging.write(f"{steps.parked.folder}/{key_digest('9')}.json", json.dumps(known).encode())
    back_office.fault("POST", "/error_reports/$", "status", status=503, times=4)
    with pytest.raises(RetriableError):
        steps.run()

    steps.run()

    assert len(back_office.rows("error_reports")) == 1


# Older and newer -----------------------------------------------------------------------------------------------------


def test_older_news_that_arrive_later_change_nothing(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", status="550", modified_at=NOW))
    steps.run()
    from_now_on(back_office)

    told(news("1-1/1", status="500", invoice_number="old", modified_at=EARLIER))
    assert results(steps.run()) == {"unchanged": 1}
    assert writes(back_office) == []

    told(news("1-1/1", status="540", modified_at=LATER))
    assert results(steps.run()) == {"updated": 1}


def test_of_two_versions_in_a_run_the_later_counts(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(
        news("1-1/1", minutes=5, status="550", modified_at=NOW), news("1-1/1", status="500", modified_at=EARLIER)
    )  # fmt: skip

    assert results(steps.run()) == {"updated": 1}
    assert there(back_office, "status") == {"1-1/1": ["550"]}


@pytest.mark.parametrize("status", ["50", "100", "600"])
def test_a_cancelled_or_refunded_item_is_not_revived(steps: Steps, back_office: BackOffice, status: str) -> None:
    arrive(steps, order("1", [item("1"), item("1", unit=2)]))
    set_status(back_office, "1-1/1", status)
    set_status(back_office, "1-1/2", status)
    told(news("1-1/1", **DELIVERED), news("1-1/2", **DELIVERED, invoice_number="A-2"))

    balance = steps.run()

    assert results(balance) == {"unchanged": 1, "updated": 1}
    assert there(back_office, "status", "invoice_number") == {"1-1/1": [(status, None)], "1-1/2": [(status, "A-2")]}


def put(office: BackOffice, remote_id: str, **own: Any) -> None:
    """The merchant changes an item."""
    office.patch(f"/admin/order_items/{pk_of(office, remote_id)}", json=own).raise_for_status()


def test_what_a_merchant_corrected_stays_until_the_channel_says_something_else(
    steps: Steps, back_office: BackOffice
) -> None:
    """Shipped with T1, which the channel was told by flow 2; then T2, because the slip was a wrong one."""
    arrive(steps, order("1", [item("1")]))
    put(back_office, "1-1/1", status="500", tracking_number="T1")
    told(news("1-1/1", status="500", tracking_number="T1", modified_at=EARLIER))
    assert results(steps.run()) == {"unchanged": 1}
    put(back_office, "1-1/1", tracking_number="T2")

    told(news("1-1/1", status="500", tracking_number="T1", invoice_number="A", modified_at=NOW))
    assert results(steps.run()) == {"updated": 1}
    assert there(back_office, "tracking_number", "invoice_number") == {"1-1/1": [("T2", "A")]}

    told(news("1-1/1", status="500", tracking_number="T3", modified_at=LATER))
    assert results(steps.run()) == {"updated": 1}
    assert there(back_office, "tracking_number") == {"1-1/1": ["T3"]}


def test_older_news_do_not_replace_newer_ones_that_were_there_already(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    put(back_office, "1-1/1", status="500", tracking_number="T2")
    told(news("1-1/1", tracking_number="T1", modified_at=EARLIER))
    slow, _ = asyncio.run(steps.staged(DAY, "slow"))
    told(news("1-1/1", tracking_number="T2", modified_at=NOW))
    assert results(steps.run()) == {"unchanged": 1}

    pushed = asyncio.run(steps.push(slow, 0, "slow"))

    assert results(asyncio.run(steps.settle(slow, [pushed], "slow"))) == {"unchanged": 1}
    assert there(back_office, "tracking_number") == {"1-1/1": ["T2"]}


def test_a_channel_takes_back_a_status_that_it_gave_itself_and_no_other(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1"), item("1", unit=2)]))
    told(*(news(f"1-1/{unit}", status="550", modified_at=EARLIER) for unit in (1, 2)))
    steps.run()
    set_status(back_office, "1-1/2", "540")

    told(*(news(f"1-1/{unit}", status="500", modified_at=NOW) for unit in (1, 2)))
    steps.run()

    assert there(back_office, "status") == {"1-1/1": ["500"], "1-1/2": ["540"]}


def test_news_that_did_not_arrive_are_no_word_of_the_channel_s_yet(steps: Steps, back_office: BackOffice) -> None:
    """Of two items with one id, one was changed; the next run brings the same news to the other."""
    arrive(steps, order("1", [item("1"), item("1")]))
    told(news("1-1/1", tracking_number="T", modified_at=NOW))
    back_office.fault("PATCH", "/order_items/", "status", status=503, skip=1, times=4)
    assert results(steps.run()) == {"parked": 1}

    assert results(steps.run()) == {"updated": 1}
    assert there(back_office, "tracking_number") == {"1-1/1": ["T", "T"]}


def test_what_is_remembered_is_written_when_it_changes_and_names_nobody(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", tracking_number="T", extra_field={"buyer": "Ayşe"}, modified_at=NOW))
    steps.run()
    folder = Path(steps.staging.url.removeprefix("file://")) / "said"
    [file] = folder.rglob("*.json")
    before = file.stat().st_mtime_ns

    steps.run()

    assert file.stat().st_mtime_ns == before
    assert "Ayşe" not in file.read_text()


def test_a_later_try_asks_the_channel_again(asked: Steps, back_office: BackOffice) -> None:
    """News without a time of their own: what was staged would put the status back."""
    arrive(asked, order("1", [item("1")]))
    told(news("1-1/1", status="500"))
    NewsShelf.shown["1-1/1"] = news("1-1/1", status="550")
    back_office.fault("PATCH", "/order_items/", "status", status=503, times=4)

    balance = asked.run(tries=2)

    assert results(balance) == {"updated": 1}
    assert there(back_office, "status") == {"1-1/1": ["550"]}
    assert len(back_office.calls("PATCH", f"/order_items/{pk_of(back_office, '1-1/1')}/")) == 5


@pytest.mark.parametrize(
    ("answer", "result"),
    [
        (None, {"unchanged": 1}),
        (IntegrationError("down"), {"parked": 1}),
        (RefusedError("no", status=400), {"parked": 1}),
        (TypeError("odd"), {"parked": 1}),
        ({"id": "1-1/1", "changed": NOW, "dto": {}}, {"quarantined": 1}),
        ({"id": "1-1/1", "changed": NOW}, {"quarantined": 1}),
    ],
    ids=["gone", "down", "refused", "slip", "bad", "malformed"],
)
def test_what_the_channel_can_t_show_again_is_not_sent_from_memory(
    asked: Steps, back_office: BackOffice, answer: Any, result: dict[str, int]
) -> None:
    arrive(asked, order("1", [item("1")]))
    told(news("1-1/1", status="500"))
    NewsShelf.shown["1-1/1"] = answer
    back_office.fault("PATCH", "/order_items/", "status", status=503, times=4)

    assert results(asked.run(tries=2)) == result
    assert there(back_office, "status") == {"1-1/1": ["400"]}


def test_news_go_on_while_the_channel_works_on_a_feed(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    back_office.rows("orders")  # logs in
    path = "/api/v1/channel/1/batch_requests/"
    pk = back_office.post(path, json={"channel": 1}).json()["pk"]
    for body in ({"status": "commit", "content_type": "order", "objects": []}, {"status": "sent_to_remote"}):
        back_office.patch(f"{path}{pk}/", json={"channel": 1, **body}).raise_for_status()
    told(news("1-1/1", order_remote_id="1", **DELIVERED))

    assert results(steps.run()) == {"updated": 1}

    assert there(back_office, "status") == {"1-1/1": ["550"]}
    assert steps.owed.all() == {}
    assert back_office.get(f"{path}{pk}/").json()["status"] == "sent_to_remote"


# Bad ones, lost answers, kills, and everything twice -----------------------------------------------------------------


@pytest.mark.defect("B13")
def test_what_omnitron_refuses_stops_no_other(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1", unit=unit) for unit in range(1, 4)]))
    bad = news("1-1/2", order_remote_id="1", status="1", extra_field={"buyer": "Ayşe"})
    told(news("1-1/1", order_remote_id="1", **DELIVERED), bad, news("1-1/3", order_remote_id="1", **DELIVERED))

    balance = steps.run()

    assert results(balance) == {"updated": 2, "quarantined": 1}
    assert steps.verdict(balance) is None
    assert steps.keys(steps.quarantine) == {"1-1/2": ("refused", "order_item")}
    [report] = back_office.rows("error_reports")
    assert "Ayşe" not in json.dumps(report)
    assert {row["status"] for row in back_office.rows("batch_requests")} == {"done"}


@pytest.mark.parametrize("dto", [{"status": None}, {"status": "a lot"}, {"modified_at": "2026-01-01T00:00:00"}])
def test_what_can_t_be_said_is_set_apart(steps: Steps, back_office: BackOffice, dto: dict[str, Any]) -> None:
    arrive(steps, order("1", [item("1"), item("1", unit=2)]))
    told(news("1-1/1", **dto), news("1-1/2", **DELIVERED))

    assert results(steps.run()) == {"updated": 1, "quarantined": 1}


def test_an_item_that_is_refused_leaves_the_other_of_its_id_named(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1"), item("1")]))
    told(news("1-1/1", **DELIVERED))
    back_office.fault("PATCH", "/order_items/", "status", status=400, body={"status": ["no"]}, skip=1)

    assert results(steps.run()) == {"quarantined": 1}
    batch = last_batch(back_office)
    assert [one["pk"] for one in batch["objects"]] == [
        row["pk"] for row in back_office.rows("order_items") if row["status"] == "550"
    ]


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_is_made_up_for(steps: Steps, back_office: BackOffice, kind: str) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", **DELIVERED))
    back_office.fault("PATCH", "/order_items/", kind)

    assert results(steps.run()) == {"updated": 1}
    assert there(back_office, "status") == {"1-1/1": ["550"]}


def test_a_change_whose_answers_were_all_lost_is_named_by_the_next_try(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1")]))
    told(news("1-1/1", **DELIVERED))
    back_office.fault("PATCH", "/order_items/", "cut_after", times=4)

    assert results(steps.run(tries=2)) == {"updated": 1}
    batch = last_batch(back_office)
    assert [one["pk"] for one in batch["objects"]] == [pk_of(back_office, "1-1/1")]


def test_a_push_that_was_killed_is_made_up_for_by_its_next_try(steps: Steps, back_office: BackOffice) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    arrive(steps, order("1", [item("1", unit=unit) for unit in range(1, 4)]))
    told(*(news(f"1-1/{unit}", order_remote_id="1", **DELIVERED) for unit in range(1, 4)))
    chunks = killed_push(PROCESSES, steps, back_office, ("PATCH", "/order_items/", 1))
    assert [row["status"] for row in back_office.rows("order_items")].count("550") == 1

    pushed = asyncio.run(steps.push(chunks, 0, "run"))
    balance = asyncio.run(steps.settle(chunks, [pushed], "run"))

    assert results(balance) == {"updated": 3}
    assert {row["status"] for row in back_office.rows("order_items")} == {"550"}
    batch = last_batch(back_office)
    assert len(batch["objects"]) == 3


def test_a_push_that_was_killed_for_good_is_made_up_for_by_the_next_run(steps: Steps, back_office: BackOffice) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    arrive(steps, order("1", [item("1"), item("1", unit=2)]))
    told(*(news(f"1-1/{unit}", order_remote_id="1", **DELIVERED) for unit in range(1, 3)))
    chunks = killed_push(PROCESSES, steps, back_office, ("PATCH", "/order_items/", 1))
    assert results(asyncio.run(steps.settle(chunks, [None], "run"))) == {"parked": 2}
    told()

    assert results(steps.run()) == {"updated": 1, "unchanged": 1}
    assert steps.parked.open_keys() == {}
    assert {row["status"] for row in back_office.rows("order_items")} == {"550"}


def test_two_runs_at_once_end_in_the_same_state(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("1", [item("1", unit=unit) for unit in range(1, 6)]))
    told(*(news(f"1-1/{unit}", order_remote_id="1", **DELIVERED) for unit in range(1, 6)))

    async def both() -> list[Any]:
        return await asyncio.gather(*(steps.whole(run=f"run-{n}", patient=True) for n in range(2)))

    balances = asyncio.run(both())

    assert sum((results(balance) for balance in balances), start=results(balances[0]).__class__()) == {
        "updated": 5,
        "unchanged": 5,
    }
    assert len([call for call in writes(back_office) if call[0] == "PATCH" and "order_items" in call[1]]) == 5
    assert {row["status"] for row in back_office.rows("order_items")} == {"550"}
    assert all(row["status"] == "done" for row in back_office.rows("batch_requests"))


def test_news_of_an_order_that_was_cancelled_while_it_waited_wait_for_nothing(steps: Steps) -> None:
    moment = "2026-01-06T12:00:00+00:00"
    waited = Places.of(steps.staging, steps.channel.name, "fetch_orders")
    for key in ("1", "2"):
        waited.quarantine.put(key, {"reason": "x"}, run="r", now=moment)
    waited.close("1", "cancelled_at_channel", now=moment, read_at=moment)
    told(*(news(f"{key}-1/1", status="500", order_remote_id=key, modified_at=moment) for key in ("1", "2")))

    assert results(steps.run()) == {"unchanged": 1, "parked": 1}

    assert steps.keys(steps.parked) == {"2-1/1": ("order_unknown", "order_remote_id")}
