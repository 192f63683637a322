"""What a marketplace says, read from its database."""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from sandbox.run.facts import Answer, Facts, Line, Order, Request, State, unit_id

Row = dict[str, Any]

STATES = {
    "OPEN": State.OPEN,
    "SHIPPED": State.SHIPPED,
    "DELIVERED": State.DELIVERED,
    "CANCELLED": State.CANCELLED,
    "RETURNED": State.RETURNED,
}
KINDS = {"CANCEL": "cancel", "RETURN": "refund"}
ANSWERS = {"WAITING": Answer.WAITING, "APPROVED": Answer.ACCEPTED, "REJECTED": Answer.REJECTED}
ORDERS = """
    SELECT * FROM orders
    WHERE expected = 'arrives' AND row_id IN (SELECT MAX(row_id) FROM orders GROUP BY order_id)"""


def read(database: Path, reasons: Mapping[str, int]) -> Facts:
    """Orders that can be read, what is cancelled of them, and all claims. `reasons` are Omnitron's, by code."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        orders, claims, cancellations = (
            [dict(row) for row in connection.execute(query)]
            for query in (ORDERS, "SELECT * FROM claims", "SELECT * FROM cancellations")
        )
    return Facts(
        orders={str(row["order_id"]): _order(row) for row in orders},
        requests=dict(_requests(claims, reasons)),
        cancels={unit: reasons.get(row["reason_code"]) for row in cancellations for unit in _units(row)},
    )


def _order(row: Row) -> Order:
    lines = {line["lineId"]: _units_of_line(line) for line in json.loads(row["body"])["lines"]}
    return Order(
        lines={
            name: Line(tuple(STATES[unit["state"]] for unit in units), _given(units, "trackingNo"))
            for name, units in lines.items()
        },
        invoices=_given([unit for units in lines.values() for unit in units], "invoiceNo"),
        is_cancelled=row["state"] == "CANCELLED",
    )


def _units_of_line(line: Row) -> list[Row]:
    """A line to which nothing has happened does not list them."""
    fresh = [{"state": "OPEN", "trackingNo": None, "invoiceNo": None}] * line["quantity"]
    return sorted(line["units"], key=lambda unit: int(unit["number"])) if "units" in line else fresh


def _given(units: list[Row], name: str) -> frozenset[str]:
    return frozenset(unit[name] for unit in units if unit[name])


def _units(row: Row) -> Iterator[str]:
    return (unit_id(row["line_id"], number) for number in json.loads(row["units"]))


def _requests(claims: list[Row], reasons: Mapping[str, int]) -> Iterator[tuple[tuple[str, str], Request]]:
    for row in claims:
        request = Request(KINDS[row["type"]], ANSWERS[row["state"]], reasons.get(row["reason_code"]))
        for unit in _units(row):
            yield (str(row["claim_id"]), unit), request
