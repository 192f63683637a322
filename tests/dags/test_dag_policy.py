"""What every DAG of this package has to be, whoever adds the next one."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.dags.conftest import CHANNELS, ROOT, SHELF

pytestmark = pytest.mark.airflow

FLOWS = (
    "fetch_orders",
    "fetch_and_create_cancel",
    "fetch_and_update_order_items",
    "fetch_and_create_cancellation_requests",
)
OF_ALL_CHANNELS = {"housekeeping", "watch_channels"}
EVERY_FLOW = tuple(path.stem for path in (ROOT / "dags").glob("*.py") if path.stem not in OF_ALL_CHANNELS)
DRAINS = ("update_orders", "update_cancellation_requests")  # whatever is due; a window means nothing to them
USABLE = {"shelf", "other"}
HEAVY = ("aiohttp", "phonenumbers", "tenacity", "aiolimiter", "babel")
Bag = Callable[..., Any]
Python = Callable[..., str]


@pytest.fixture
def dags(dag_bag: Any) -> dict[str, Any]:
    """Of the channels that are configured well."""
    return {f"{flow}__{channel}": dag_bag.get_dag(f"{flow}__{channel}") for flow in FLOWS for channel in USABLE}


@pytest.fixture
def every_dag(dag_bag: Any) -> dict[str, Any]:
    """Of those channels, whatever the flow."""
    return {f"{flow}__{one}": dag_bag.get_dag(f"{flow}__{one}") for flow in EVERY_FLOW for one in USABLE}


@pytest.fixture
def bag(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bag:
    """A flow's file, read with another channel file."""

    def read(text: str | None) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        path = tmp_path / "channels.yaml"
        if text is not None:
            path.write_text(text)
        monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(path))
        return DagBag(str(ROOT / "dags" / "fetch_orders.py"))

    return read


@pytest.fixture
def python(tmp_path: Path) -> Python:
    """A program in a process of its own, as Airflow starts one; returns what it printed last."""

    def run(program: str, **environment: str) -> str:
        env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "plugins"))), **environment}
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().splitlines()[-1]

    return run


def test_every_file_is_read_and_makes_one_dag_a_channel(dag_bag: Any) -> None:
    assert dag_bag.import_errors == {}
    for flow in EVERY_FLOW:
        made = {name for name in dag_bag.dags if name.startswith(f"{flow}__")}
        assert made == {f"{flow}__{name}" for name in CHANNELS}


def test_a_dag_says_whose_it_is_and_what_to_do_when_it_fails(every_dag: dict[str, Any]) -> None:
    for dag_id, dag in every_dag.items():
        flow, channel = dag_id.split("__")
        assert {flow, channel} <= set(dag.tags)
        assert "When it fails" in dag.doc_md
        assert channel in dag.description
        for task in dag.tasks:
            assert f"**{task.task_id}**" in dag.doc_md
    assert {task.owner for task in every_dag["fetch_orders__shelf"].tasks} == {"data-team"}
    assert {task.owner for task in every_dag["fetch_orders__other"].tasks} == {"night-shift"}


def test_a_task_is_tried_again_later_and_later_and_not_for_ever(every_dag: dict[str, Any]) -> None:
    from order_integration.operators.base import RetryByKind

    for task in (task for dag in every_dag.values() for task in dag.tasks):
        settings = task.partial_kwargs if task.is_mapped else vars(task)
        assert task.retries >= 2
        assert isinstance(settings["retry_policy"], RetryByKind)
        assert task.retry_delay == timedelta(minutes=1)
        assert task.retry_exponential_backoff == 2.0
        assert task.max_retry_delay <= timedelta(hours=1)
        assert timedelta(0) < task.execution_timeout <= timedelta(hours=6)
        assert task.depends_on_past is False


def test_a_channel_s_retry_delay_is_its_tasks(bag: Bag) -> None:
    dag = bag(yaml.safe_dump({"channels": {"shelf": {**SHELF, "retry_delay": "7s"}}})).get_dag("fetch_orders__shelf")

    assert {task.retry_delay for task in dag.tasks} == {timedelta(seconds=7)}


def test_a_run_ends_and_few_run_at_once(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert dag.dagrun_timeout is not None
        assert dag.dagrun_timeout >= max(task.execution_timeout for task in dag.tasks)
        assert dag.max_active_runs == 2


def test_a_run_has_few_tasks_even_when_push_is_mapped(every_dag: dict[str, Any]) -> None:
    from order_integration.channels.registry import ChannelLimits

    most = max(limit.le for limit in ChannelLimits.model_fields["push_tasks"].metadata if hasattr(limit, "le"))
    for dag in every_dag.values():
        mapped = [task for task in dag.tasks if task.is_mapped]
        assert len(dag.tasks) + len(mapped) * (most - 1) <= 8
        for task in mapped:
            assert 1 <= task.max_active_tis_per_dag <= most


def test_settle_alone_decides_the_colour_and_runs_once_at_a_time(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        assert [task.task_id for task in dag.leaves] == ["settle"]
        settle = dag.get_task("settle")
        assert settle.trigger_rule == "all_done"
        assert settle.max_active_tis_per_dag == 1
        assert all(task.trigger_rule == "all_success" for task in dag.tasks if task is not settle)


def test_no_task_waits_for_a_pool_that_somebody_must_create(every_dag: dict[str, Any]) -> None:
    assert {task.pool for dag in every_dag.values() for task in dag.tasks} == {"default_pool"}


def test_catchup_is_the_channel_s_choice(dags: dict[str, Any]) -> None:
    assert dags["fetch_orders__shelf"].catchup is True
    assert dags["fetch_orders__other"].catchup is False


def test_a_replay_that_waits_for_an_answer_keeps_no_other_from_being_asked(every_dag: dict[str, Any]) -> None:
    assert all(every_dag[f"replay_quarantined__{channel}"].max_active_runs > 1 for channel in USABLE)


def test_what_drains_what_is_due_has_nothing_to_catch_up_on_and_runs_once_at_a_time(every_dag: dict[str, Any]) -> None:
    for flow in (*DRAINS, "check_orders"):
        for channel in USABLE:
            dag = every_dag[f"{flow}__{channel}"]
            assert dag.catchup is False
            assert dag.max_active_runs == 1
            assert "backfill" not in dag.allowed_run_types


def test_what_goes_to_a_channel_is_settled_as_well_and_sent_once_at_a_time(every_dag: dict[str, Any]) -> None:
    for flow in DRAINS:
        for channel in USABLE:
            dag = every_dag[f"{flow}__{channel}"]
            assert [task.task_id for task in dag.leaves] == ["settle"]
            assert dag.get_task("settle").trigger_rule == "all_done"
            assert dag.get_task("send").max_active_tis_per_dag == 1


@pytest.mark.parametrize(("channel", "length"), [("shelf", timedelta(hours=1)), ("other", timedelta(minutes=15))])
def test_windows_are_as_long_as_the_schedule_and_leave_nothing_out(
    dag_bag: Any, channel: str, length: timedelta
) -> None:
    from airflow.sdk import CronDataIntervalTimetable
    from airflow.serialization.serialized_objects import DagSerialization

    dag = dag_bag.get_dag(f"fetch_orders__{channel}")
    assert isinstance(dag.timetable, CronDataIntervalTimetable)
    known = DagSerialization.from_dict(DagSerialization.to_dict(dag))

    intervals, last = [], None
    for _ in range(48):
        last = known.next_dagrun_info(last_automated_run_info=last, restricted=True)
        intervals.append(last.data_interval)

    assert all(interval.end - interval.start == length for interval in intervals)
    assert all(one.end == following.start for one, following in pairwise(intervals))
    assert {last.run_after} == {intervals[-1].end}


def test_the_form_of_a_manual_run_asks_for_both_ends(dags: dict[str, Any]) -> None:
    for dag in dags.values():
        asked = {name: dag.params.get_param(name).resolve() for name in dag.params}
        assert asked == {"window_start": None, "window_end": None, "waiting_only": False}


def test_a_dag_survives_airflow_s_serialisation(dags: dict[str, Any]) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    for dag in dags.values():
        stored = json.loads(json.dumps(DagSerialization.to_dict(dag)))
        again = DagSerialization.from_dict(stored)

        assert {task.task_id for task in again.tasks} == {task.task_id for task in dag.tasks}
        assert again.get_task("settle").trigger_rule == "all_done"
        assert again.get_task("push").is_mapped
        assert all(task.has_retry_policy for task in again.tasks)
        assert again.max_active_runs == dag.max_active_runs


def test_a_task_that_runs_builds_its_own_dag_alone(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> None:
    channels = yaml.safe_dump({"channels": CHANNELS})
    assert len(bag(channels).dags) == len(CHANNELS)

    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "fetch_orders__other")  # as Airflow starts a task

    assert set(bag(channels).dags) == {"fetch_orders__other"}


def test_a_dag_file_is_read_without_what_only_a_task_needs(python: Python) -> None:
    program = f"""
import json, runpy, sys
import airflow.sdk
before = set(sys.modules)
runpy.run_path({str(ROOT / "dags" / "fetch_orders.py")!r})
print(json.dumps(sorted(set(sys.modules) - before)))
"""
    loaded = set(json.loads(python(program)))

    assert "order_integration.channels.registry" in loaded
    assert not {name for name in loaded if name.partition(".")[0] in HEAVY}
    ours = {name for name in loaded if name.startswith("order_integration.")}
    for room in ("dto", "omnitron", "flows", "hooks", "transport", "channels.commands", "channels.marketplace"):
        assert not {name for name in ours if name.startswith(f"order_integration.{room}")}


def test_without_a_channel_file_the_import_error_names_the_variable(bag: Bag, tmp_path: Path) -> None:
    read = bag(None)

    [error] = read.import_errors.values()
    assert read.dags == {}
    assert f"no channel file at {tmp_path}/channels.yaml: set ORDER_INTEGRATION_CHANNELS" in error


@pytest.mark.parametrize("text", ["channels: {shelf: [", "- a list", "channels: [shelf]", "", "channels: a: b"])
def test_a_channel_file_that_can_t_be_read_is_an_import_error_that_names_it(
    bag: Bag, tmp_path: Path, text: str
) -> None:
    read = bag(text)

    [error] = read.import_errors.values()
    assert read.dags == {}
    assert f"ConfigurationError: {tmp_path}/channels.yaml" in error


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**SHELF, "overlap": "1m", "lag": "5m"}, "overlap is shorter than lag"),
        ({**SHELF, "schedule": "every full moon"}, "schedule 'every full moon' is not a cron expression"),
        ({**SHELF, "timezone": "Europe/Atlantis"}, "timezone"),
        ({**SHELF, "active_from": "2026-01-05T00:00:00"}, "active_from"),
        ({**SHELF, "retry_delay": "soon"}, "retry_delay"),
        ({**SHELF, "surprise": 1}, "surprise: Extra inputs are not permitted"),
        ({**SHELF, "limits": {"push_tasks": 99}}, "limits.push_tasks"),
        ("just a word", "its settings are not a mapping"),
    ],
    ids=["overlap", "schedule", "timezone", "naive", "duration", "unknown", "limit", "text"],
)
def test_a_broken_entry_hurts_no_other_channel_and_says_so_in_its_own_dag(bag: Bag, entry: Any, sentence: str) -> None:
    read = bag(yaml.safe_dump({"channels": {"fine": SHELF, "broken": entry}}))

    assert read.import_errors == {}
    assert set(read.dags) == {"fetch_orders__broken", "fetch_orders__fine"}
    broken = read.get_dag("fetch_orders__broken")
    assert broken.task_ids == ["configuration"]
    assert sentence in broken.doc_md
    assert sentence in broken.description


def test_a_broken_channel_s_only_task_fails_with_the_sentence_and_is_not_tried_again(
    dag_bag: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    from tests.dags.runs import start

    run = start(dag_bag.get_dag("fetch_orders__hasty"))

    assert run.state == "failed"
    assert run.states() == {"configuration": "failed"}
    assert run.tries("configuration") == 1
    assert "channel hasty: settings: Value error, overlap is shorter than lag" in capfd.readouterr().out


def test_airflow_loads_the_plugin_and_runs_no_file_of_the_package_as_a_script(python: Python) -> None:
    program = """
import json, sys
from airflow import plugins_manager
plugins_manager.ensure_plugins_loaded() if hasattr(plugins_manager, "ensure_plugins_loaded") else None
plugins, errors = plugins_manager._get_plugins()
print(json.dumps([[plugin.name for plugin in plugins], errors, sorted(sys.modules)]))
"""
    names, errors, modules = json.loads(python(program, PYTHONPATH=""))

    assert "order_integration" in names
    assert errors == {}
    package = ROOT / "plugins" / "order_integration"
    stray = (
        {path.stem for path in package.rglob("*.py")}
        - {"__init__", "__main__", "plugin"}
        - set(sys.stdlib_module_names)
    )
    assert {"waiting", "errors", "transport", "registry"} <= stray
    assert not stray & set(modules)
