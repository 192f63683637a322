"""Runs of `update_orders` and `check_orders`: what waits where, what decides the colour, what is said in between."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import asyncio
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.dags.runs import Run, at_once, start
from tests.flows.outbound_steps import OutboundSteps, change, due, nothing_is_open, statuses
from tests.shelf import order

pytestmark = pytest.mark.airflow

XCOM_LIMIT = 2048
TRIGGER = "order_integration.triggers.feeds.FeedsTrigger"


@pytest.fixture(scope="session")
def outbound_dags(dag_bag: Any) -> dict[str, Any]:
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    return {flow: at_once(bag.get_dag(f"{flow}__shelf")) for flow in ("update_orders", "check_orders")}


@pytest.fixture
def outbound(
    outbound_dags: Any, connections: Any, configure: Any, back_office: BackOffice, omnitron_url: str, tmp_path: Path,
    shelf: Any,
) -> OutboundSteps:  # fmt: skip
    """Two orders that are due, and a channel file that names the shelf that is told."""
    made = OutboundSteps(omnitron_url, tmp_path)
    shelf(order("1"), order("2", minutes=1))
    made.steps.run()
    change(back_office, "1", "2")
    own = {"connector": "tests.shelf_outbound:OutboundShelf", "settings": {"folder": str(made.board.folder)}}
    made.configure = lambda **more: configure(**own, **more)  # type: ignore[attr-defined]
    made.configure()  # type: ignore[attr-defined]
    return made


def woken(message: Any) -> dict[str, Any]:
    """What the trigger says, run as the triggerer does: made anew of what was kept."""
    from airflow.serialization.serialized_objects import BaseSerialization

    kwargs = BaseSerialization.deserialize(message.trigger_kwargs) if "__type" in message.trigger_kwargs else None
    return dict(asyncio.run(event_of(message.classpath, kwargs or message.trigger_kwargs)))


async def event_of(classpath: str, kwargs: Any) -> dict[str, Any]:
    from airflow.sdk.module_loading import import_string

    trigger = import_string(classpath)(**kwargs)
    async for event in trigger.run():
        return dict(event.payload)
    raise AssertionError("a trigger without an event")


def said(run: Run, task: str) -> Any:
    [value] = [value for name, value in run.xcoms() if name == f"{task}[-1] return_value"]
    return json.loads(value) if isinstance(value, str) else value


def test_a_synchronous_run_is_green_without_waiting(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    run = start(outbound_dags["update_orders"], "scheduled", logical_date=datetime(2026, 1, 6, tzinfo=UTC))

    assert run.state == "success"
    assert (run.table()["due"], run.table()["succeeded"]) == (2, 2)
    assert outbound.board.orders() == ["1", "2"]
    assert due(back_office) == []
    assert outbound.batches().all() == []


def test_nothing_due_is_green(outbound_dags: Any, outbound: OutboundSteps) -> None:
    start(outbound_dags["update_orders"])

    run = start(outbound_dags["update_orders"])

    assert (run.state, run.table()["due"]) == ("success", 0)


@pytest.mark.defect("B8")
@pytest.mark.parametrize(("setting", "typed", "wanted"), [(True, None, True), (True, False, False)])
def test_is_sync_is_the_channel_s_setting_unless_the_run_says_otherwise(
    outbound_dags: Any, outbound: OutboundSteps, setting: bool, typed: bool | None, wanted: bool
) -> None:
    dag = outbound_dags["update_orders"]
    assert dag.params.get_param("is_sync").resolve() is setting

    start(dag, conf={} if typed is None else {"is_sync": typed})

    assert [row["is_sync"] for row in outbound.board.received()] == [wanted]


@pytest.mark.defect("B6", "B7")
def test_a_job_is_waited_for_in_the_triggerer_and_ended_in_the_worker(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    outbound.configure(feed_poll="1s")  # type: ignore[attr-defined]
    outbound.board.rule(answers="feeds", refuse=["2"])
    seen: list[Any] = []

    def decided(message: Any) -> Any:
        seen.append((message, statuses(back_office)[-1]))
        outbound.board.rule(feeds={"*": "done"})
        return woken(message)

    run = start(outbound_dags["update_orders"], while_waiting=decided)

    [(message, status)] = seen
    assert (message.classpath, message.next_method, status) == (TRIGGER, "resume", "ongoing")
    assert run.state == "success"
    assert run.tries("check_orders") == 1
    assert run.table()["succeeded"] == 1
    assert run.table()["reasons"] == {"remote": 1}
    assert statuses(back_office)[-1] == "done"
    assert said(run, "send")["feed_ids"] == outbound.board.feeds()
    assert due(back_office) == ["2"]


def test_a_trigger_that_was_started_again_has_the_same_deadline(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    outbound.configure(feed_deadline="3h")  # type: ignore[attr-defined]
    outbound.board.rule(answers="feeds")
    deadlines: list[float] = []

    def lost(message: Any) -> None:
        """The triggerer was redeployed, and all it knows is lost; the task is woken, and waits again."""
        deadlines.append(kwargs_of(message)["deadline"])
        assert message.trigger_timeout > timedelta(
            hours=3, minutes=20
        )  # a triggerer that is away for a while fails nothing
        if len(deadlines) == 3:
            outbound.board.rule(feeds={"*": "done"})

    run = start(outbound_dags["update_orders"], while_waiting=lost)

    accepted = datetime.fromisoformat(said(run, "send")["accepted_at"]).timestamp()
    assert set(deadlines) == {accepted + 3 * 3600}
    assert run.state == "success"
    assert len(back_office.calls("PATCH", f"/batch_requests/{said(run, 'send')['batch_pk']}/")) == 4


def kwargs_of(message: Any) -> dict[str, Any]:
    from airflow.serialization.serialized_objects import BaseSerialization

    kept = message.trigger_kwargs
    return dict(BaseSerialization.deserialize(kept) if "__type" in kept else kept)


def test_a_job_that_the_channel_forgot_turns_the_run_red_and_is_over(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    outbound.configure(feed_deadline="1s", feed_poll="1s")  # type: ignore[attr-defined]
    outbound.board.rule(answers="feeds", feeds={"*": "unknown"})

    run = start(outbound_dags["update_orders"], while_waiting=woken)

    assert run.states()["check_orders"] == "success"
    assert (run.state, run.states()["settle"]) == ("failed", "failed")
    assert "did not say in time" in capfd.readouterr().out
    assert statuses(back_office)[-1] == "fail"
    assert sorted(due(back_office)) == ["1", "2"]
    assert run.table()["failed"] == 2


def test_a_sensor_that_can_t_go_on_turns_the_run_red_and_the_sweep_ends_its_job(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    outbound.board.rule(answers="feeds", check="slip")

    run = start(outbound_dags["update_orders"], while_waiting=woken)

    assert (run.state, run.states()["check_orders"]) == ("failed", "failed")
    assert run.table()["handed_over"] == 2
    assert not nothing_is_open(back_office)
    outbound.board.rule(check=None, feeds={"*": "done"})
    sweep = start(outbound_dags["check_orders"])
    assert (sweep.state, said(sweep, "sweep")) == ("success", {"done": 1})
    assert nothing_is_open(back_office)
    assert due(back_office) == []


def test_a_sweep_leaves_what_a_run_still_looks_after(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    outbound.board.rule(answers="feeds")
    swept: list[Any] = []

    def meanwhile(_: Any) -> None:
        swept.append(said(start(outbound_dags["check_orders"]), "sweep"))
        outbound.board.rule(feeds={"*": "done"})

    run = start(outbound_dags["update_orders"], while_waiting=meanwhile)

    assert swept == [{"alive": 1}]
    assert run.state == "success"


def test_a_sweep_ends_what_a_run_that_was_removed_left_open(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    pk = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()["pk"]
    owner = {"dag": "update_orders__shelf", "run": "update_orders__shelf/manual__gone", "task": "send"}
    outbound.batches().register(pk, owner)

    sweep = start(outbound_dags["check_orders"])

    assert (sweep.state, said(sweep, "sweep")) == ("success", {"failed": 1})
    assert nothing_is_open(back_office)


def test_a_sweep_without_a_connection_to_the_channel_ends_what_needs_none(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice, monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    outbound.board.rule(answers="feeds")
    outbound.sent(run="gone")
    orphan = back_office.post("/api/v1/channel/1/batch_requests/", json={"channel": 1}).json()["pk"]
    owner = {"dag": "update_orders__shelf", "run": "update_orders__shelf/manual__gone", "task": "send"}
    outbound.batches().register(orphan, owner)
    monkeypatch.delenv("AIRFLOW_CONN_SHELF")

    sweep = start(outbound_dags["check_orders"])

    assert (sweep.state, said(sweep, "sweep")) == ("failed", {"failed": 1, "unchecked": 1})
    assert "connection" in capfd.readouterr().out
    outbound.configure(feed_deadline="1s")  # type: ignore[attr-defined]
    time.sleep(1)
    sweep = start(outbound_dags["check_orders"])
    assert said(sweep, "sweep") == {"fail": 1}
    assert nothing_is_open(back_office)


def test_a_sweep_that_can_t_check_one_is_red_when_all_others_are_done(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    outbound.board.rule(answers="feeds", check="slip")
    outbound.sent(run="gone")

    sweep = start(outbound_dags["check_orders"])

    assert (sweep.state, sweep.tries("sweep")) == ("failed", 1)
    assert "can't be checked: KeyError" in capfd.readouterr().out


def test_send_waits_for_a_foreign_lock_without_a_slot_or_a_try(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("order_integration.flows.outbound.Sending.lock_waits", ())
    row = back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()
    waits: list[Any] = []

    def release(message: Any) -> None:
        waits.append(message)
        back_office.delete(f"/admin/lock/{row['pk']}").raise_for_status()

    run = start(outbound_dags["update_orders"], while_waiting=release)

    assert (run.state, run.tries("send"), len(waits)) == ("success", 1, 1)
    assert outbound.board.orders() == ["1", "2"]


@pytest.mark.parametrize("fail", ["before", "after"])
def test_a_channel_out_of_reach_costs_a_try_and_gets_nothing_twice(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice, fail: str
) -> None:
    outbound.board.rule(fail=fail, times=2)

    run = start(outbound_dags["update_orders"])

    assert run.state == "success"
    assert run.tries("send") == (3 if fail == "before" else 2)
    assert outbound.board.orders() == ["1", "2"]
    assert nothing_is_open(back_office)


def test_a_clear_from_fetch_settles_nothing_old(
    outbound_dags: Any, outbound: OutboundSteps, back_office: BackOffice
) -> None:
    run = start(outbound_dags["update_orders"])
    run.clear("fetch").go_on()

    assert run.state == "success"
    assert run.table()["due"] == 0
    assert outbound.board.orders() == ["1", "2"]


def test_xcom_is_small_and_tells_nothing_about_anybody(outbound_dags: Any, outbound: OutboundSteps) -> None:
    outbound.board.rule(answers="feeds", padding=120, feeds_a_page=2, refuse=["2"])

    def decided(message: Any) -> None:
        assert kwargs_of(message)["feed_ids"] == outbound.board.feeds()  # all of them
        outbound.board.rule(feeds={"*": "done"})

    run = start(outbound_dags["update_orders"], while_waiting=decided)

    assert run.state == "success"
    assert len(said(run, "send")["feed_ids"]) == 1  # as many as Omnitron holds
    for name, value in run.xcoms():
        text = value if isinstance(value, str) else json.dumps(value)
        assert len(text) <= XCOM_LIMIT, name
        assert "@" not in text
        assert "Ayşe" not in text


def test_both_dags_are_what_every_dag_of_ours_is(dag_bag: Any) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for flow in ("update_orders", "check_orders"):
        dag = dag_bag.get_dag(f"{flow}__shelf")
        assert {flow, "shelf"} <= set(dag.tags)
        assert "When it fails" in dag.doc_md
        assert all(f"**{task.task_id}**" in dag.doc_md for task in dag.tasks)
        assert (dag.max_active_runs, dag.catchup) == (1, False)
        assert "backfill" not in {str(kind.value) for kind in dag.allowed_run_types}
        assert dag.dagrun_timeout is not None
        assert len(dag.tasks) <= 8
        known = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag))))
        assert known.next_dagrun_info(last_automated_run_info=None, restricted=True) is not None
    assert [task.task_id for task in dag_bag.get_dag("update_orders__shelf").leaves] == ["settle"]


def test_a_backfill_is_refused(dag_bag: Any) -> None:
    from airflow.models.backfill import ReprocessBehavior as Again
    from airflow.models.backfill import _create_backfill

    with pytest.raises(Exception, match=r"(?i)backfill|run type|allowed"):
        _create_backfill(
            dag_id="update_orders__shelf", from_date=datetime(2026, 1, 6, tzinfo=UTC),
            to_date=datetime(2026, 1, 7, tzinfo=UTC), max_active_runs=1, reverse=False, dag_run_conf={},
            triggering_user_name="somebody", reprocess_behavior=Again.NONE,
        )  # fmt: skip
