"""What Medusa says, read from its own tables.

An edit of an order makes a version of it; how many units a line had at first stands in its first one. Medusa counts
units and does not number them: they leave from the front, and are cancelled and come back from the back.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from sandbox.run.facts import Answer, Facts, Line, Order, Request, State, unit_id

Row = dict[str, Any]

ORDERS = """
    SELECT id, status FROM "order" WHERE deleted_at IS NULL AND NOT is_draft_order"""
LINES = """
    SELECT o.id AS order_id, i.item_id AS line, f.quantity AS at_first, i.quantity, i.shipped_quantity AS shipped,
           i.delivered_quantity AS delivered, i.return_received_quantity AS returned
    FROM "order" o JOIN order_item i ON i.order_id = o.id AND i.version = o.version AND i.deleted_at IS NULL
    JOIN order_item f ON f.item_id = i.item_id AND f.order_id = o.id
         AND f.version = (SELECT MIN(version) FROM order_item WHERE item_id = i.item_id)"""
PARCELS = """
    SELECT i.line_item_id AS line, l.tracking_number AS number
    FROM fulfillment f JOIN fulfillment_item i ON i.fulfillment_id = f.id AND i.deleted_at IS NULL
    JOIN fulfillment_label l ON l.fulfillment_id = f.id AND l.deleted_at IS NULL
    WHERE f.canceled_at IS NULL AND f.shipped_at IS NOT NULL AND f.deleted_at IS NULL"""
RETURNS = """
    SELECT r.id AS return_id, r.status, i.id AS item_id, i.item_id AS line, i.quantity, i.received_quantity AS received,
           c.value AS reason
    FROM return r JOIN return_item i ON i.return_id = r.id AND i.deleted_at IS NULL
    LEFT JOIN return_reason c ON c.id = i.reason_id
    WHERE r.deleted_at IS NULL ORDER BY r.created_at, i.id"""
CANCELLED, EDITED = "order_canceled", "order_edited"  # the connector's words for the two ways of cancelling
CAME_BACK = ("received", "partially_received")  # partially: some of its lines were left out
CALLED_OFF = "canceled"


def read(database_url: str, reasons: Mapping[str, int]) -> Facts:
    """All orders, what is cancelled of them, and all returns. `reasons` are Omnitron's, by code."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        status = {row["id"]: row["status"] for row in connection.execute(ORDERS)}
        lines = [row for row in connection.execute(LINES) if row["order_id"] in status]
        returns = connection.execute(RETURNS).fetchall()
        parcels = _parcels(connection)
    of_order: dict[str, dict[str, Line]] = defaultdict(dict)
    cancels: dict[str, int | None] = {}
    for row in lines:
        whole = status[row["order_id"]] == "canceled"
        states = _states(row, whole=whole)
        of_order[row["order_id"]][row["line"]] = Line(states, frozenset(parcels[row["line"]]))
        reason = reasons.get(CANCELLED if whole else EDITED)
        cancels |= {unit: reason for unit, state in _named(row["line"], states) if state is State.CANCELLED}
    return Facts(
        orders={key: Order(of_order[key], is_cancelled=status[key] == "canceled") for key in status},
        requests=dict(_requests(returns, of_order, reasons)),
        cancels=cancels,
    )


def _states(row: Row, *, whole: bool) -> tuple[State, ...]:
    units, left = int(row["at_first"]), 0 if whole else int(row["quantity"])
    shipped, delivered, returned = (int(row[name]) for name in ("shipped", "delivered", "returned"))
    states = [State.DELIVERED] * delivered + [State.SHIPPED] * (shipped - delivered)
    states += [State.OPEN] * (left - shipped)
    if returned:
        states[shipped - returned : shipped] = [State.RETURNED] * returned
    return tuple(states + [State.CANCELLED] * (units - left))


def _parcels(connection: psycopg.Connection[DictRow]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for row in connection.execute(PARCELS):
        if row["number"]:
            found[row["line"]].add(row["number"])
    return found


def _named(line: str, states: tuple[State, ...]) -> Iterator[tuple[str, State]]:
    return ((unit_id(line, number), state) for number, state in enumerate(states, start=1))


def _requests(
    returns: list[Row], orders: Mapping[str, Mapping[str, Line]], reasons: Mapping[str, int]
) -> Iterator[tuple[tuple[str, str], Request]]:
    """The units of a line that come back are its last ones that left, and no two returns name the same."""
    lines = {name: line for order in orders.values() for name, line in order.items()}
    taken: dict[str, int] = defaultdict(int)
    for row in returns:
        gone_out = sum(state not in (State.OPEN, State.CANCELLED) for state in lines[row["line"]].units)
        last = gone_out - taken[row["line"]]
        request = Request("refund", _answer(row), reasons.get(row["reason"]))
        if row["status"] != CALLED_OFF:
            taken[row["line"]] += int(row["quantity"])
        for number in range(last - int(row["quantity"]) + 1, last + 1):
            yield (f"{row['return_id']}:{row['item_id']}", unit_id(row["line"], number)), request


def _answer(row: Row) -> Answer:
    """A return is answered as a whole; of one that came in, a line that was left out is a no."""
    if row["status"] == CALLED_OFF:
        return Answer.REJECTED
    if row["status"] not in CAME_BACK:
        return Answer.WAITING
    return Answer.ACCEPTED if row["received"] else Answer.REJECTED
