"""The existing client of Omnitron's interface, as its makers published it, against the stand-in.

What it sends is what the real server is sent: each of its flows that can run at all has to end here in the right state.
It lives in an environment of its own, which `make judge` installs.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sandbox.faults import running
from sandbox.omnitron import create_app
from tests.conftest import PASSWORD, USER, WORLD, BackOffice
from tests.shelf import address, item, order

HOME = Path(__file__).parent
PYTHON = Path(os.environ.get("JUDGE_PYTHON", HOME.parents[1] / ".run/judge/bin/python"))

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not PYTHON.exists(), reason="the existing client is not there: make judge installs it"),
]


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(create_app(":memory:", WORLD)) as url:
        yield url


@pytest.fixture
def office(url: str) -> Iterator[BackOffice]:
    with BackOffice(base_url=url, timeout=30) as client:
        client.start_again(login_limit_per_minute=None)
        client.told(channels=[{"id": 1, "name": "shelf", "catalog": 1, "conf": {"reason_mapping": {"R": 1}}}])
        yield client


def plain(record: dict[str, Any]) -> dict[str, Any]:
    """An order of ours as that client takes it: it knows no exact decimals, and wants `extra_field` everywhere."""
    head, items = record["dto"]["order"], record["dto"]["order_item"]
    channel = {"channel": 1, "status": "400", "extra_field": {}}
    return {"order": {**channel, **head}, "order_item": [{"extra_field": {}, **one} for one in items]}


def ran(office: BackOffice, tmp_path: Path, flow: str, **story: Any) -> list[dict[str, Any]]:
    """One flow, in a process of that client; what it sent to the channel."""
    told, sent = tmp_path / "story.json", tmp_path / "sent.json"
    told.write_text(json.dumps(story), "utf-8")
    settings = {
        "PATH": os.environ["PATH"],
        "OMNITRON_CHANNEL_ID": "1",
        "OMNITRON_CATALOG_ID": "1",
        "OMNITRON_USERNAME": USER,
        "OMNITRON_PASSWORD": PASSWORD,
        "JUDGE_URL": f"{office.base_url}/".replace("//", "/").replace(":/", "://"),
        "JUDGE_STORY": str(told),
        "JUDGE_SENT": str(sent),
    }
    command = [str(PYTHON), str(HOME / "client/run.py"), flow]
    run = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(sent.read_text("utf-8")) if sent.exists() else []


@pytest.fixture
def imported(office: BackOffice, tmp_path: Path) -> BackOffice:
    """Two orders that arrived by the client's own flow 1."""
    second = order("2", minutes=1, items=[item("2"), item("2", unit=2)], amount="110.00")
    ran(office, tmp_path, "fetch_orders", orders=[plain(order("1")), plain(second)])
    return office


def statuses(office: BackOffice) -> list[str]:
    return [batch["status"] for batch in office.rows("batch_requests")]


def failures(office: BackOffice) -> list[Any]:
    return [row["raw_response"] for row in office.rows("error_reports") if not row["is_ok"]]


def test_orders_arrive_with_all_that_belongs_to_them(imported: BackOffice) -> None:
    assert failures(imported) == []
    assert {row["number"]: (row["amount"], row["status"]) for row in imported.rows("orders")} == {
        "N1": ("60.00", "400"),
        "N2": ("110.00", "400"),
    }
    assert len(imported.rows("order_items")) == 3
    assert len(imported.rows("customers")) == 2
    assert set(imported.linked("order")) == {"1", "2"}
    assert set(imported.linked("orderitem")) == {"1-1/1", "2-1/1", "2-1/2"}
    assert statuses(imported) == ["done"]
    assert {row["date_placed"] for row in imported.rows("orders", number="N1")} == {"2026-01-05T09:00:00.000000Z"}


@pytest.mark.parametrize("placed", ["2026-01-05T12:00:00", "2026-01-05T12:00:00.250000", "2026-01-05T12:00:00+03:00"])
def test_a_date_may_have_no_zone(office: BackOffice, tmp_path: Path, placed: str) -> None:
    ran(office, tmp_path, "fetch_orders", orders=[plain(order("1", created_at=placed))])

    assert failures(office) == []
    assert set(office.linked("order")) == {"1"}


def test_an_address_that_is_not_known_is_put_before_the_merchant(office: BackOffice, tmp_path: Path) -> None:
    lost = order("1", shipping_address=address("1", city="Atlantis"))

    ran(office, tmp_path, "fetch_orders", orders=[plain(lost)])

    assert office.rows("orders") == []
    assert [row["remote_code"] for row in office.get("/admin/overview").json()["address_reports"]] == ["1_Atlantis"]


def test_orders_that_are_there_are_found(imported: BackOffice, tmp_path: Path) -> None:
    ran(imported, tmp_path, "fetch_orders", orders=[plain(order("1"))])

    assert len(imported.rows("orders")) == 2
    assert statuses(imported) == ["done", "done"]


def test_changed_orders_are_told_to_the_channel_and_not_offered_again(imported: BackOffice, tmp_path: Path) -> None:
    pk = imported.linked("order")["1"]
    imported.patch(f"/admin/orders/{pk}", json={"status": "500"}).raise_for_status()

    sent = ran(imported, tmp_path, "update_orders")

    assert sent == [{"number": "N1", "items": 1}]
    assert failures(imported) == []
    assert statuses(imported)[-1] == "done"
    assert imported.linked("order")["1"] == pk
    assert imported.rows("orders/updates") == []


def test_what_the_channel_cancelled_is_cancelled(imported: BackOffice, tmp_path: Path) -> None:
    cancel = {"order": "2", "cancel_items": ["2-1/2"], "reasons": {"2-1/2": "R"}}

    ran(imported, tmp_path, "cancel_orders", cancels=[cancel])

    states = {row["extra_field"]["id"]: row["status"] for row in imported.rows("order_items")}
    assert states["2-1/2"] == "50"
    assert states["2-1/1"] == states["1-1/1"] == "400"
    assert failures(imported) == []


def test_what_the_channel_knows_of_an_item_arrives(imported: BackOffice, tmp_path: Path) -> None:
    news = {"remote_id": "1-1/1", "status": "550", "invoice_number": "INV-1", "tracking_number": "T-1"}

    ran(imported, tmp_path, "update_order_items", item_updates=[news])

    [row] = imported.rows("order_items", pk__in=str(imported.linked("orderitem")["1-1/1"]))
    assert (row["status"], row["invoice_number"], row["tracking_number"]) == ("550", "INV-1", "T-1")
    assert failures(imported) == []
    assert statuses(imported)[-1] == "done"


def test_what_a_shopper_asks_for_arrives_and_is_linked(imported: BackOffice, tmp_path: Path) -> None:
    asked = {
        "order_item": "1-1/1",
        "reason": "R",
        "remote_id": "C-1",
        "description": "Vazgeçtim",
        "cancellation_type": "cancel",
    }

    ran(imported, tmp_path, "cancellation_requests", cancellation_requests=[asked])

    [row] = imported.rows("cancellation_requests")
    assert (row["order_item"], row["reason"]) == (imported.linked("orderitem")["1-1/1"], 1)
    assert (row["description"], row["cancellation_type"]) == ("Vazgeçtim", "cancel")
    assert imported.linked("cancellationrequest") == {"C-1": row["id"]}
    assert failures(imported) == []
    assert statuses(imported)[-1] == "done"
