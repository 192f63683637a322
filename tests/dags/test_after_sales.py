"""Flows 5 and 6 as DAGs: a run of each, its tasks one at a time, and nobody's words in Airflow."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.dags.runs import at_once, start
from tests.shelf import NewsShelf, SharedShelf, item, news, order, request

pytestmark = pytest.mark.airflow

DAY = {"window_start": "2026-01-05T00:00:00+03:00", "window_end": "2026-01-06T00:00:00+03:00"}
UPDATES, REQUESTS = "fetch_and_update_order_items", "fetch_and_create_cancellation_requests"


@pytest.fixture
def dag(dag_bag: Any) -> Callable[[str], Any]:
    """A flow's DAG in a bag of its own, with retries that do not wait."""
    from airflow.dag_processing.dagbag import DagBag

    return lambda flow: at_once(DagBag(str(ROOT / "dags"), bundle_name="dags-folder").get_dag(f"{flow}__shelf"))


@pytest.fixture
def arrived(dag: Any, connections: Any, back_office: BackOffice, configure: Any) -> None:
    """An order of two units is in Omnitron, and a reason is mapped."""
    NewsShelf.start_again()
    configure(connector="tests.shelf:NewsShelf")
    conf = {"reason_mapping": {"size": 1}}
    back_office.patch("/admin/channels/1", json={"conf": conf}).raise_for_status()
    NewsShelf.orders[:] = [order("1", items=[item("1"), item("1", unit=2)], amount="110.00")]
    assert start(dag("fetch_orders"), conf=DAY).state == "success"
    NewsShelf.orders.clear()


def test_news_of_items_arrive_and_a_second_run_finds_nothing_to_do(
    dag: Any, arrived: None, back_office: BackOffice
) -> None:
    NewsShelf.items[:] = [news("1-1/1", status="550", extra_field={"buyer": "Ayşe"}), news("9", status="550")]

    first, second = start(dag(UPDATES), conf=DAY), start(dag(UPDATES), conf=DAY)

    assert (first.state, second.state) == ("success", "success")
    assert (first.table()["updated"], first.table()["parked"]) == (1, 1)
    assert (second.table()["unchanged"], second.table()["parked"]) == (1, 1)
    assert sorted(row["status"] for row in back_office.rows("order_items")) == ["400", "550"]
    assert "Ayşe" not in json.dumps([first.xcoms(), first.rendered()], ensure_ascii=False, default=str)


@pytest.mark.parametrize(("flow", "shares"), [(UPDATES, {1}), (REQUESTS, {1}), ("fetch_orders", {1, 3})])
def test_a_push_task_that_is_the_only_one_has_the_whole_request_rate(
    dag: Any, arrived: None, configure: Any, flow: str, shares: set[int]
) -> None:
    configure(connector="tests.shelf:SharedShelf")
    NewsShelf.orders[:] = [order("1", items=[item("1"), item("1", unit=2)], amount="110.00")]
    NewsShelf.items[:] = [news("1-1/1", status="550")]
    NewsShelf.requests[:] = [request("R", "1-1/1")]
    SharedShelf.shares.clear()

    assert start(dag(flow), conf=DAY).state == "success"

    assert set(SharedShelf.shares) == shares


def test_requests_arrive_once_and_what_shoppers_write_stays_out_of_airflow(
    dag: Any, arrived: None, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    NewsShelf.requests[:] = [
        request("R", "1-1/1"),
        request("R", "1-1/2"),
        request("S", "1-1/1", reason="colour"),
        request("T", "9"),
    ]
    back_office.fault("POST", "/cancellation_requests/$", "cut_after")

    first, second = start(dag(REQUESTS), conf=DAY), start(dag(REQUESTS), conf=DAY)

    assert (first.state, second.state) == ("success", "success")
    counts = {name: first.table()[name] for name in ("created", "quarantined", "parked")}
    assert counts == {"created": 2, "quarantined": 1, "parked": 1}
    assert second.table()["already_there"] == 2
    assert len(back_office.rows("cancellation_requests")) == 2
    said = json.dumps([first.xcoms(), first.rendered()], ensure_ascii=False, default=str)
    assert not any("kolu" in text for text in (said, *capfd.readouterr()))


def test_a_request_that_never_arrived_is_sent_by_the_task_s_next_try(
    dag: Any, arrived: None, back_office: BackOffice, staging: Path
) -> None:
    NewsShelf.requests[:] = [request("R", "1-1/1")]
    back_office.fault("POST", "/cancellation_requests/$", "cut_before")

    run = start(dag(REQUESTS), conf=DAY)

    assert run.state == "success"
    assert run.tries("push[0]") == 2
    assert run.table()["created"] == 1
    assert len(back_office.rows("cancellation_requests")) == 1
    assert not [path for path in (staging / "begun").rglob("*") if path.is_file()]


@pytest.mark.parametrize("flow", [UPDATES, REQUESTS])
def test_push_runs_once_at_a_time_over_all_runs(dag: Any, flow: str) -> None:
    assert dag(flow).get_task("push").max_active_tis_per_dag == 1
