"""Flow 4 without Airflow, and what a merchant does beside it: orders that arrived, plans that are carried out."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config
from tests.shelf import CancelShelf, Record, Shelf

FLOW = "fetch_and_create_cancel"
CONNECTOR = "tests.shelf:CancelShelf"
LATE, BROKEN, FALLBACK = 1, 2, 3  # cancellation reasons of Omnitron
CONF = {"reason_mapping": {"late": LATE, "broken": BROKEN}}


def start(url: str, home: Path, office: BackOffice, **own: Any) -> Steps:
    office.told(cancellation_reasons=[{"id": pk, "subject": f"R{pk}"} for pk in (LATE, BROKEN, FALLBACK)])
    conf(office, **CONF)
    Shelf.orders.clear()
    CancelShelf.cancels.clear()
    return Steps(url, home, config(connector=CONNECTOR, **own), flow=FLOW)


def conf(office: BackOffice, **own: Any) -> None:
    office.patch("/admin/channels/1", json={"conf": own}).raise_for_status()


def arrive(steps: Steps, office: BackOffice, *orders: Record) -> None:
    """By flow 1; the calls are forgotten."""
    Shelf.orders[:] = orders
    replace(steps, flow="fetch_orders").run()
    office.delete("/admin/requests")


def put(*cancels: Record) -> None:
    CancelShelf.cancels[:] = cancels


def states(office: BackOffice, key: str = "") -> dict[str, list[str]]:
    """Status of each unit by its remote id, in the order of their pks; of one order, or of all."""
    orders = {row["pk"] for row in office.rows("orders") if not key or row["extra_field"]["id"] == key}
    found: dict[str, list[str]] = {}
    for row in office.rows("order_items"):
        if row["order"] in orders:
            found.setdefault(row["extra_field"]["id"], []).append(row["status"])
    return found


def change(office: BackOffice, key: str, status: str, nth: int = 0) -> None:
    """The merchant changes the nth unit of an item."""
    pks = [row["pk"] for row in office.rows("order_items") if row["extra_field"]["id"] == key]
    office.patch(f"/admin/order_items/{pks[nth]}", json={"status": status}).raise_for_status()


def order_of(office: BackOffice, key: str) -> dict[str, Any]:
    return next(row for row in office.rows("orders") if row["extra_field"]["id"] == key)


def carry_out(office: BackOffice, key: str) -> None:
    office.post(f"/admin/orders/{order_of(office, key)['pk']}/plan/complete").raise_for_status()


def plans(office: BackOffice) -> list[dict[str, Any]]:
    return office.get("/admin/cancellation_plans").json()


def asked(office: BackOffice) -> int:
    """How often Omnitron was asked to cancel."""
    return len(office.calls("POST", "/cancel/"))


def writes(office: BackOffice) -> list[str]:
    calls = office.get("/admin/requests").json()
    return [
        f"{call['method']} {call['path']}" for call in calls if call["method"] != "GET" and "login" not in call["path"]
    ]


def push_in_a_process(url: str, home: Path, chunks: str) -> None:
    steps = Steps(url, home, config(connector=CONNECTOR), flow=FLOW)
    asyncio.run(steps.push(Folder(steps.staging, chunks), 0, "run", last_try=False))
