"""A person's data stays in staging: not in XCom, not in rendered fields, not in a log, whatever goes wrong."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import PASSWORD, BackOffice
from tests.dags.runs import Run, files_of, start
from tests.dags.test_fetch_orders_runs import DAY
from tests.shelf import address, customer, item, order

pytestmark = pytest.mark.airflow

CANARIES = ("canary", "Kanarya", "5359998877", "Gizli Sokak", "+90535", PASSWORD)
XCOM_LIMIT = 2048
Fault = Callable[[BackOffice], None]


def secretive(key: str, **own: Any) -> dict[str, Any]:
    who = {"first_name": "Kanarya", "last_name": "Kanaryaoğlu", "phone_number": "+905359998877"}
    where = address(f"canary-{key}", **who, line="Gizli Sokak 7")
    parts = {
        "customer": customer(f"canary-{key}", **who), "shipping_address": where, "billing_address": where, **own,
    }  # fmt: skip
    return order(key, **parts)


def no_fault(_: BackOffice) -> None:
    """All is well."""


def customers_are_refused(back_office: BackOffice) -> None:
    body = {"email": ["canary-1@example.com is not liked, nor is Kanarya at +905359998877"]}
    back_office.fault("POST", r"customers/$", "status", status=400, body=body, times=1000)


def orders_fail_and_talk(back_office: BackOffice) -> None:
    body = {"detail": "Kanarya Kanaryaoğlu (canary-1@example.com) broke Gizli Sokak"}
    back_office.fault("POST", "create_orders", "status", status=500, body=body, times=1000)


def orders_are_forbidden(back_office: BackOffice) -> None:
    back_office.fault("POST", "create_orders", "status", status=403, body={"detail": "Kanarya"}, times=1000)


def lists_are_no_json(back_office: BackOffice) -> None:
    text = "<html>canary-1@example.com +905359998877</html>"
    for _ in range(4):
        back_office.fault("GET", r"customers/$", "status", status=400, body=text, times=1000)


def links_fail(back_office: BackOffice) -> None:
    back_office.fault("PATCH", "batch_requests", "status", status=400, body={"detail": "Kanarya"}, times=1000)


def reports_fail(back_office: BackOffice) -> None:
    back_office.fault("POST", "reports", "status", status=400, body={"detail": "Kanarya"}, times=1000)


@pytest.fixture
def run_of(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any, capfd: pytest.CaptureFixture[str]
) -> Callable[[Fault], tuple[Run, str]]:
    """A run of good and of bad orders, and all that its tasks logged."""

    def run(fault: Fault) -> tuple[Run, str]:
        shelf(
            secretive("1"),
            secretive("2", billing_address=address("canary-2", city="Kanarya City")),
            secretive("3", customer=customer("canary-3", email="canary at example")),
            secretive("4", items=[item("4", product="Kanarya seed")]),
            secretive("5", items=[]),
            {"id": "6", "changed": "2026-01-05T12:00:00+03:00", "dto": {"order": "Kanarya"}},
        )
        fault(back_office)
        capfd.readouterr()
        done = start(shelf_dag, conf=DAY)
        return done, "".join(capfd.readouterr())

    return run


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (no_fault, "success"),
        (customers_are_refused, "success"),
        (orders_fail_and_talk, "failed"),
        (orders_are_forbidden, "failed"),
        (lists_are_no_json, "success"),
        (links_fail, "failed"),
        (reports_fail, "failed"),
    ],
)
def test_nobody_s_data_leaves_staging(
    run_of: Callable[[Fault], tuple[Run, str]], staging: Path, fault: Fault, state: str
) -> None:
    run, log = run_of(fault)

    assert run.state == state
    assert len(log) > 1000  # the tasks' logs are in there
    seen = {"log": log, "rendered fields": json.dumps(run.rendered(), ensure_ascii=False, default=str)}
    seen |= {f"XCom {name}": json.dumps(value, ensure_ascii=False, default=str) for name, value in run.xcoms()}
    assert len(seen) >= 5
    for where, text in seen.items():
        for canary in CANARIES:
            assert canary not in text, f"{canary} in {where}: …{text[max(text.find(canary) - 300, 0) :][:400]}"


def test_what_a_task_hands_over_is_small(run_of: Callable[[Fault], tuple[Run, str]]) -> None:
    run, _ = run_of(no_fault)

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


def test_staging_and_the_token_are_for_their_owner_alone(
    run_of: Callable[[Fault], tuple[Run, str]], staging: Path
) -> None:
    run_of(no_fault)

    for root in (staging, staging.parent / "state"):
        files = list(files_of(root))
        assert files
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        assert {stat.S_IMODE(path.stat().st_mode) for path in [root, *root.rglob("*")] if path.is_dir()} == {0o700}
