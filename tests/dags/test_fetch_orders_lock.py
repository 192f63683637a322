"""Settle and somebody else's batch request: it waits without a slot and without a try."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import create, start
from tests.dags.test_fetch_orders_colour import KEYS, assert_all_arrived_once, orders
from tests.dags.test_fetch_orders_runs import DAY

pytestmark = pytest.mark.airflow
__all__ = ["orders"]


@pytest.fixture(autouse=True)
def shorter_waits_in_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("order_integration.operators.inbound.LOCK_WAITS", (0.01, 0.01))


@pytest.fixture
def lock(back_office: BackOffice) -> Any:
    """A foreign batch request of orders that stays in commit."""
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).raise_for_status().json()
    return lambda: back_office.delete(f"/admin/lock/{row['pk']}").raise_for_status()


def test_settle_waits_for_a_foreign_batch_request_and_finishes_after_it(
    shelf_dag: Any, back_office: BackOffice, lock: Any, orders: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    waits: list[Any] = []

    def release_after_two(message: Any) -> None:
        waits.append(message)
        assert back_office.linked("order") == {}
        if len(waits) == 2:
            lock()

    run = start(shelf_dag, conf=DAY, while_waiting=release_after_two)

    assert run.state == "success"
    assert run.tries("settle") == 1
    assert run.table()["created"] == 6
    assert_all_arrived_once(back_office)
    assert {message.next_method for message in waits} == {"resume"}
    assert {message.classpath.rpartition(".")[2] for message in waits} == {"DateTimeTrigger"}
    # The second wait still knows when the first began.
    assert waits[0].next_kwargs["waiting_since"] == waits[1].next_kwargs["waiting_since"]
    assert "another batch request is open" in capfd.readouterr().out


def test_a_wait_leaves_nothing_open_behind_it(
    shelf_dag: Any, back_office: BackOffice, lock: Any, orders: Any, staging: Any
) -> None:
    held: list[str] = []

    def release(_: Any) -> None:
        held.extend(row["status"] for row in back_office.rows("batch_requests"))
        lock()

    start(shelf_dag, conf=DAY, while_waiting=release)

    assert held.count("commit") == 1  # theirs
    assert set(held) <= {"commit", "fail"}
    assert not [path for path in (staging / "batches").rglob("*") if path.is_file()]


def test_settle_does_not_wait_for_ever(shelf_dag: Any, back_office: BackOffice, lock: Any, orders: Any) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()

    def since_yesterday(message: Any) -> None:
        message.next_kwargs = {**message.next_kwargs, "waiting_since": yesterday}

    run = start(shelf_dag, conf=DAY, while_waiting=since_yesterday)

    assert (run.state, run.tries("settle")) == ("failed", 1)
    lock()
    run.clear("settle").go_on()
    assert run.state == "success"
    assert_all_arrived_once(back_office)


def test_an_asynchronous_job_of_the_channel_is_not_waited_for(
    shelf_dag: Any, back_office: BackOffice, lock: Any, orders: Any
) -> None:
    [batch] = back_office.rows("batch_requests")
    back_office.patch(
        f"/api/v1/channel/1/batch_requests/{batch['pk']}/",
        json={"channel": 1, "status": "sent_to_remote", "remote_batch_id": "feed-1"},
    ).raise_for_status()

    run = start(shelf_dag, conf=DAY)

    assert run.state == "success"
    actions = back_office.rows("integration_actions", content_type_name="order")
    assert sorted(row["remote_id"] for row in actions) == sorted(KEYS)
    assert {row["status"] for row in back_office.rows("batch_requests")} <= {"sent_to_remote", "fail"}


def test_a_short_lock_is_waited_for_in_the_task(
    shelf_dag: Any, back_office: BackOffice, lock: Any, orders: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another flow's settle: a deferral would cost a minute."""
    monkeypatch.setattr("order_integration.operators.inbound.LOCK_WAITS", (0.01,) * 500)
    run = create(shelf_dag, "manual", conf=DAY).go_on(stop_before="settle")
    with ThreadPoolExecutor() as pool:
        done = pool.submit(release_after_refusals, back_office, lock)
        run.go_on()
        done.result()

    assert run.state == "success"
    assert_all_arrived_once(back_office)


def release_after_refusals(back_office: BackOffice, lock: Any) -> None:
    with BackOffice(base_url=back_office.base_url, timeout=30) as office:
        while not [call for call in office.get("/admin/requests").json() if call["status"] == 406]:
            time.sleep(0.02)
    lock()
