"""An alarm reaches everybody once, or twice after a kill; never nobody, and never with a person's data."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: conftest.py has to name it before.

import email
import json
import logging
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.post_office import open_post_office
from tests.dags.runs import create, start
from tests.dags.test_alarms import Rings, age, heard_by
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import order

pytestmark = pytest.mark.airflow

FORK = get_context("fork")  # Airflow is loaded already
Configure = Callable[..., None]


@pytest.fixture
def bell(tmp_path: Path, staging: Path, configure: Configure, airflow_db: None) -> Rings:
    path = tmp_path / "rings"
    configure(alarms=[{"notifier": "tests.dags.bell.Bell", "path": str(path)}])
    return heard_by(path)


def alarm(window: str = "today", **own: Any) -> Any:
    from order_integration.operators.alarms import Alarm, AlarmKind

    return Alarm("fetch_orders", "shelf", AlarmKind.DIFFERENCES, window, "three orders are missing", **own)


def tell(window: str = "today") -> bool:
    from order_integration.operators.alarms import tell as tell_it

    return tell_it(alarm(window))


def tell_what_is_owed(staging: Path) -> None:
    from order_integration.operators.alarms import tell_again
    from order_integration.operators.base import staging as area
    from order_integration.staging import AlarmBook

    age(staging / "alarms", timedelta(minutes=11))
    tell_again(AlarmBook(area(), "shelf", "fetch_orders"))


def test_the_same_alarm_is_told_once_and_another_window_or_kind_is_another(bell: Rings) -> None:
    assert [tell(), tell(), tell("tomorrow")] == [True, False, True]
    assert [ring["window"] for ring in bell()] == ["today", "tomorrow"]


def test_several_processes_at_once_tell_it_once(bell: Rings) -> None:
    everybody = FORK.Barrier(4)

    def at_once() -> None:
        for day in range(25):
            everybody.wait(60)
            tell(f"day {day}")

    processes = [FORK.Process(target=at_once) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)

    assert [process.exitcode for process in processes] == [0] * 4
    assert sorted(ring["window"] for ring in bell()) == sorted(f"day {day}" for day in range(25))


@pytest.mark.parametrize("step", range(1, 5))
@pytest.mark.parametrize("is_after", [False, True], ids=["before", "after"])
def test_one_who_is_killed_while_telling_makes_it_told_again_rather_than_never(
    bell: Rings, staging: Path, step: int, is_after: bool
) -> None:
    child = FORK.Process(target=_tell_and_die, args=(step, is_after))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL

    tell_what_is_owed(staging)
    told_meanwhile = len(bell())
    tell()
    tell_what_is_owed(staging)

    if (step, is_after) != (1, False):  # nothing was begun yet: a task's own retry begins it
        assert told_meanwhile in {1, 2}
    assert len(bell()) in {1, 2}
    assert not list((staging / "alarms").rglob("owed/*.json"))


def test_a_notifier_that_fails_changes_nothing_of_the_task_and_the_next_one_is_called(
    shelf_dag: Any, back_office: BackOffice, connections: Any, shelf: Any, configure: Configure, tmp_path: Path
) -> None:
    whole = {"notifier": "tests.dags.bell.Bell", "path": str(tmp_path / "rings")}
    configure(alarms=[{"notifier": "tests.dags.bell.BrokenBell", "path": str(tmp_path / "broken")}, whole])
    back_office.fault("GET", r"/channels/1/$", "status", status=400, times=1000)

    run = start(shelf_dag, conf=DAY)

    assert run.states() == {
        "fetch": "failed",
        "transform": "upstream_failed",
        "push": "upstream_failed",
        "settle": "failed",
    }
    assert [len(heard_by(tmp_path / name)()) for name in ("broken", "rings")] == [1, 1]


@pytest.mark.parametrize(
    "name", ["tests.dags.bell.NoBell", "tests.dags.bell.Gone", "nowhere.Bell", "tests.dags.bell.Bell"]
)
def test_a_notifier_that_can_t_be_made_leaves_the_log_line_and_is_named(
    staging: Path, configure: Configure, airflow_db: None, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    configure(alarms=[{"notifier": name}])

    assert tell()

    assert "ALARM fetch_orders of shelf, differences: three orders are missing [today]" in caplog.text
    assert [record.levelno for record in caplog.records if name in record.message] == [logging.ERROR]


def test_without_notifiers_there_is_one_line_in_the_log(
    staging: Path, connections: Any, airflow_db: None, caplog: pytest.LogCaptureFixture
) -> None:
    tell()
    tell()

    lines = [record for record in caplog.records if record.name.startswith("order_integration")]
    assert [(line.levelno, line.message) for line in lines] == [
        (logging.WARNING, "ALARM fetch_orders of shelf, differences: three orders are missing [today]")
    ]


def test_where_staging_can_t_be_written_it_is_told_all_the_same(
    bell: Rings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a file").touch()
    monkeypatch.setenv("ORDER_INTEGRATION_STAGING", f"file://{tmp_path}/a file/staging")

    assert tell()

    assert len(bell()) == 1
    assert "it may come again" in caplog.text


def test_what_a_connector_says_is_not_repeated_only_what_kind_of_error_it_is(
    shelf_dag: Any, back_office: BackOffice, connections: Any, shelf: Any, bell: Rings, staging: Path
) -> None:
    shelf({**order("1"), "changed": "Ayşe Yılmaz, Moda Caddesi 1"})

    run = start(shelf_dag, conf=DAY)

    assert run.state == "failed"
    [ring] = bell()
    assert ring["kind"] == "defect"
    assert "ValueError" in ring["sentence"]
    told = json.dumps(ring, ensure_ascii=False) + "".join(
        path.read_text() for path in (staging / "alarms").rglob("*.json")
    )
    assert "Ayşe" not in told
    assert "Moda" not in told


def test_a_task_that_died_without_a_word_is_told_by_airflow_s_dag_processor(
    shelf_dag: Any, back_office: BackOffice, connections: Any, shelf: Any, bell: Rings
) -> None:
    run = create(shelf_dag, "manual", conf=DAY).go_on(stop_before="transform")

    _as_the_dag_processor_does(shelf_dag, run.tasks()["transform"])

    [ring] = bell()
    assert (ring["kind"], ring["window"]) == ("killed", f"{DAY['window_start']}/{DAY['window_end']}")
    assert ring["sentence"].startswith("transform: its process died without a word")


@pytest.mark.parametrize(("dead", "said"), [("fetch", "fetch died"), ("settle", "a task died")])
def test_of_a_task_that_died_and_airflow_forgot_the_run_tells_once(
    shelf_dag: Any, back_office: BackOffice, connections: Any, shelf: Any, bell: Rings, dead: str, said: str
) -> None:
    run = create(shelf_dag, "manual", conf=DAY).go_on(stop_before=dead)

    run.tasks()[dead].set_state("failed")  # as by the supervisor of a process that was killed
    run.go_on()

    assert run.state == "failed"
    [ring] = bell()
    assert ring["kind"] == "killed"
    assert ring["sentence"].startswith(f"{said} without a word")


def test_a_run_that_takes_too_long_is_told(
    shelf_dag: Any, back_office: BackOffice, connections: Any, shelf: Any, bell: Rings
) -> None:
    from order_integration.operators.failures import tell_red_run

    run = create(shelf_dag, "manual", conf=DAY)

    tell_red_run({"dag": run.dag, "run_id": run.run_id, "reason": "timed_out"})  # type: ignore[typeddict-item]

    [ring] = bell()
    assert (ring["kind"], ring["window"]) == ("killed", run.run_id)
    assert ring["sentence"].startswith("the run took too long")


def test_a_provider_s_notifier_carries_it(
    staging: Path, configure: Configure, airflow_db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_post_office() as (port, letters):
        extra = {"disable_ssl": True, "disable_tls": True}
        connection = {"conn_type": "smtp", "host": "127.0.0.1", "port": port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_MAIL", json.dumps(connection))
        mail = {
            "notifier": "airflow.providers.smtp.notifications.smtp.SmtpNotifier",
            "smtp_conn_id": "mail",
            "from_email": "airflow@shop.example",
            "to": ["on-call@shop.example"],
            "subject": "{{ alarm.kind }}: {{ alarm.flow }} of {{ alarm.channel }}",
            "html_content": "{{ alarm.sentence | e }}",
        }
        configure(alarms=[mail])

        tell()
        tell()

    [letter] = [email.message_from_string(text) for text in letters]
    assert letter["Subject"] == "differences: fetch_orders of shelf"
    [body] = [part.get_payload(decode=True) for part in letter.walk() if not part.is_multipart()]
    assert body == b"three orders are missing"


def _tell_and_die(step: int, is_after: bool) -> None:
    """Killed before or after the n-th thing that telling writes."""
    from order_integration.staging import Staging

    done = 0
    for name in ("write", "create", "remove"):
        real = getattr(Staging, name)

        def counted(self: Any, *args: Any, real: Any = real) -> Any:
            nonlocal done
            done += 1
            if done == step and not is_after:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(self, *args)
            if done == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer

        setattr(Staging, name, counted)
    tell()


def _as_the_dag_processor_does(dag: Any, ti: Any) -> None:
    """Told by the scheduler that the task's process is gone, and that no tries are left."""
    import structlog
    from airflow.api_fastapi.execution_api.datamodels.taskinstance import DagRun, TIRunContext
    from airflow.callbacks.callback_requests import TaskCallbackRequest
    from airflow.dag_processing.processor import _execute_task_callbacks

    request = TaskCallbackRequest(
        filepath="fetch_orders.py",
        bundle_name="dags-folder",
        bundle_version=None,
        ti=ti,
        msg="lost",
        context_from_server=TIRunContext(dag_run=DagRun.model_validate(ti.dag_run, from_attributes=True), max_tries=3),
    )
    bag = type("Bag", (), {"dags": {dag.dag_id: dag}})()
    _execute_task_callbacks(
        bag, TaskCallbackRequest.model_validate_json(request.model_dump_json()), structlog.get_logger()
    )
