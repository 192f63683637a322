"""A run is red when something failed, and what it says stays true: nothing is lost, nothing doubled, all that is there
is linked."""

from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import create, start
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import item, order

pytestmark = pytest.mark.airflow

KEYS = {str(number) for number in range(6)}
FOREVER = 1000


@pytest.fixture
def orders(connections: Any, shelf: Any) -> list[dict[str, Any]]:
    """Six orders of six buyers: three chunks of two."""
    found = [order(key, minutes=int(key)) for key in sorted(KEYS)]
    shelf(*found)
    return found


def assert_all_arrived_once(back_office: BackOffice) -> None:
    rows = back_office.rows("orders")
    assert sorted(row["number"] for row in rows) == [f"N{key}" for key in sorted(KEYS)]
    assert back_office.linked("order") == {row["number"][1:]: row["pk"] for row in rows}
    assert set(back_office.linked("orderitem")) == {f"{key}-1/1" for key in KEYS}
    assert {batch["status"] for batch in back_office.rows("batch_requests")} <= {"done", "fail"}


def test_a_run_whose_every_task_passes_is_green(shelf_dag: Any, back_office: BackOffice, orders: Any) -> None:
    run = start(shelf_dag, conf=DAY)

    assert run.states() == dict.fromkeys(["fetch", "transform", "push[0]", "push[1]", "push[2]", "settle"], "success")
    assert_all_arrived_once(back_office)


def test_a_fetch_that_fails_to_the_end_is_red_and_writes_nothing(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    back_office.fault("GET", r"/channels/1/$", "status", status=400, times=FOREVER)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    assert run.tries("fetch") == 4
    assert run.states()["transform"] == "upstream_failed"
    assert run.states()["settle"] == "failed"
    assert back_office.get("/admin/counts").json()["orders"] == 0

    back_office.delete("/admin/faults")
    run.clear("fetch").go_on()

    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_a_fetch_that_fails_once_is_green(shelf_dag: Any, back_office: BackOffice, orders: Any) -> None:
    back_office.fault("GET", r"/channels/1/$", "status", status=400, times=1)

    run = start(shelf_dag, conf=DAY)

    assert (run.state, run.tries("fetch")) == ("success", 2)
    assert_all_arrived_once(back_office)


def test_a_transform_that_fails_to_the_end_is_red(
    shelf_dag: Any, back_office: BackOffice, orders: Any, staging: Any
) -> None:
    run = create(shelf_dag, "manual", conf=DAY).go_on(stop_before="transform")
    for page in (staging / "runs").rglob("page-*"):
        page.write_bytes(b"not gzip")

    run.go_on()

    assert run.state == "failed"
    assert run.tries("transform") == 4
    run.clear("fetch").go_on()
    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_a_push_that_fails_to_the_end_is_red_and_the_next_run_brings_what_it_parked(
    shelf_dag: Any, back_office: BackOffice, orders: Any, shelf: Any
) -> None:
    back_office.fault("POST", "create_orders", "status", status=500, skip=4, times=FOREVER)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    assert run.tries("push[2]") == 4
    assert (run.table()["created"], run.table()["parked"], run.table()["failed"]) == (4, 2, 2)
    assert set(back_office.linked("order")) == {row["number"][1:] for row in back_office.rows("orders")}
    assert len(back_office.linked("order")) == 4

    back_office.delete("/admin/faults")
    shelf()  # the next window has nothing of its own
    following = start(shelf_dag, conf=DAY)

    assert following.state == "success"
    assert following.table()["created"] == 2
    assert_all_arrived_once(back_office)
    shelf(*orders)
    assert start(shelf_dag, conf=DAY).table()["already_there"] == 6


def test_a_clear_of_the_failed_push_brings_the_rest_and_makes_the_run_green(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    back_office.fault("POST", "create_orders", "status", status=500, skip=4, times=FOREVER)
    run = start(shelf_dag, conf=DAY)
    assert run.state == "failed"

    back_office.delete("/admin/faults")
    run.clear("push").go_on()

    assert run.state == "success"
    assert run.table()["created"] + run.table()["already_there"] == 6
    assert_all_arrived_once(back_office)
    assert start(shelf_dag, conf=DAY).table()["rows"] == 6  # nothing is parked any more


def test_a_push_that_dies_without_a_word_leaves_the_others_linked(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    # The first push task, before it has looked at its orders; fetch has asked for the channel once.
    back_office.fault("GET", r"/channels/1/$", "status", status=403, skip=1, times=1)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    assert run.states()["push[0]"] == "failed"
    assert (run.table()["created"], run.table()["parked"]) == (4, 2)
    assert len(back_office.linked("order")) == len(back_office.rows("orders")) == 4

    assert start(shelf_dag, conf=DAY).state == "success"
    assert_all_arrived_once(back_office)


@pytest.mark.parametrize(
    ("kind", "tries"),
    [("status", 2), ("cut_before", 2), ("cut_after", 1), ("truncate", 1)],  # what arrived is found again at once
)
def test_a_push_that_fails_once_is_green_and_counts_as_created(
    shelf_dag: Any, back_office: BackOffice, orders: Any, kind: str, tries: int
) -> None:
    own = {"status": 500} if kind == "status" else {}
    back_office.fault("POST", "create_orders", kind, times=3, **own)
    back_office.fault("GET", r"/orders/$", "status", status=400, times=1, skip=2)

    run = start(shelf_dag, conf=DAY)

    assert (run.state, run.tries("push[0]")) == ("success", tries)
    assert run.table()["created"] == 6
    assert_all_arrived_once(back_office)


def test_what_a_failed_try_created_counts_as_created_by_the_run(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    # One of two orders of the first chunk: its answer is lost, and nobody can be asked what became of it.
    back_office.fault("POST", "create_orders", "cut_after", times=1)
    back_office.fault("GET", r"channel/1/orders/$", "status", status=429, headers={"Retry-After": "61"}, times=1)

    run = create(shelf_dag, "manual", conf=DAY).go_on().no_need_to_wait().go_on()

    assert run.state == "success"
    assert run.tries("push[0]") == 2
    assert (run.table()["created"], run.table()["already_there"]) == (6, 0)
    assert_all_arrived_once(back_office)


def test_a_settle_that_fails_to_the_end_is_red_and_its_clear_links_everything(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    back_office.fault("POST", "batch_requests/$", "status", status=400, times=FOREVER)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    assert run.tries("settle") == 4
    assert back_office.linked("order") == {}

    back_office.delete("/admin/faults")
    run.clear("settle").go_on()

    assert run.state == "success"
    assert run.table()["created"] == 6
    assert_all_arrived_once(back_office)


def test_after_a_settle_that_failed_to_the_end_the_next_run_links_everything(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    back_office.fault("POST", "batch_requests/$", "status", status=400, times=FOREVER)
    assert start(shelf_dag, conf=DAY).state == "failed"

    back_office.delete("/admin/faults")
    run = start(shelf_dag, conf=DAY)

    assert run.state == "success"
    assert run.table()["already_there"] == 6
    assert_all_arrived_once(back_office)


@pytest.mark.parametrize("step", ["commit", "done"])
def test_a_settle_that_fails_half_way_is_finished_by_its_retry(
    shelf_dag: Any, back_office: BackOffice, orders: Any, step: str
) -> None:
    tries = {"status": 429, "headers": {"Retry-After": "61"}}  # longer than a task waits by itself
    back_office.fault("PATCH", r"batch_requests/\d+/$", "status", skip=int(step == "done"), times=1, **tries)

    run = create(shelf_dag, "manual", conf=DAY).go_on().no_need_to_wait().go_on()

    assert (run.state, run.tries("settle")) == ("success", 2)
    assert_all_arrived_once(back_office)


def test_too_many_orders_new_in_quarantine_turn_the_run_red_but_the_others_arrive(
    shelf_dag: Any, connections: Any, configure: Any, back_office: BackOffice, shelf: Any
) -> None:
    configure(limits={"chunk_size": 2, "push_tasks": 3, "quarantine_floor": 1, "quarantine_share": 0.1})
    bad = [order(f"bad{number}", items=[item(f"bad{number}", product="nobody's")]) for number in range(2)]
    shelf(order("good"), *bad)

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    assert run.tries("settle") == 1
    assert run.table()["new_in_quarantine"] == 2
    assert set(back_office.linked("order")) == {"good"}
    assert start(shelf_dag, conf=DAY).state == "success"  # known by now, they are no news


def test_a_clear_of_a_run_whose_staging_expired_says_what_to_clear(
    shelf_dag: Any, back_office: BackOffice, orders: Any, staging: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    run = start(shelf_dag, conf=DAY)
    for file in (staging / "runs").rglob("*.gz"):
        file.unlink()
    capfd.readouterr()

    run.clear("settle").go_on()

    assert run.state == "failed"
    assert "staging expired: clear the run from its fetch task" in capfd.readouterr().out
    run.clear("fetch").go_on()
    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_the_same_window_run_again_and_cleared_again_writes_nothing_new(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    first = start(shelf_dag, conf=DAY)
    before = back_office.get("/admin/counts").json()

    first.clear("fetch").go_on()
    second = start(shelf_dag, conf=DAY)

    assert (first.state, second.state) == ("success", "success")
    assert back_office.get("/admin/counts").json() == before


def test_a_server_that_names_a_time_is_asked_again_then(shelf_dag: Any, back_office: BackOffice, orders: Any) -> None:
    back_office.fault("GET", r"/channels/1/$", "status", status=429, headers={"Retry-After": "600"}, times=1)

    run = create(shelf_dag, "manual", conf=DAY).go_on()

    fetch = run.tasks()["fetch"]
    assert fetch.state == "up_for_retry"
    assert fetch.next_retry_datetime() - fetch.end_date == timedelta(seconds=600)
    assert fetch.retry_reason == "the server named a time"
    run.no_need_to_wait().go_on()
    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_a_push_hands_the_time_on_that_the_server_named_for_one_order(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    back_office.fault("POST", "create_orders", "status", status=429, headers={"Retry-After": "600"}, times=1)

    run = create(shelf_dag, "manual", conf=DAY).go_on()

    push = run.tasks()["push[0]"]
    assert push.state == "up_for_retry"
    assert push.next_retry_datetime() - push.end_date == timedelta(seconds=600)
    run.no_need_to_wait().go_on()
    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_a_clear_from_fetch_that_fails_again_is_not_green_with_the_old_table(
    shelf_dag: Any, back_office: BackOffice, orders: Any
) -> None:
    run = start(shelf_dag, conf=DAY)
    assert run.state == "success"
    back_office.fault("GET", r"/channels/1/$", "status", status=404, times=FOREVER)

    run.clear("fetch").go_on()

    assert run.state == "failed"
