"""The DAG that a person runs when a channel is set up."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import Run, at_once, start
from tests.shelf_requests import RequestShelf

pytestmark = pytest.mark.airflow


@pytest.fixture
def dag(dag_bag: Any, configure: Callable[..., None]) -> Iterator[Any]:
    configure(connector="tests.shelf_requests:RequestShelf")
    RequestShelf.start_again()
    yield at_once(dag_bag.get_dag("update_channel_conf_schema__shelf"))
    RequestShelf.start_again()


def conf(office: BackOffice, **own: Any) -> None:
    office.patch("/admin/channels/1", json={"conf": own}).raise_for_status()


def returned(run: Run, task: str) -> Any:
    return dict(run.xcoms())[f"{task}[-1] return_value"]


def test_nothing_schedules_it(dag_bag: Any) -> None:
    dag = dag_bag.get_dag("update_channel_conf_schema__shelf")

    assert dag.schedule is None
    assert {"update_channel_conf_schema", "shelf"} <= set(dag.tags)
    assert [task.task_id for task in dag.topological_sort()] == ["fetch", "push"]
    assert "When it fails" in dag.doc_md


def test_it_publishes_the_form_and_again_changes_nothing(dag: Any, connections: Any, back_office: BackOffice) -> None:
    conf(back_office, reason_mapping={"CHANGED_MIND": 1})

    first, second = start(dag), start(dag)

    assert (first.state, second.state) == ("success", "success")
    assert returned(first, "push") == {"published": 3, "unchanged": 0, "reasons": 1}
    assert returned(second, "push") == {"published": 0, "unchanged": 3, "reasons": 1}
    assert len(back_office.calls("PATCH", "/channels/1/")) == 1


def test_a_wrong_reason_fails_at_once_by_name_and_a_clear_of_push_passes_once_it_is_mended(
    dag: Any, connections: Any, back_office: BackOffice, capfd: pytest.CaptureFixture[str]
) -> None:
    conf(back_office, reason_mapping={"CHANGED_MIND": 77})
    run = start(dag)
    assert run.states() == {"fetch": "success", "push": "failed"}
    assert run.tries("push") == 1
    assert "'CHANGED_MIND' → 77: Omnitron has no such cancellation reason" in capfd.readouterr().out

    conf(back_office, reason_mapping={"CHANGED_MIND": 1})
    run.clear("push").go_on()

    assert run.state == "success"


def test_omnitron_that_is_down_for_a_while_is_asked_again(dag: Any, connections: Any, back_office: BackOffice) -> None:
    back_office.fault("GET", "/channels/1/$", "status", status=503, times=4)

    run = start(dag).go_on()

    assert run.state == "success"
    assert run.tries("push") == 2
