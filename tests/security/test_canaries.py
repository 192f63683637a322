"""A person's data is in staging and in Omnitron, and nowhere else: however a run goes."""

import gzip
import json
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from order_integration.quarantine.__main__ import main as quarantine
from tests.conftest import BackOffice
from tests.dags.conftest import HOME
from tests.dags.runs import Run
from tests.flows.outbound_steps import change
from tests.security.conftest import Deployment
from tests.security.people import ECHO, PAGE, PERSON, SECRETS, bought, good_and_bad
from tests.security.scanner import Scanner
from tests.security.shelf import CancelShelf, NewsShelf, Shelf, Stumbling, TalkativeError
from tests.shelf import cancel, news, request

pytestmark = pytest.mark.airflow

FLOWS = (
    "fetch_orders", "fetch_and_create_cancel", "fetch_and_update_order_items", "fetch_and_create_cancellation_requests",
    "update_orders", "update_cancellation_requests", "check_orders",
)  # fmt: skip


def fill_the_shelf() -> None:
    """What the channel says of the person, in all its commands."""
    broken = PERSON["broken field"]
    Shelf.orders[:] = good_and_bad()
    said = {"said": PERSON["extra field"], "by": f"{PERSON['name']} {PERSON['surname']}"}
    NewsShelf.items[:] = [
        news("1-1/1", status="550", extra_field=said),
        news("none", status="550", extra_field=said),
        news("bad", status=broken, extra_field=said),
        news("worse", **{PERSON["name"]: broken}),
    ]
    words = {"description": PERSON["shopper's words"]}
    NewsShelf.requests[:] = [
        request("R", "1-1/1", **words),
        request("S", "none", **words),
        request("T", "1-1/1", **words, cancellation_type=broken),
        request("U", "1-1/1", description={PERSON["name"]: broken}),
        request("V", "1-1/1", **words, reason="unmapped"),
    ]
    CancelShelf.cancels[:] = [
        cancel("2", "2-1/1"),
        cancel("none", "none-1/1", forced_refund_amount=broken),
        cancel("bad", "bad-1/1", modified_at=broken),
        cancel("worse", "worse-1/1", **{PERSON["name"]: PERSON["surname"]}),
        {**cancel("worst", "worst-1/1"), "dto": {"order": "worst", "reasons": {PERSON["e-mail"]: 7}}},
    ]


def story(deployment: Deployment, flows: tuple[str, ...] = FLOWS) -> dict[str, Run]:
    """All flows, one after the other; what was asked for is decided, so that there is an answer to be told."""
    ran = {}
    for flow in flows:
        if flow == "update_cancellation_requests":
            for row in deployment.office.rows("cancellation_requests"):
                path = f"/admin/cancellation_requests/{row['pk']}"
                deployment.office.patch(path, json={"status": "rejected"}).raise_for_status()
        ran[flow] = deployment.run(flow)
    return ran


def test_nobody_is_found_anywhere_after_a_story_of_all_flows(deployment: Deployment) -> None:
    fill_the_shelf()

    ran = story(deployment)

    assert {flow: run.state for flow, run in ran.items()} == dict.fromkeys(FLOWS, "success")
    table = ran["fetch_orders"].table()
    assert (table["created"], table["quarantined"]) == (2, len(Shelf.orders) - 2)
    assert ran["update_orders"].table()["succeeded"] > 0
    assert ran["update_cancellation_requests"].table()["succeeded"] > 0
    assert deployment.findings() == []
    secrets = {**SECRETS, "token": deployment.token()}
    assert deployment.findings(secrets) == [finding for finding in deployment.findings(secrets) if "state/" in finding]
    assert deployment.secrets_in_staging(secrets) == []


def test_nobody_is_shown_by_the_command_line(deployment: Deployment) -> None:
    fill_the_shelf()
    for flow in FLOWS[:4]:
        deployment.run(flow)
    waiting = [path for path in deployment.staging.rglob("*.json") if path.parts[-4] in {"quarantine", "parked"}]
    scanner, shown = Scanner({**PERSON, **SECRETS}), 0

    for arguments in (["list", "--parked"], ["counts"], *(["show", path.stem] for path in waiting)):
        for form in ([], ["--json"]):
            with redirect_stdout(StringIO()) as out, redirect_stderr(out):
                assert quarantine([*arguments, *form]) == 0, arguments
            assert list(map(str, scanner.content(" ".join(arguments), out.getvalue()))) == []
            shown += len(out.getvalue())

    assert len(waiting) > 15
    assert shown > 10_000


@pytest.mark.by_hand
def test_nobody_is_found_in_what_reconciliation_and_replay_say(deployment: Deployment) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    Shelf.orders[:] = [{**row, "changed": yesterday} for row in good_and_bad()]
    deployment.window = {
        "window_start": (datetime.now(UTC) - timedelta(days=2)).isoformat(),
        "window_end": datetime.now(UTC).isoformat(),
    }

    runs = [deployment.run(flow) for flow in ("reconcile_orders", "fetch_orders", "reconcile_orders")]

    assert all(run.state in {"success", "failed"} for run in runs)
    assert list((deployment.staging / "reports").rglob("*.ndjson"))
    assert deployment.findings() == []


# What Omnitron answers ------------------------------------------------------------------------------------------------

Fault = Callable[[BackOffice], None]
ALWAYS = 10_000


def answers(method: str, path: str, status: int, body: Any) -> Fault:
    return lambda office: office.fault(method, path, "status", status=status, body=body, times=ALWAYS)


QUOTES = {"email": [f"{ECHO} is taken"], "non_field_errors": [ECHO], "detail": ECHO, "code": ECHO}
FIELDS = {**QUOTES, PERSON["name"]: [ECHO], "order": {PERSON["surname"]: [ECHO]}}
CREATE, CUSTOMERS = "create_orders", r"customers/$"
FAULTS: dict[str, tuple[Fault, str]] = {
    "a refusal that quotes": (answers("POST", CREATE, 400, FIELDS), "success"),
    "a customer's refusal that quotes": (answers("POST", CUSTOMERS, 400, FIELDS), "success"),
    "a refusal as a page": (answers("POST", CREATE, 400, PAGE), "success"),
    "406 that quotes": (answers("POST", CREATE, 406, FIELDS), "success"),
    "a server error that quotes": (answers("POST", CREATE, 500, FIELDS), "failed"),
    "a gateway's page that quotes": (answers("POST", CREATE, 502, PAGE), "failed"),
    "a success that is a page": (answers("POST", CREATE, 200, PAGE), "failed"),
    "a success of another shape": (answers("POST", CREATE, 201, [ECHO]), "failed"),
    "forbidden, with a quote": (answers("POST", CREATE, 403, FIELDS), "failed"),
    "a redirect that quotes": (answers("POST", CREATE, 307, ECHO), "failed"),
    "no log-in any more": (answers("POST", CREATE, 401, FIELDS), "failed"),
    "a look-up that quotes": (answers("GET", CUSTOMERS, 400, PAGE), "success"),
    "a look-up of another shape": (answers("GET", CUSTOMERS, 200, {"results": [ECHO, [ECHO]]}), "failed"),
    "cut after the work": (lambda office: office.fault("POST", CREATE, "cut_after", times=ALWAYS), "success"),
    "half an answer": (lambda office: office.fault("POST", CREATE, "truncate", times=ALWAYS), "success"),
    "half a look-up": (lambda office: office.fault("GET", CUSTOMERS, "truncate", times=ALWAYS), "failed"),
    "links are refused": (answers("PATCH", "batch_requests", 400, FIELDS), "failed"),
    "reports are refused": (answers("POST", "reports", 400, FIELDS), "failed"),
    "the channel's conf quotes": (answers("GET", r"/channels/1/$", 200, {"conf": ECHO}), "failed"),
}
IN_EACH_TEST_RUN = ("a refusal that quotes", "a gateway's page that quotes", "a success of another shape")


def by_hand(cases: Iterable[str], often: Collection[str]) -> list[Any]:
    return [pytest.param(one, marks=() if one in often else pytest.mark.by_hand) for one in cases]


@pytest.mark.parametrize("case", by_hand(FAULTS, IN_EACH_TEST_RUN))
def test_nobody_is_found_anywhere_whatever_omnitron_answers(deployment: Deployment, case: str) -> None:
    fault, state = FAULTS[case]
    fill_the_shelf()
    fault(deployment.office)

    assert deployment.run("fetch_orders").state == state

    assert deployment.findings() == []


# What a connector raises ----------------------------------------------------------------------------------------------

RAISED: dict[str, Any] = {
    "its own": TalkativeError,
    "a slip": KeyError,
    "a value": ValueError,
    "the system's": OSError,
    "a chain": "chain",
    "several at once": "group",
    "with a note": "note",
}
STEPS = {"open": "fetch_orders", "pages": "fetch_orders", "record": "fetch_orders", "tell": "update_orders"}
STUMBLES = [(step, kind) for step in STEPS for kind in RAISED]
EACH_TIME = [("pages", "its own"), ("record", "a chain"), ("tell", "several at once")]


@pytest.mark.parametrize(
    ("step", "kind"),
    [pytest.param(*one, marks=() if one in EACH_TIME else pytest.mark.by_hand) for one in STUMBLES],
)
def test_nobody_is_found_anywhere_when_a_connector_raises_what_it_read(
    deployment: Deployment, step: str, kind: str
) -> None:
    Shelf.orders[:] = [bought("1"), bought("2")]
    if step == "tell":
        deployment.run("fetch_orders")
        change(deployment.office, "1", "2")
    Stumbling.steps[step] = RAISED[kind]

    deployment.run(STEPS[step])

    assert Stumbling.stumbled
    assert deployment.findings() == []


# What is put there on purpose ----------------------------------------------------------------------------------------

FOLDERS = ("batches", "links", "begun", "submissions", "made", "said", "alarms", "fresh", "reports", "anything")
PLANTED = {"planted": "zq9-gepflanzte-Kanarya"}
TABLES = {  # and what has to be there beside the marker
    "xcom": ("value", {"dag_run_id": 0, "task_id": "t", "map_index": -1, "key": "k", "dag_id": "d", "run_id": "r"}),
    "rendered_task_instance_fields": (
        "rendered_fields",
        {"dag_id": "d", "task_id": "t", "run_id": "r", "map_index": 0},
    ),
    "task_instance_note": ("content", {"ti_id": "0", "created_at": 0, "updated_at": 0}),
    "log": ("extra", {"dttm": 0, "event": "planted"}),
    "trigger": ("kwargs", {"classpath": "c", "created_date": 0}),
    "import_error": ("stacktrace", {"filename": "f"}),
    "variable": ("val", {"key": "k"}),
}


@contextmanager
def in_all_tables(marker: str) -> Iterator[None]:
    """A row each, that nobody's foreign key is asked for."""
    with closing(sqlite3.connect(HOME / "airflow.db")) as db:
        rows = {}
        for table, (column, rest) in TABLES.items():
            needed = {name: 0 for _, name, _, must, default, _ in db.execute(f"PRAGMA table_info({table})") if must}
            row = {**needed, **rest, column: json.dumps({"who": marker})}
            names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
            rows[table] = db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())).lastrowid
        db.commit()
        try:
            yield
        finally:
            for table, row_id in rows.items():
                db.execute(f"DELETE FROM {table} WHERE rowid = ?", [row_id])
            db.commit()


def test_a_marker_that_is_put_there_on_purpose_is_found_in_every_place(deployment: Deployment) -> None:
    from airflow.sdk.observability.stats import Stats  # noqa: PLC0415

    marker = PLANTED["planted"]
    Shelf.orders[:] = [bought("1"), bought("2", customer={"email": marker})]
    Stumbling.steps["log"] = marker
    deployment.run("fetch_orders")
    Stats.incr("order_integration.records", tags={"channel": marker})
    for folder in FOLDERS:
        staged = deployment.staging / folder / "shelf" / "planted.json.gz"
        staged.parent.mkdir(parents=True, exist_ok=True)
        staged.write_bytes(gzip.compress(json.dumps({"who": marker}).encode()))
    (deployment.staging / "runs" / marker).touch()
    (deployment.staging.parent / "state" / "planted.json").write_text(marker)
    (HOME / "logs").mkdir(exist_ok=True)
    (HOME / "logs" / "planted.log").write_text(marker)
    event = {"event_type": "order_error", "level": "error", "source": "planted", "message": marker}
    deployment.office.rows("operational_events")  # logs in
    deployment.office.post("/api/v1/channel/1/operational_events/", json=event).raise_for_status()

    with in_all_tables(marker):
        found = "\n".join(deployment.findings(PLANTED))

    (HOME / "logs" / "planted.log").unlink()
    wanted = ["in the log:", "in metrics:", "in Omnitron's operational_events:", "in state/planted.json:"]
    wanted += [f"in staging/{folder}/shelf/planted.json.gz, unpacked:" for folder in FOLDERS]
    wanted += [f"in table {table}, column {column}:" for table, (column, _) in TABLES.items()]
    wanted += [f"in the name staging/runs/{marker}:", "in logs/planted.log:"]
    assert [place for place in wanted if place not in found] == []
    assert "in staging/quarantine" not in found  # where it is as well, and may be
