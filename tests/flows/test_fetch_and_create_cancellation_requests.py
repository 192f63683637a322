"""Flow 6: each unit that a shopper wants to cancel or to bring back is asked for once, whatever happens in between."""

import asyncio
import json
import logging
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.channels.commands import Record
from order_integration.errors import ConfigurationError, RetriableError
from order_integration.flows.outcomes import Outcome
from order_integration.omnitron.cancellation_requests import Wanted
from order_integration.staging import Begun, key_digest
from tests.conftest import BackOffice
from tests.flows.after_sales import (
    REQUESTS,
    SIZE,
    arrive,
    from_now_on,
    killed_push,
    last_batch,
    map_reasons,
    order,
    steps_of,
    writes,
)
from tests.flows.steps import DAY, Hasty, Steps, config, results
from tests.flows.test_killed import PROCESSES, fork_server, is_no_end_of_a_call_that_hangs
from tests.shelf import NewsShelf, ShelfGetCancellationRequests, ShelfGetOrders, item, request

__all__ = ["fork_server"]

WORDS = "Ayşe'nin kolu kısa geldi"
POST = ("POST", "/cancellation_requests/$")
TIMEOUT = timedelta(seconds=1)
UNITS = ["1-1/1", "1-1/2", "1-1/3"]


@pytest.fixture
def steps(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Steps:
    """A channel with an order of three units, and a reason that is mapped."""
    NewsShelf.start_again()
    back_office.told(cancellation_reasons=[{"id": SIZE, "subject": "Beden", "cancellation_type": "refund"}])
    map_reasons(back_office, size=SIZE)
    steps = steps_of(REQUESTS, omnitron_url, tmp_path)
    arrive(steps, order("1", [item("1", unit=unit) for unit in range(1, 4)]))
    from_now_on(back_office)
    return steps


@pytest.fixture
def sharing(steps: Steps) -> Steps:
    """An order of three units with one id."""
    arrive(steps, order("2", [item("2"), item("2"), item("2")]))
    return steps


class AskedGetCancellationRequests(ShelfGetCancellationRequests):
    """It can be asked for one request."""

    async def get_by_key(self, key: str) -> Record | None:
        return next((row for row in NewsShelf.requests if row["id"] == key), None)


class AskedShelf(NewsShelf):
    """A channel that says whether a request is still there."""

    commands = (ShelfGetOrders, AskedGetCancellationRequests)


@pytest.fixture
def asking(steps: Steps) -> Steps:
    return replace(steps, channel=config(connector=f"{__name__}:AskedShelf"))


def asked(*rows: dict[str, Any]) -> None:
    NewsShelf.requests[:] = rows


def begun(steps: Steps) -> Begun:
    return Begun(steps.staging, steps.channel.name, REQUESTS)


def pks(office: BackOffice, remote_id: str) -> list[int]:
    return [row["pk"] for row in office.rows("order_items") if row["extra_field"]["id"] == remote_id]


def requested(office: BackOffice) -> Counter[int]:
    """How often each item is asked for."""
    return Counter(row["order_item"] for row in office.rows("cancellation_requests"))


def linked(office: BackOffice) -> list[tuple[str, int]]:
    rows = office.rows("integration_actions", content_type_name="cancellationrequest", status="success")
    return sorted((row["remote_id"], int(row["object_id"])) for row in rows)


def is_whole(office: BackOffice, steps: Steps, *units: str) -> bool:
    """Each of these units asked for once and linked, nothing open, nothing left behind."""
    wanted = Counter(pk for unit in units for pk in pks(office, unit))
    assert requested(office) == wanted
    assert len(linked(office)) == len(units)
    assert begun(steps).all() == []
    assert steps.owed.all() == {}
    return all(row["status"] in {"done", "fail"} for row in office.rows("batch_requests"))


def by_hand(office: BackOffice, unit: str, **own: Any) -> int:
    """A request that somebody makes in Omnitron, or that was made without our being told."""
    body = {"order_item": pks(office, unit)[0], "reason": SIZE, "cancellation_type": "refund", "description": WORDS}
    answer = office.post("/api/v1/channel/1/cancellation_requests/", json={**body, **own})
    answer.raise_for_status()
    return int(answer.json()["id"])


def note(steps: Steps, office: BackOffice, key: str, unit: str, *, ago: timedelta = timedelta(0)) -> None:
    """What a run that died in its POST has left behind."""
    begun(steps).begin(
        key,
        {
            "marks": asdict(Wanted(pks(office, unit)[0], "refund", SIZE, WORDS).marks),
            "first_try": (datetime.now(UTC) - ago).isoformat(),
            "run": "dead",
        },
    )


# What arrives --------------------------------------------------------------------------------------------------------


@pytest.mark.defect("K1", "B14")
def test_a_return_of_three_units_makes_three_requests_that_are_linked_together(
    steps: Steps, back_office: BackOffice
) -> None:
    asked(*(request("R", unit) for unit in UNITS))

    balance = steps.run()

    assert results(balance) == {"created": 3}
    assert is_whole(back_office, steps, *UNITS)
    rows = back_office.rows("cancellation_requests")
    assert {(row["reason"], row["cancellation_type"], row["description"]) for row in rows} == {(SIZE, "refund", WORDS)}
    batch = last_batch(back_office)
    assert (batch["status"], batch["content_type"]) == ("done", "cancellationrequest")
    assert {(one["pk"], one["remote_id"], one["version_date"]) for one in batch["objects"]} == {
        (row["id"], "R", row["modified_date"]) for row in rows
    }


def test_a_cancel_is_asked_for_as_a_cancel(steps: Steps, back_office: BackOffice) -> None:
    asked(request("C", UNITS[0], cancellation_type="cancel", description=""))

    steps.run()

    [row] = back_office.rows("cancellation_requests")
    assert (row["cancellation_type"], row["description"]) == ("cancel", "")


@pytest.mark.defect("K4")
def test_a_second_run_writes_nothing(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS), request("S", UNITS[0], cancellation_type="cancel"))
    assert results(steps.run()) == {"created": 4}
    from_now_on(back_office)

    assert results(steps.run()) == {"already_there": 4}
    assert writes(back_office) == []


def test_a_request_is_known_though_the_server_ignores_our_filter(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS))
    steps.run()
    back_office.fault("GET", "/cancellation_requests/$", "status", status=400, body={"pk__in": ["unknown"]})

    assert results(steps.run()) == {"already_there": 3}


@pytest.mark.defect("K2")
def test_what_the_channel_gave_stays_as_it_was(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    before = json.dumps(NewsShelf.requests)

    steps.run()

    assert json.dumps(NewsShelf.requests) == before


def test_words_that_change_make_no_second_request(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    steps.run()

    asked(request("R", UNITS[0], minutes=5, description="another"))

    assert results(steps.run()) == {"already_there": 1}


@pytest.mark.defect("K1")
def test_a_reason_that_nobody_has_mapped_is_not_guessed(steps: Steps, back_office: BackOffice) -> None:
    conf = {"reason_mapping": {"size": SIZE}, "cancellation_reason_id": 1}
    back_office.patch("/admin/channels/1", json={"conf": conf}).raise_for_status()
    asked(request("R", UNITS[0], reason="colour"), request("R", UNITS[1]))

    first = steps.run()

    assert results(first) == {"created": 1, "quarantined": 1}
    assert steps.verdict(first) is None
    assert steps.keys(steps.quarantine) == {f"R|{UNITS[0]}": ("reason_unmapped", "reason")}
    [report] = back_office.rows("error_reports")
    assert "'colour'" in report["error_desc"]
    map_reasons(back_office, size=SIZE, colour=1)
    assert results(steps.run()) == {"created": 1, "already_there": 1}
    assert steps.quarantine.open_keys() == {}


def test_what_is_there_is_there_though_its_reason_is_mapped_no_more(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    steps.run()
    map_reasons(back_office)

    assert results(steps.run()) == {"already_there": 1}


@pytest.mark.parametrize("mapping", ["[1]", "{", {"size": "many"}])
def test_a_mapping_that_can_t_be_read_is_said_before_anything_is_read(
    steps: Steps, back_office: BackOffice, mapping: Any
) -> None:
    back_office.patch("/admin/channels/1", json={"conf": {"reason_mapping": mapping}}).raise_for_status()

    with pytest.raises(ConfigurationError, match="reason_mapping"):
        steps.run()
    assert writes(back_office) == []


def test_a_request_for_what_is_not_there_yet_waits(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", "9-1/1"), request("R", UNITS[0]))

    first = steps.run()
    asked()
    arrive(steps, order("9", [item("9")]))
    second = steps.run()

    assert (results(first), steps.verdict(first)) == ({"created": 1, "parked": 1}, None)
    assert results(second) == {"created": 1}
    assert steps.parked.open_keys() == {}


# Units that share an id ----------------------------------------------------------------------------------------------


@pytest.mark.defect("C6")
def test_of_units_with_one_id_the_lowest_that_nobody_asked_for_is_taken(
    sharing: Steps, back_office: BackOffice
) -> None:
    shared = pks(back_office, "2-1/1")
    asked(request("R", "2-1/1"))
    sharing.run()
    assert list(requested(back_office)) == shared[:1]

    asked(request("R", "2-1/1"), request("S", "2-1/1", minutes=1))
    assert results(sharing.run()) == {"already_there": 1, "created": 1}

    assert requested(back_office) == Counter(shared[:2])
    from_now_on(back_office)
    assert results(sharing.run()) == {"already_there": 2}
    assert writes(back_office) == []


def test_a_return_of_two_units_with_one_id_makes_two_requests(sharing: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", "2-1/1", key=f"R|2-1/1|{unit}") for unit in range(2)))

    assert results(sharing.run()) == {"created": 2}
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])
    from_now_on(back_office)
    assert results(sharing.run()) == {"already_there": 2}
    assert writes(back_office) == []


def test_a_unit_that_is_returned_later_under_the_same_id_is_asked_for_too(
    sharing: Steps, back_office: BackOffice
) -> None:
    asked(request("R", "2-1/1", key="R|2-1/1|0"))
    sharing.run()

    asked(*(request("R", "2-1/1", key=f"R|2-1/1|{unit}") for unit in range(2)))

    assert results(sharing.run()) == {"already_there": 1, "created": 1}
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])


def test_a_unit_that_nobody_asked_for_comes_before_a_rejected_one(sharing: Steps, back_office: BackOffice) -> None:
    rejected = by_hand(back_office, "2-1/1")
    back_office.post(f"/api/v1/channel/1/cancellation_requests/{rejected}/reject/").raise_for_status()
    asked(request("R", "2-1/1"))

    sharing.run()

    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])


def test_a_try_does_not_take_what_an_earlier_one_made_of_another_unit(sharing: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", "2-1/1", key=f"R|2-1/1|{unit}") for unit in range(2)))
    chunks, _ = asyncio.run(sharing.staged(DAY, "run"))
    back_office.fault(*POST, "cut_before", skip=1)
    first = asyncio.run(sharing.push(chunks, 0, "run", last_try=False))
    assert sorted(outcome.result for outcome in sharing.outcomes(first)) == ["created", "failed"]
    again = [row for row in chunks.read("chunk-000") if row["key"].endswith("1")]
    chunks.write("chunk-000", again)  # what the first try settled is not given to the second

    second = asyncio.run(sharing.push(chunks, 0, "run"))

    assert [outcome.result for outcome in sharing.outcomes(second)] == ["created"]
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])


def test_a_unit_that_is_read_alone_does_not_take_another_one_s_request(sharing: Steps, back_office: BackOffice) -> None:
    asked(request("R", "2-1/1", key="R|2-1/1|0"))
    sharing.run()
    asked(request("R", "2-1/1", key="R|2-1/1|1"))

    assert results(sharing.run()) == {"created": 1}
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])
    assert results(sharing.run()) == {"already_there": 1}


def test_a_unit_that_was_parked_does_not_take_the_request_of_one_that_was_not(
    sharing: Steps, back_office: BackOffice
) -> None:
    asked(*(request("R", "2-1/1", key=f"R|2-1/1|{unit}") for unit in range(2)))
    back_office.fault(*POST, "cut_before", skip=1)
    assert results(sharing.run()) == {"created": 1, "parked": 1}
    asked()

    assert results(sharing.run()) == {"created": 1}
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[:2])
    assert begun(sharing).all() == []


def test_a_request_that_somebody_linked_by_hand_is_one_unit_s_from_then_on(
    sharing: Steps, back_office: BackOffice
) -> None:
    body = {"channel_id": 1, "content_type": "cancellationrequest", "remote_id": "R"}
    body["object_id"] = by_hand(back_office, "2-1/1")
    back_office.post("/api/v1/channel/1/integration_actions/", json=body).raise_for_status()
    asked(request("R", "2-1/1", key="R|2-1/1|0"))
    assert results(sharing.run()) == {"already_there": 1}
    asked(request("R", "2-1/1", key="R|2-1/1|1"))

    assert results(sharing.run()) == {"created": 1}


def test_two_records_of_one_request_and_one_unit_make_one_request(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", UNITS[0], key=f"R|{number}") for number in range(2)))

    assert results(steps.run()) == {"created": 1, "already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])
    assert results(steps.run()) == {"already_there": 2}


def test_what_is_cancelled_is_not_asked_for_again(sharing: Steps, back_office: BackOffice) -> None:
    first, second, third = pks(back_office, "2-1/1")
    back_office.patch(f"/admin/order_items/{first}", json={"status": "100"}).raise_for_status()
    by_hand(back_office, "2-1/1", order_item=second)
    asked(request("R", "2-1/1"))

    steps = sharing
    assert results(steps.run()) == {"created": 1}
    assert requested(back_office) == Counter([second, third])


def test_where_no_unit_is_left_nothing_is_guessed_but_a_rejected_one_may_be_asked_for_again(
    sharing: Steps, back_office: BackOffice
) -> None:
    asked(*(request(f"R{number}", "2-1/1", minutes=number) for number in range(4)))

    balance = sharing.run()

    assert results(balance) == {"created": 3, "quarantined": 1}
    assert balance.reasons == {"conflict": 1}
    rejected = back_office.rows("cancellation_requests")[1]
    path = f"/api/v1/channel/1/cancellation_requests/{rejected['id']}/reject/"
    back_office.post(path).raise_for_status()
    assert results(sharing.run()) == {"already_there": 3, "created": 1}
    assert requested(back_office)[rejected["order_item"]] == 2


def test_a_unit_that_another_record_has_begun_with_is_left_to_it(sharing: Steps, back_office: BackOffice) -> None:
    note(sharing, back_office, "another", "2-1/1")
    asked(request("R", "2-1/1"))

    sharing.run()

    assert list(requested(back_office)) == pks(back_office, "2-1/1")[1:2]


def test_a_unit_is_left_to_a_record_that_waits_however_long(sharing: Steps, back_office: BackOffice) -> None:
    note(sharing, back_office, "another", "2-1/1", ago=timedelta(days=9))
    sharing.parked.put(
        "another", {"record": request("A", "9-1/1", key="another")}, run="dead", now="2026-01-01T00:00:00Z"
    )
    asked(request("R", "2-1/1"))

    sharing.run()

    assert list(requested(back_office)) == pks(back_office, "2-1/1")[1:2]


def test_a_unit_that_a_dead_run_began_with_is_free_when_nobody_tries_again(
    sharing: Steps, back_office: BackOffice
) -> None:
    note(sharing, back_office, "another", "2-1/1", ago=timedelta(days=2))
    asked(request("R", "2-1/1"))

    sharing.run()

    assert list(requested(back_office)) == pks(back_office, "2-1/1")[:1]


@pytest.mark.parametrize(("kind", "units"), [("cut_before", slice(1)), ("cut_after", slice(2))])
def test_a_unit_is_free_when_its_request_is_gone_at_the_channel_and_never_came_to_omnitron(
    asking: Steps, sharing: Steps, back_office: BackOffice, kind: str, units: slice
) -> None:
    asked(request("R", "2-1/1"))
    back_office.fault(*POST, kind)
    back_office.fault("GET", "/cancellation_requests/$", "status", status=503, times=4, skip=1)
    assert results(asking.run()) == {"parked": 1}
    back_office.delete("/admin/faults")
    asked(request("S", "2-1/1", minutes=1))

    assert results(asking.run()) == {"created": 1}
    assert requested(back_office) == Counter(pks(back_office, "2-1/1")[units])


def test_an_id_that_items_of_several_orders_have_is_not_guessed(steps: Steps, back_office: BackOffice) -> None:
    arrive(steps, order("3", [item("x")]), order("4", [item("x")]))
    asked(request("R", "x-1/1"))

    assert steps.run().reasons == {"ambiguous": 1}
    assert back_office.rows("cancellation_requests") == []


# Lost answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["cut_after", "truncate"])
def test_a_request_whose_answer_was_lost_is_found_and_not_made_again(
    steps: Steps, back_office: BackOffice, kind: str
) -> None:
    by_hand(back_office, UNITS[0], description="another")
    by_hand(back_office, UNITS[0], cancellation_type="cancel")
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, kind)

    assert results(steps.run()) == {"created": 1}
    assert requested(back_office)[pks(back_office, UNITS[0])[0]] == 3
    [(remote_id, pk)] = linked(back_office)
    assert (remote_id, pk) == ("R", back_office.rows("cancellation_requests")[-1]["id"])
    assert begun(steps).all() == []


def test_a_server_that_is_still_at_it_is_given_time_before_the_request_is_looked_for(
    steps: Steps, back_office: BackOffice
) -> None:
    limits = steps.channel.limits.model_copy(update={"timeout": TIMEOUT})
    hasty = replace(steps, channel=steps.channel.model_copy(update={"limits": limits}))
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "latency", seconds=1.5 * TIMEOUT.total_seconds(), goes_on=True)

    assert results(hasty.run()) == {"created": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_a_request_whose_answer_was_lost_is_found_though_its_words_have_changed(
    steps: Steps, back_office: BackOffice
) -> None:
    asked(request("R", UNITS[0], description=f"  {WORDS} "))
    back_office.fault(*POST, "cut_after")
    back_office.fault("GET", "/cancellation_requests/$", "status", status=503, times=4)
    assert results(steps.run()) == {"parked": 1}
    back_office.delete("/admin/faults")
    asked(request("R", UNITS[0], minutes=5, description="another"))

    assert results(steps.run()) == {"already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_a_request_that_never_arrived_is_made_by_the_next_try(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS))
    back_office.fault(*POST, "cut_before", skip=1)

    assert results(steps.run(tries=2)) == {"created": 3}
    assert is_whole(back_office, steps, *UNITS)


def test_a_slow_server_is_given_time_before_a_request_is_made_again(steps: Steps, back_office: BackOffice) -> None:
    """The answer is lost before the work is done: looked for at once, there is nothing yet."""
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "cut_before")

    first = steps.run()
    assert results(first) == {"parked": 1}
    assert len(begun(steps).all()) == 1
    by_hand(back_office, UNITS[0])  # the server gets round to it
    asked()

    assert results(steps.run()) == {"already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_a_look_up_that_fails_after_a_lost_answer_is_made_up_for(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "cut_after")
    back_office.fault("GET", "/cancellation_requests/$", "status", status=503, times=4)

    assert results(steps.run(tries=2)) == {"created": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_an_answer_without_a_request_is_looked_for(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "status", status=201)

    assert results(steps.run()) == {"parked": 1}
    by_hand(back_office, UNITS[0])
    assert results(steps.run()) == {"already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_what_was_decided_before_a_lost_request_is_found_again_is_still_told_to_the_channel(
    steps: Steps, back_office: BackOffice
) -> None:
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "cut_after")
    back_office.fault("GET", "/cancellation_requests/$", "status", status=503, times=4)
    assert results(steps.run()) == {"parked": 1}
    back_office.delete("/admin/faults")
    [row] = back_office.rows("cancellation_requests")
    back_office.post(f"/api/v1/channel/1/cancellation_requests/{row['id']}/reject/").raise_for_status()

    assert results(steps.run()) == {"already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])
    back_office.switch(updates_as_array=False)
    assert [due["pk"] for due in back_office.rows("cancellation_requests/updates")] == [row["id"]]


def test_a_request_that_was_found_again_undecided_is_no_news_for_the_channel(
    steps: Steps, back_office: BackOffice
) -> None:
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "cut_after")

    assert results(steps.run()) == {"created": 1}
    back_office.switch(updates_as_array=False)
    assert back_office.rows("cancellation_requests/updates") == []


def test_where_two_requests_may_be_ours_a_person_decides(steps: Steps, back_office: BackOffice) -> None:
    note(steps, back_office, f"R|{UNITS[0]}", UNITS[0])
    first, _ = by_hand(back_office, UNITS[0]), by_hand(back_office, UNITS[0])
    asked(request("R", UNITS[0]))

    for _ in range(2):
        assert steps.run().reasons == {"ambiguous": 1}
    assert len(back_office.rows("cancellation_requests")) == 2
    body = {"channel_id": 1, "content_type": "cancellationrequest", "object_id": first, "remote_id": "R"}
    back_office.post("/api/v1/channel/1/integration_actions/", json=body).raise_for_status()

    assert results(steps.run()) == {"already_there": 1}
    assert begun(steps).all() == []
    assert steps.quarantine.open_keys() == {}


def test_what_is_somebody_else_s_is_not_taken_for_ours(steps: Steps, back_office: BackOffice) -> None:
    """Made long before, linked with another id, or owed to another record."""
    key = f"R|{UNITS[0]}"
    asked(request("S", UNITS[0]))
    steps.run()
    owed = by_hand(back_office, UNITS[0])
    steps.owed.owe("dead", [{"content_type": "cancellationrequest", "pk": owed, "remote_id": "T", "version_date": ""}])
    by_hand(back_office, UNITS[0])
    note(steps, back_office, key, UNITS[0], ago=timedelta(hours=-1))
    asked(request("R", UNITS[0]))
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))

    pushed = asyncio.run(steps.push(chunks, 0, "run"))

    [outcome] = steps.outcomes(pushed)
    assert outcome.result == "created"
    assert len(back_office.rows("cancellation_requests")) == 4


def test_two_lost_answers_for_one_unit_do_not_take_the_same_request(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]), request("S", UNITS[0], minutes=1))
    back_office.fault(*POST, "cut_after", times=2)

    assert results(steps.run()) == {"created": 2}
    assert [remote_id for remote_id, _ in linked(back_office)] == ["R", "S"]
    assert len({pk for _, pk in linked(back_office)}) == 2


def test_what_omnitron_refuses_stops_no_other_and_leaves_no_note(steps: Steps, back_office: BackOffice) -> None:
    map_reasons(back_office, size=SIZE, odd=999)
    asked(request("R", UNITS[0], reason="odd"), request("R", UNITS[1]))

    balance = steps.run()

    assert results(balance) == {"created": 1, "quarantined": 1}
    assert steps.keys(steps.quarantine) == {f"R|{UNITS[0]}": ("refused", "cancellation_request")}
    assert is_whole(back_office, steps, UNITS[1])


def test_a_refusal_after_a_lost_answer_does_not_forget_it(steps: Steps, back_office: BackOffice) -> None:
    asked(request("R", UNITS[0]))
    back_office.fault(*POST, "cut_before")
    steps.run()
    back_office.fault(*POST, "status", status=400, body={"reason": ["no"]})

    assert results(steps.run()) == {"quarantined": 1}
    assert len(begun(steps).all()) == 1


# Later tries: what the channel says by then ---------------------------------------------------------------------------


def later_try(steps: Steps, office: BackOffice, kind: str, *now: dict[str, Any]) -> Outcome:
    """The first try's answer is lost; `now`: what the channel has when the second one comes."""
    asked(request("R", UNITS[0]))
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    office.fault(*POST, kind)
    office.fault("GET", "/cancellation_requests/$", "status", status=503, times=4)
    asyncio.run(steps.push(chunks, 0, "run", last_try=False))
    office.delete("/admin/faults")
    asked(*now)
    pushed = asyncio.run(steps.push(chunks, 0, "run"))
    asyncio.run(steps.settle(chunks, [pushed], "run"))
    [outcome] = steps.outcomes(pushed)
    return outcome


def test_what_the_shopper_took_back_meanwhile_is_not_asked_for(asking: Steps, back_office: BackOffice) -> None:
    assert later_try(asking, back_office, "cut_before").result == "unchanged"
    assert is_whole(back_office, asking)


def test_what_was_asked_for_before_the_shopper_took_it_back_is_linked(asking: Steps, back_office: BackOffice) -> None:
    assert later_try(asking, back_office, "cut_after").result == "created"
    assert is_whole(back_office, asking, UNITS[0])


def test_a_later_try_says_what_the_shopper_says_by_then(asking: Steps, back_office: BackOffice) -> None:
    edited = request("R", UNITS[0], description="another")

    assert later_try(asking, back_office, "cut_before", edited).result == "created"
    assert [row["description"] for row in back_office.rows("cancellation_requests")] == ["another"]


def test_a_key_that_asks_for_something_else_by_then_is_not_guessed(asking: Steps, back_office: BackOffice) -> None:
    other = request("R", UNITS[1], key=f"R|{UNITS[0]}")

    assert later_try(asking, back_office, "cut_before", other).reason == "conflict"
    assert back_office.rows("cancellation_requests") == []


# Kills, and everything twice -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("skip", [0, 1, 2])
def test_a_push_that_was_killed_in_a_request_is_made_up_for_by_its_next_try(
    steps: Steps, back_office: BackOffice, skip: int
) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    asked(*(request(remote_id, UNITS[0]) for remote_id in "RST"))
    chunks = killed_push(PROCESSES, steps, back_office, (*POST, skip))
    assert len(back_office.rows("cancellation_requests")) == skip
    assert [row["key"] for row in begun(steps).all()] == [f"{'RST'[skip]}|{UNITS[0]}"]

    balance = asyncio.run(steps.settle(chunks, [asyncio.run(steps.push(chunks, 0, "run"))], "run"))

    assert results(balance) == {"created": 3}
    assert len(back_office.rows("cancellation_requests")) == 3
    assert [remote_id for remote_id, _ in linked(back_office)] == ["R", "S", "T"]
    assert begun(steps).all() == []


def test_a_push_that_was_killed_for_good_is_made_up_for_by_the_next_run(steps: Steps, back_office: BackOffice) -> None:
    logging.getLogger("uvicorn.error").addFilter(is_no_end_of_a_call_that_hangs)
    asked(*(request("R", unit) for unit in UNITS))
    chunks = killed_push(PROCESSES, steps, back_office, (*POST, 2))
    assert results(asyncio.run(steps.settle(chunks, [None], "run"))) == {"parked": 3}
    asked()

    balance = steps.run()

    assert results(balance)["created"] + results(balance)["already_there"] == 3
    assert is_whole(back_office, steps, *UNITS)


def test_a_run_that_died_between_the_request_and_its_link_is_made_up_for(steps: Steps, back_office: BackOffice) -> None:
    key = f"R|{UNITS[0]}"
    note(steps, back_office, key, UNITS[0], ago=timedelta(days=1))
    by_hand(back_office, UNITS[0])
    asked(request("R", UNITS[0]))

    assert results(steps.run()) == {"already_there": 1}
    assert is_whole(back_office, steps, UNITS[0])


def test_requests_whose_settle_never_came_are_known_and_linked_by_the_next_run(
    steps: Steps, back_office: BackOffice
) -> None:
    asked(*(request("R", unit) for unit in UNITS))
    back_office.fault("POST", "/batch_requests/$", "status", status=503, times=100)
    with pytest.raises(RetriableError):
        steps.run()
    back_office.delete("/admin/faults")

    assert results(steps.run()) == {"already_there": 3}
    assert is_whole(back_office, steps, *UNITS)


def test_a_later_try_reports_what_an_earlier_one_created(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS))
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    asyncio.run(steps.push(chunks, 0, "run"))

    second = asyncio.run(steps.push(chunks, 0, "run"))

    assert [outcome.result for outcome in steps.outcomes(second)] == ["created"] * 3
    assert len(back_office.rows("cancellation_requests")) == 3


def test_two_runs_at_once_ask_once(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS))

    async def both() -> list[Any]:
        return await asyncio.gather(*(steps.whole(run=f"run-{n}", patient=True) for n in range(2)))

    balances = asyncio.run(both())

    assert sum(results(balance)["created"] for balance in balances) == 3
    assert sum(results(balance)["already_there"] for balance in balances) == 3
    assert is_whole(back_office, steps, *UNITS)


def test_a_settle_that_links_while_the_next_push_looks_around_hides_nothing(
    steps: Steps, back_office: BackOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked(request("R", UNITS[0]))
    chunks, _ = asyncio.run(steps.staged(DAY, "first"))
    first = asyncio.run(steps.push(chunks, 0, "first"))
    once = [steps.settle(chunks, [first], "first")]

    class Meanwhile(Hasty):
        async def _once(self, method: str, path: str, params: Any, *more: Any) -> Any:
            answer = await super()._once(method, path, params, *more)
            if (params or {}).get("content_type_name") == "cancellationrequest" and once:
                await once.pop()
            return answer

    monkeypatch.setattr("tests.flows.steps.Hasty", Meanwhile)

    assert results(steps.run()) == {"already_there": 1}
    assert once == []
    assert is_whole(back_office, steps, UNITS[0])


def test_while_omnitron_is_down_nothing_is_lost(steps: Steps, back_office: BackOffice) -> None:
    asked(*(request("R", unit) for unit in UNITS))
    back_office.fault(*POST, "status", status=503, times=3)

    first = steps.run()
    asked()
    second = steps.run()

    assert results(first) == {"parked": 3}
    assert first.failed == 3
    assert results(second) == {"created": 3}
    assert is_whole(back_office, steps, *UNITS)


def test_what_a_shopper_wrote_goes_to_omnitron_alone(
    steps: Steps, back_office: BackOffice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    asked(request("R", UNITS[0]), request("R", UNITS[1], reason="colour"), request("R", UNITS[2]))
    back_office.fault(*POST, "cut_before")
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    pushed = asyncio.run(steps.push(chunks, 0, "run"))
    asyncio.run(steps.settle(chunks, [pushed], "run"))

    said = [
        caplog.text,
        json.dumps(back_office.rows("error_reports"), ensure_ascii=False),
        json.dumps(back_office.rows("operational_events"), ensure_ascii=False),
        json.dumps(begun(steps).all(), ensure_ascii=False),
        json.dumps([asdict(outcome) for outcome in steps.outcomes(pushed)], default=str, ensure_ascii=False),
    ]
    assert len(begun(steps).all()) == 1
    assert back_office.rows("error_reports") != []
    assert not any("Ayşe" in text or "kolu" in text for text in said)
    assert key_digest(f"R|{UNITS[1]}") in said[1]
