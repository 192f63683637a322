"""What a run says of itself: outcomes, parking, balance and colour when something fails."""

import asyncio
from typing import Any

import pytest

from order_integration.errors import UnknownOutcomeError
from order_integration.flows.outcomes import Result
from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.state import linked, no_batch_is_open
from tests.flows.steps import DAY, Steps, config, results
from tests.shelf import address, order

FOR_GOOD = 10_000


def orders(*keys: str) -> list[dict[str, Any]]:
    return [order(key, minutes=number) for number, key in enumerate(keys)]


def refuse_one(office: BackOffice, nth: int, **answer: Any) -> None:
    """The nth order that is created fails: all three tries of it, which follow each other."""
    rule = {"status": 500, "body": "<h1>Server Error (500)</h1>"} | answer
    office.fault("POST", "/create_orders/$", "status", skip=nth, times=3, **rule)


def alone(steps: Steps) -> Steps:
    """One call at a time, so that it is known whose call is the nth."""
    return Steps(steps.url, steps.home, config(limits={"in_flight": 1}))


def pushed(steps: Steps, *, last_try: bool) -> tuple[Folder, Folder, dict[str, Any]]:
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    folder = asyncio.run(steps.push(chunks, 0, "run", last_try=last_try))
    return chunks, folder, {outcome.key: outcome for outcome in steps.outcomes(folder)}


def test_an_order_that_fails_may_pass_in_the_next_try(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*(order(key, minutes=n, buyer="one") for n, key in enumerate(("1", "2", "3"))))
    refuse_one(back_office, 1)
    chunks, _, said = pushed(steps, last_try=False)
    assert {key: outcome.result for key, outcome in said.items()} == {
        "1": Result.CREATED,
        "2": Result.FAILED,
        "3": Result.CREATED,
    }

    folder = asyncio.run(steps.push(chunks, 0, "run", last_try=True))
    balance = asyncio.run(steps.settle(chunks, [folder], "run"))

    assert results(balance) == {"created": 3}
    assert steps.verdict(balance) is None
    assert len(back_office.rows("orders")) == 3


def test_after_the_last_try_it_is_parked_and_the_run_is_red(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*(order(key, minutes=n, buyer="one") for n, key in enumerate(("1", "2", "3"))))
    refuse_one(back_office, 1)

    chunks, folder, said = pushed(steps, last_try=True)
    balance = asyncio.run(steps.settle(chunks, [folder], "run"))

    assert (said["2"].result, said["2"].failed) == (Result.PARKED, True)
    assert results(balance) == {"created": 2, "parked": 1}
    assert balance.failed == 1
    assert balance.holds
    assert "1 records failed" in (steps.verdict(balance) or "")
    assert set(steps.keys(steps.parked)) == {"2"}
    assert set(back_office.linked("order")) == {"1", "3"}


def test_the_next_run_begins_with_the_parked_ones(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1", "2"))
    back_office.fault("POST", "/create_orders/$", "status", status=500, times=FOR_GOOD)
    red = steps.run(tries=2)
    assert results(red) == {"parked": 2}
    back_office.delete("/admin/faults")
    shelf(*orders("3"))  # its window is another one

    balance = steps.run()

    assert (balance.rows, balance.distinct) == (3, 3)
    assert results(balance) == {"created": 3}
    assert steps.verdict(balance) is None
    assert steps.keys(steps.parked) == {}
    assert set(back_office.linked("order")) == {"1", "2", "3"}


def test_one_that_is_parked_and_in_the_window_is_counted_once(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1"))
    back_office.fault("POST", "/create_orders/$", "status", status=500, times=FOR_GOOD)
    steps.run()

    second = steps.run()

    assert (second.rows, second.distinct, results(second)) == (1, 1, {"parked": 1})
    assert steps.verdict(second) is not None  # red again: it is still not there
    back_office.delete("/admin/faults")
    assert results(steps.run()) == {"created": 1}


def test_a_parked_one_that_turns_out_bad_moves_to_quarantine(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1"))
    back_office.fault("POST", "/create_orders/$", "status", status=500, times=3)
    steps.run()
    refusal = {"order": {"notes": ["Not allowed: Kanarya"]}, "code": "invalid"}
    back_office.fault("POST", "/create_orders/$", "status", status=400, body=refusal)

    balance = steps.run()

    assert results(balance) == {"quarantined": 1}
    assert steps.keys(steps.quarantine) == {"1": ("refused", "order")}
    assert steps.keys(steps.parked) == {}
    assert "Kanarya" not in str(back_office.rows("error_reports"))


@pytest.mark.defect("B5", "O1")
def test_an_order_that_omnitron_refuses_stops_no_other(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1", "2", "3"))
    back_office.fault("POST", "/create_orders/$", "status", status=400, body={"order": {"notes": ["No."]}})

    balance = steps.run()

    assert results(balance) == {"created": 2, "quarantined": 1}
    assert dict(balance.reasons) == {"refused": 1}


@pytest.mark.defect("B4", "O1")
@pytest.mark.parametrize("path", ["/customers/$", "/addresses/$"])
def test_a_buyer_that_omnitron_refuses_stops_no_other(steps: Steps, back_office: BackOffice, shelf, path: str) -> None:
    shelf(*orders("1", "2", "3"))
    back_office.fault("POST", path, "status", status=400, body={"first_name": ["No."], "code": "invalid"})

    balance = steps.run()

    assert results(balance) == {"created": 2, "quarantined": 1}
    assert dict(balance.reasons) == {"refused": 1}


@pytest.mark.defect("O25")
@pytest.mark.parametrize("path", ["/customers/$", "/order_items/$", "/townships/$", "/integration_actions/$"])
def test_a_look_up_that_is_refused_loses_no_order(steps: Steps, back_office: BackOffice, shelf, path: str) -> None:
    shelf(*orders("1", "2", "3"))
    back_office.fault("GET", path, "status", status=400, body={"detail": "Bad request.", "code": "invalid"})

    first = steps.run()
    steps.run()

    assert first.holds
    assert first.failed or results(first)["quarantined"]
    assert {row["extra_field"]["id"] for row in back_office.rows("orders")} == {"1", "2", "3"}
    assert set(back_office.linked("order")) == {"1", "2", "3"}


def test_a_chunk_that_left_nothing_is_parked_and_what_the_others_made_is_linked(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    steps = Steps(steps.url, steps.home, config(limits={"chunk_size": 2}))
    shelf(*orders("1", "2", "3", "4"))
    chunks, manifest = asyncio.run(steps.staged(DAY, "run"))
    assert manifest["chunks"] == 2
    whole = asyncio.run(steps.push(chunks, 0, "run"))
    asyncio.run(steps.push(chunks, 1, "run"))  # it did its work, but its outcomes never arrived

    balance = asyncio.run(steps.settle(chunks, [whole, None], "run"))

    assert results(balance) == {"created": 2, "parked": 2}
    assert balance.holds
    assert steps.verdict(balance) is not None
    assert len(back_office.linked("order")) == 4  # its links were owed
    again = steps.run()
    assert results(again) == {"already_there": 4}
    assert steps.verdict(again) is None
    assert steps.keys(steps.parked) == {}
    assert set(back_office.linked("order")) == {"1", "2", "3", "4"}
    assert len(back_office.rows("orders")) == 4


def test_an_outcome_file_without_some_of_its_keys_parks_those(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1", "2"))
    chunks, _, said = pushed(steps, last_try=True)
    short = steps.folder("run", "push-short")
    short.write("outcomes", [said["1"].as_row()])

    balance = asyncio.run(steps.settle(chunks, [short], "run"))

    assert results(balance) == {"created": 1, "parked": 1}
    assert balance.holds


def test_what_an_earlier_try_of_the_run_created_counts_as_created(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1", "2"))
    chunks, _, _ = pushed(steps, last_try=False)

    folder = asyncio.run(steps.push(chunks, 0, "run", last_try=True))
    other = asyncio.run(steps.push(chunks, 0, "another run", last_try=True))

    assert {o.result for o in steps.outcomes(folder)} == {Result.CREATED}
    assert {o.result for o in steps.outcomes(other)} == {Result.ALREADY_THERE}
    assert len(back_office.rows("orders")) == 2


def test_a_run_that_is_cleared_and_run_again_links_the_same(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1", "2"), order("x", items=[]))
    steps.run(run="cleared")
    before = linked(back_office)

    balance = steps.run(run="cleared")

    assert balance.holds
    assert linked(back_office) == before
    assert len(back_office.rows("orders")) == 2
    assert len(back_office.rows("error_reports")) == 1
    assert no_batch_is_open(back_office)


def test_settle_done_twice_changes_nothing(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*orders("1"), order("x", items=[]), order("y", notes="n" * 400))
    chunks, folder, _ = pushed(steps, last_try=True)
    first = asyncio.run(steps.settle(chunks, [folder], "run"))

    second = asyncio.run(steps.settle(chunks, [folder], "run"))

    assert first.as_row() == second.as_row()
    assert len(back_office.rows("error_reports")) == 2
    assert linked(back_office).keys() >= {("order", row["pk"]) for row in back_office.rows("orders")}


def test_reports_whose_answers_were_lost_stand_there_once(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"), order("x", items=[]), order("y", items=[]))
    back_office.fault("POST", "/error_reports/$", "cut_after", times=FOR_GOOD)
    chunks, folder, _ = pushed(steps, last_try=True)
    with pytest.raises(UnknownOutcomeError):
        asyncio.run(steps.settle(chunks, [folder], "run"))
    assert len(back_office.rows("error_reports")) == 2
    back_office.delete("/admin/faults")

    asyncio.run(steps.settle(chunks, [folder], "run"))  # its next try has a batch request of its own

    assert len(back_office.rows("error_reports")) == 2
    assert len({row["error_code"] for row in back_office.rows("error_reports")}) == 2


def test_one_unmapped_place_is_told_once_however_many_orders_go_there(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    there = address(city="Atlantis")
    shelf(*(order(str(n), shipping_address=there, billing_address=there) for n in range(5)))

    steps.run()

    told = back_office.get("/admin/overview").json()["address_reports"]
    assert [(row["type"], row["remote_code"]) for row in told] == [("city", "1_Atlantis")]


def test_a_place_that_could_not_be_told_is_told_by_the_next_try(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1", shipping_address=address(city="Atlantis")))
    back_office.fault("POST", "/error_reports/city/$", "status", status=503, times=FOR_GOOD)
    chunks, folder, _ = pushed(steps, last_try=True)
    with pytest.raises(UnknownOutcomeError):
        asyncio.run(steps.settle(chunks, [folder], "run"))
    back_office.delete("/admin/faults")

    asyncio.run(steps.settle(chunks, [folder], "run"))

    assert len(back_office.get("/admin/overview").json()["address_reports"]) == 1
    assert len(back_office.rows("error_reports")) == 1


def test_the_share_of_new_ones_in_quarantine_counts_in_large_runs(steps: Steps, shelf) -> None:
    steps = Steps(steps.url, steps.home, config(limits={"quarantine_floor": 1, "quarantine_share": 0.5}))
    good = orders("1", "2")
    shelf(*good, order("x", items=[]), order("y", items=[]))
    half = steps.run()
    shelf(*good, order("z", items=[]), order("v", items=[]), order("w", items=[]))
    more = steps.run()

    assert steps.verdict(half) is None
    assert (more.distinct, more.new_in_quarantine) == (5, 3)
    assert "3 of 5 records are new in quarantine" in (steps.verdict(more) or "")
