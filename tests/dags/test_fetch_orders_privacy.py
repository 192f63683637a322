"""What tasks hand over is small, and what they stage is their owner's. Whom it names, and where: tests/security."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import Run, files_of, start
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import address, item, order

pytestmark = pytest.mark.airflow

XCOM_LIMIT = 2048


@pytest.fixture
def run(shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any) -> Run:
    """Of good and of bad orders."""
    unmapped = order("2", billing_address=address("ayse", city="Nowhere"))
    shelf(order("1"), unmapped, order("3", items=[item("3", product="none")]), order("4", items=[]))
    return start(shelf_dag, conf=DAY)


def test_what_a_task_hands_over_is_small(run: Run) -> None:
    sizes = {name: len(json.dumps(value, default=str)) for name, value in run.xcoms()}
    assert "push[0] outcomes" in sizes
    assert {name: size for name, size in sizes.items() if size > XCOM_LIMIT} == {}


def test_hands_over_as_little_when_there_are_many_orders(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any
) -> None:
    shelf(*(order(f"{number:03}", items=[item(f"{number:03}", product=f"no-{number}")]) for number in range(120)))

    run = start(shelf_dag, conf=DAY)

    assert run.table()["quarantined"] == 120
    assert {name: value for name, value in run.xcoms() if len(json.dumps(value, default=str)) > XCOM_LIMIT} == {}


def test_staging_and_the_token_are_for_their_owner_alone(run: Run, staging: Path) -> None:
    for root in (staging, staging.parent / "state"):
        files = list(files_of(root))
        assert files
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")] if path.is_dir()} == {0o700}
