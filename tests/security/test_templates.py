"""Text is never a template: not what somebody types, not what a record says, not an alarm's sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.security.conftest import Deployment
from tests.security.shelf import Shelf
from tests.shelf import order

pytestmark = pytest.mark.airflow

TEMPLATE = "{{ 7 * 191 }}{{ conn.shelf.password }}{{ ti.task.dag.folder }}{% raw %}"
RESULT = "1337"


# What the DAG file says, word for word; what it is rendered to is not rendered again.
OF_DAG_FILES = {
    "{{ ti.xcom_pull(task_ids='select')['subject'] }}",
    "{{ ti.xcom_pull(task_ids='select')['text'] }}",
}


def test_no_step_has_a_field_that_airflow_renders_but_what_a_dag_file_says(dags: dict[str, Any]) -> None:
    ours = [
        task
        for dag in dags.values()
        for task in dag.tasks
        if not task.is_mapped and type(task).__module__.startswith("order_integration")
    ]
    assert len(ours) > 15
    rendered = {str(getattr(task, field)) for task in ours for field in task.template_fields}
    assert rendered <= OF_DAG_FILES


@pytest.mark.parametrize("name", ["window_start", "window_end"])
def test_a_template_in_a_param_is_a_text(deployment: Deployment, name: str) -> None:
    run = deployment.run("fetch_orders", conf={**deployment.window, name: TEMPLATE, "other": TEMPLATE})

    assert run.state == "failed"
    said = "".join(deployment.said)
    assert f"{name} is not a date and time" in said
    assert RESULT not in json.dumps(run.rendered(), default=str) + said


@pytest.mark.by_hand
def test_a_template_in_a_record_is_a_text(deployment: Deployment, staging: Path) -> None:
    Shelf.orders[:] = [order(TEMPLATE, buyer="ayse", notes=TEMPLATE), order("2", remote_id="", notes=TEMPLATE)]

    deployment.run("fetch_orders")

    [made] = deployment.office.rows("orders")
    assert (made["notes"], made["extra_field"]["id"]) == (TEMPLATE, TEMPLATE)
    assert deployment.findings({"rendered": "1337zq7-Kanarya-Anahtar"}) == []
