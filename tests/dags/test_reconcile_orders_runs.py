"""`reconcile_orders` as a DAG: what is missing is fetched, differences are told once, and the colour is a choice."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
import shutil
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.dags.runs import Run, at_once, start

pytestmark = pytest.mark.airflow

FLOW = "reconcile_orders"
WORLD = {
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "products": [{"channel": 1, "remote_id": product.id, "sku": product.id} for product in catalogue()],
}
NOW = datetime.now(UTC)
LATELY = {"window_start": (NOW - timedelta(hours=12)).isoformat(), "window_end": NOW.isoformat()}
OWN = {"connector": "marketplace", "connection": "market", "reconcile_grace": "0s", "reconcile_days": 1}


@pytest.fixture(scope="module")
def market_url() -> Iterator[str]:
    with running(create_app(calls_per_second=None, rate=1.0, until=NOW)) as url:
        yield url


@pytest.fixture
def dag(dag_bag: Any) -> Callable[[str], Any]:
    """A flow's DAG in a bag of its own, with retries that do not wait."""
    from airflow.dag_processing.dagbag import DagBag

    return lambda flow: at_once(DagBag(str(ROOT / "dags"), bundle_name="dags-folder").get_dag(f"{flow}__shelf"))


@pytest.fixture
def market(
    market_url: str, dag: Any, back_office: BackOffice, connections: Any, configure: Any, monkeypatch: Any
) -> None:
    """Half a day of orders has arrived, and the half before it has not."""
    host, _, port = market_url.removeprefix("http://").partition(":")
    connections("market", host=f"http://{host}", port=int(port), password=LOOPBACK_KEY)
    configure(**OWN)
    back_office.told(**WORLD)
    assert start(dag("fetch_orders"), conf=LATELY).state == "success"


def said(run: Run, task: str = "compare") -> dict[str, Any]:
    [value] = [value for name, value in run.xcoms() if name == f"{task}[-1] return_value"]
    return json.loads(value) if isinstance(value, str) else value


def triggered(run: Run, dag: Any) -> list[Run]:
    """What it started."""
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        rows = session.scalars(select(DagRun).where(DagRun.run_id == f"{FLOW}__{run.run_id}")).all()
        assert all(row.conf["waiting_only"] is True for row in rows)
        return [Run(dag, row.run_id) for row in rows]


def alarms(staging: Path) -> list[Any]:
    return [json.loads(path.read_text()) for path in staging.glob(f"alarms/shelf/{FLOW}/*/*.json")]


def test_what_is_missing_is_fetched_by_a_run_of_its_own_and_then_both_sides_agree(
    market: None, dag: Any, back_office: BackOffice, staging: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = len(back_office.rows("orders"))

    first = start(dag(FLOW))
    log = capfd.readouterr().out
    [fetching] = triggered(first, dag("fetch_orders"))
    fetching.go_on()
    second = start(dag(FLOW))

    counts = said(first)["counts"]
    assert first.states() == {"compare": "success", "fetch_missing": "success", "report": "success"}
    assert counts["missing"] == said(first)["parked"] > 0
    assert f"missing           {counts['missing']:>8}" in log
    assert fetching.state == "success"
    assert before < len(back_office.rows("orders")) <= before + counts["missing"]
    assert fetching.table()["distinct"] == counts["missing"]
    assert second.states() == {"compare": "success", "fetch_missing": "skipped", "report": "success"}
    assert said(second)["counts"] == {**said(second)["counts"], "missing": 0, "extra": 0, "different": 0, "twice": 0}
    assert triggered(second, None) == []


def test_the_report_names_orders_and_nobody_and_is_its_owner_s_alone(
    market: None, dag: Any, back_office: BackOffice, staging: Path
) -> None:
    run = start(dag(FLOW))

    path = staging / said(run)["report"]
    rows = [json.loads(line) for line in path.read_text().splitlines()]

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len([row for row in rows if row["kind"] == "missing"]) == said(run)["counts"]["missing"]
    assert set(rows[0]) == {"key", "kind", "number", "pks", "what", "channel", "omnitron", "reason"}
    people = [row["email"] for row in back_office.rows("customers")]
    assert people
    text = path.read_text() + json.dumps([run.xcoms(), run.rendered()], default=str)
    assert not [one for one in people if one in text]
    assert all(len(json.dumps(value, default=str)) < 2000 for _, value in run.xcoms())


def test_a_difference_is_told_once_and_what_is_missing_is_fetched_only_where_that_is_wanted(
    market: None, dag: Any, configure: Any, staging: Path
) -> None:
    configure(**OWN, reconcile_fetches_missing=False)

    first, second = start(dag(FLOW)), start(dag(FLOW))

    missing = said(first)["counts"]["missing"]
    assert missing > 0
    assert said(second)["counts"]["missing"] == missing
    assert (first.states()["fetch_missing"], said(first)["parked"]) == ("skipped", 0)
    assert list((staging / "parked").rglob("*.json")) == []
    [alarm] = alarms(staging)
    assert alarm["kind"] == "differences"
    assert f"{missing} missing" in alarm["sentence"]
    assert said(first)["report"] in alarm["sentence"]
    assert (first.state, second.state) == ("success", "success")


def test_what_a_killed_report_did_not_tell_is_told_by_the_next_one(market: None, dag: Any, staging: Path) -> None:
    start(dag(FLOW))
    (staging / f"reports/shelf/{FLOW}/told.json").unlink()
    shutil.rmtree(staging / f"alarms/shelf/{FLOW}")
    shutil.rmtree(staging / "parked")

    start(dag(FLOW))

    assert [alarm["kind"] for alarm in alarms(staging)] == ["differences"]


def test_more_than_a_person_would_let_pass_is_not_fetched_and_the_alarm_says_how_to(
    market: None, dag: Any, configure: Any, staging: Path
) -> None:
    configure(**OWN, limits={"quarantine_floor": 2})

    run = start(dag(FLOW))

    assert run.states() == {"compare": "success", "fetch_missing": "skipped", "report": "success"}
    assert said(run)["counts"]["missing"] == said(run)["left"] > 2
    assert list((staging / "parked").rglob("*.json")) == []
    [alarm] = alarms(staging)
    assert f"None of the {said(run)['left']} missing ones is fetched" in alarm["sentence"]
    assert f"trigger fetch_orders__shelf with window_start {said(run)['window_start']}" in alarm["sentence"]


def test_what_no_run_of_the_flow_has_read_is_not_missing(market: None, dag: Any, staging: Path) -> None:
    (staging / "fresh/shelf/fetch_orders.json").unlink()

    run = start(dag(FLOW))

    assert (said(run)["counts"]["missing"], run.states()["fetch_missing"]) == (0, "skipped")


def test_the_colour_is_the_channels_choice(
    market: None, dag: Any, configure: Any, back_office: BackOffice, staging: Path
) -> None:
    configure(**OWN)
    row = back_office.rows("orders")[0]
    names = ("customer", "shipping_address", "billing_address", "cargo_company", "currency", "amount")
    item = back_office.rows("order_items", order=row["pk"])[0]
    line = {name: item[name] for name in ("product", "price", "price_currency")}
    head = {**{name: row[name] for name in names}, "number": "X-1", "extra_field": {"id": "999999999"}}
    body = {"order": head, "order_item": [line]}
    back_office.post("/api/v1/channel/1/create_orders/", json=body).raise_for_status()

    green = start(dag(FLOW))
    configure(**OWN, reconcile_turns_red=True)
    red = start(dag(FLOW))

    assert (green.state, said(green)["counts"]["extra"]) == ("success", 1)
    assert (red.state, red.states()["report"]) == ("failed", "failed")
    assert said(red, "report")["extra"] == 1
    assert sorted(alarm["kind"] for alarm in alarms(staging)) == ["differences", "verdict"], "one a run"


def test_a_try_that_is_cleared_says_the_same_and_starts_no_second_run(market: None, dag: Any, staging: Path) -> None:
    run = start(dag(FLOW))
    before = said(run)

    run.clear("compare").go_on()

    assert said(run)["counts"] == before["counts"]
    assert said(run)["report"] == before["report"]
    assert run.state == "success"
    assert len(triggered(run, None)) == 1
    assert len(alarms(staging)) == 1


def test_it_runs_by_a_schedule_of_its_own_once_at_a_time_and_is_never_backfilled(dag_bag: Any) -> None:
    from airflow.sdk import CronTriggerTimetable

    dag = dag_bag.get_dag(f"{FLOW}__shelf")

    assert dag.timetable == CronTriggerTimetable("30 4 * * *", timezone="Europe/Istanbul")
    assert (dag.catchup, dag.max_active_runs) == (False, 1)
    assert "backfill" not in dag.allowed_run_types
    assert dag.params.get_param("days").resolve() == 3
