"""The DAG that tries records of the quarantine again, with the flow's DAG that it triggers."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from order_integration.staging import Places, Staging, key_digest
from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.dags.runs import Run, at_once, of, start
from tests.flows.replay_shelf import ReplayShelf
from tests.shelf import address, order

pytestmark = pytest.mark.airflow

FLOW = "fetch_orders"
DAY = {"window_start": "2026-01-05T00:00:00+03:00", "window_end": "2026-01-06T00:00:00+03:00"}
LOST = {"shipping_address": address(city="Atlantis")}
NAMELESS = {"customer": {"first_name": "Gizli"}}
REPLAY_SHELF = "tests.flows.replay_shelf:ReplayShelf"


@pytest.fixture(scope="module")
def dags(dag_bag: Any) -> Any:
    """The replay's DAG and the flow's, with retries that do not wait."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    return {name: at_once(bag.get_dag(f"{name}__shelf")) for name in (FLOW, "replay_quarantined")}


@pytest.fixture
def waiting(
    dags: Any, back_office: BackOffice, connections: Callable[..., None], configure: Any, shelf: Any, staging: Path
) -> Places:
    """Four orders in quarantine, of which one passes now, one was cancelled, and one is gone."""
    configure(connector=REPLAY_SHELF)
    ReplayShelf.shown.clear()
    shelf(*(order(key, minutes=int(key), **LOST) for key in "123"), order("4", minutes=4, **NAMELESS))
    assert start(dags[FLOW], conf=DAY).table()["quarantined"] == 4
    cancelled = {**order("2", **LOST), "state": "cancelled"}
    shelf(order("1", **LOST), cancelled, order("4", minutes=4, **NAMELESS))
    mapping = {"level": "city", "channel": 1, "code": "Atlantis", "name": "İstanbul"}
    back_office.told(mappings=[mapping])
    return Places.of(Staging(f"file://{staging}"), "shelf", FLOW)


def flow_run(dags: Any) -> Callable[[Any], Any]:
    """What the triggerer waits for: the run that was triggered, started as the scheduler would."""

    def wait(message: Any) -> Any:
        [run_id] = message.trigger_kwargs["run_ids"]
        run = of(dags[FLOW], run_id).go_on()
        kwargs = {**message.trigger_kwargs, "run_ids": [run_id], "states": [run.state]}
        return ["airflow.providers.standard.triggers.external_task.DagStateTrigger", {**kwargs, run_id: run.state}]

    return wait


def replay(dags: Any, **conf: Any) -> Run:
    return start(dags["replay_quarantined"], conf={"flow": FLOW, **conf}, while_waiting=flow_run(dags))


def answer(run: Run, option: str) -> None:
    """A person answers in the UI; what its REST call does."""
    from airflow.models.hitl import HITLDetail
    from airflow.models.taskinstance import TaskInstance
    from airflow.models.trigger import handle_event_submit
    from airflow.triggers.base import TriggerEvent
    from airflow.utils.session import create_session

    with create_session() as session:
        ti = session.get(TaskInstance, run.tasks()["approve"].id)
        detail = session.get(HITLDetail, ti.id)
        detail.responded_by, detail.responded_at = {"id": "1", "name": "ayse"}, datetime.now(UTC)
        detail.chosen_options, detail.params_input = [option], {}
        session.flush()
        handle_event_submit(TriggerEvent(detail.as_resume_event_payload()), task_instance=ti, session=session)


def asked(run: Run) -> str:
    """What the person reads."""
    from airflow.models.hitl import HITLDetail
    from airflow.utils.session import create_session

    with create_session() as session:
        detail = session.get(HITLDetail, run.tasks()["approve"].id)
        return f"{detail.subject}\n{detail.body}"


def fates(run: Run) -> dict[str, int]:
    [value] = [value for name, value in run.xcoms() if name == "report[-1] return_value"]
    return json.loads(value) if isinstance(value, str) else value


def test_a_single_key_is_tried_again_without_asking_anybody(
    dags: Any, waiting: Places, back_office: BackOffice
) -> None:
    run = replay(dags, what="one key", key=key_digest("1"), note="mapped")

    assert run.state == "success"
    assert fates(run) == {"passed": 1}
    assert [row["extra_field"]["id"] for row in back_office.rows("orders")] == ["1"]
    assert sorted(waiting.quarantine.open_keys()) == ["2", "3", "4"]
    assert (waiting.quarantine.get("1") or {})["replayed"]["note"] == "mapped"


def test_a_bulk_replay_waits_for_a_yes_and_says_what_became_of_each(
    dags: Any, waiting: Places, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    run = replay(dags, what="all", note="the city is mapped")
    assert run.states()["approve"] == "awaiting_input"
    for text in ("Replay 4 records", "fetch_orders__shelf", "| city_unknown | 3 |", "the city is mapped", "is paused"):
        assert text in asked(run)
    assert waiting.parked.open_keys() == {}
    capfd.readouterr()

    answer(run, "Approve")
    run.go_on(while_waiting=flow_run(dags))

    assert run.state == "success"
    assert fates(run) == {"passed": 1, "failed again": 1, "gone at the channel": 1, "cancelled at the channel": 1}
    assert [row["extra_field"]["id"] for row in back_office.rows("orders")] == ["1"]
    assert list(waiting.quarantine.open_keys()) == ["4"]
    assert f"{key_digest('4')}  failed again: email_missing in" in capfd.readouterr().out
    said = f"{run.xcoms()} {run.rendered()}"
    assert not any(name in said for name in ("Gizli", "Ayşe", "example.com"))


def test_a_no_changes_nothing(dags: Any, waiting: Places, back_office: BackOffice) -> None:
    before = waiting.quarantine.open_keys()
    run = replay(dags, what="reason", reason="city_unknown")
    assert "Replay 3 records" in asked(run)

    answer(run, "Reject")
    run.go_on()

    assert run.state == "success"
    assert {run.states()[task] for task in ("replay", "run", "report")} == {"skipped"}
    assert (waiting.quarantine.open_keys(), waiting.parked.open_keys()) == (before, {})
    assert back_office.rows("orders") == []


def test_what_the_flow_did_not_get_to_is_still_parked_and_turns_the_replay_red(dags: Any, waiting: Places) -> None:
    def never(message: Any) -> Any:
        [run_id] = message.trigger_kwargs["run_ids"]
        return ["a.Trigger", {**message.trigger_kwargs, run_id: "failed"}]

    run = start(dags["replay_quarantined"], conf={"flow": FLOW, "what": "one key", "key": "1"}, while_waiting=never)

    assert (run.state, run.states()["report"]) == ("failed", "failed")
    assert fates(run) == {"not tried yet": 1}
    assert list(waiting.parked.open_keys()) == ["1"]
    assert "1" in waiting.quarantine.open_keys()


@pytest.mark.parametrize(
    ("conf", "state", "sentence"),
    [
        ({"what": "one key"}, "failed", "give the key"),
        ({"what": "one key", "key": "7"}, "failed", "no such key is open in the quarantine of fetch_orders of shelf"),
        ({"what": "reason"}, "failed", "choose a reason"),
        ({"what": "reason", "reason": "refused"}, "skipped", "nothing of that kind"),
        ({"what": "all", "flow": "fetch_and_create_cancel"}, "skipped", "nothing of that kind"),
    ],
)
def test_a_choice_that_means_nothing_is_said_at_once(
    dags: Any, waiting: Places, capfd: pytest.CaptureFixture[str], conf: Any, state: str, sentence: str
) -> None:
    run = replay(dags, **conf)

    assert run.states()["select"] == state
    assert run.states()["replay"] in ("skipped", "upstream_failed")
    assert sentence in capfd.readouterr().out
    assert waiting.parked.open_keys() == {}


def test_the_command_line_triggers_the_flow_s_dag(
    dags: Any, waiting: Places, back_office: BackOffice, capsys: pytest.CaptureFixture[str]
) -> None:
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    from order_integration.quarantine.__main__ import main

    assert main(["replay", "1"]) == 0

    assert "triggered" in capsys.readouterr().out
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == f"{FLOW}__shelf").order_by(DagRun.id)).all()[-1]
    assert (found.conf, str(found.state), found.logical_date) == ({"waiting_only": True}, "queued", None)
    assert of(dags[FLOW], found.run_id).go_on().table()["created"] == 1


# The run of the flow's DAG ------------------------------------------------------------------------------------------


def test_a_run_of_what_waits_needs_no_window_and_says_that_it_read_none(dags: Any, waiting: Places) -> None:
    run = start(dags[FLOW], conf={"waiting_only": True})

    assert run.state == "success"
    [fetched] = [value for name, value in run.xcoms() if name == "fetch[-1] return_value"]
    fetched = json.loads(fetched) if isinstance(fetched, str) else fetched
    assert (fetched["waiting_only"], fetched["window_start"], fetched["pages"]) == (True, None, 0)


@pytest.mark.parametrize(
    ("kind", "conf", "sentence"),
    [
        ("manual", {"waiting_only": True, **DAY}, "leave window_start and window_end empty"),
        ("backfill", {"waiting_only": True}, "waiting_only is for manual runs"),
        ("scheduled", {"waiting_only": True}, "waiting_only is for manual runs"),
    ],
)
def test_a_run_that_stands_for_a_window_never_leaves_it_out(
    dags: Any, waiting: Places, capfd: pytest.CaptureFixture[str], kind: str, conf: Any, sentence: str
) -> None:
    hours = {"backfill": (1, 2), "scheduled": (2, 3)}.get(kind)
    window = (datetime(2026, 2, 2, hours[0], tzinfo=UTC), datetime(2026, 2, 2, hours[1], tzinfo=UTC)) if hours else None

    run = start(dags[FLOW], kind, conf=conf, window=window)

    assert run.state == "failed"
    assert sentence in capfd.readouterr().out
