"""The marketplace's database: orders are written when somebody first looks at their slot, never before their time.

What the list shows is kept ready in `orders.body`; the plain columns say the same, for whoever reads the file.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import simplejson

from sandbox.marketplace import kinds
from sandbox.marketplace.generator import ORDERS_IN_SLOT, GeneratedOrder, Plan
from sandbox.marketplace.hostility import NOT_LATE, Hostility
from sandbox.marketplace.order import millis

Json = dict[str, Any]
Result = TypeVar("Result")
Clock = Callable[[], int]

ORDER_BASE = 10**11  # an order's id is its plan's tag and its place in time
SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (seed INTEGER, rate TEXT, bad TEXT);
CREATE TABLE IF NOT EXISTS slots (slot INTEGER PRIMARY KEY);
CREATE TABLE IF NOT EXISTS orders (
  row_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, number TEXT NOT NULL, slot INTEGER NOT NULL,
  place INTEGER NOT NULL, listed_later INTEGER NOT NULL, state TEXT NOT NULL, placed_at TEXT,
  modified_ms INTEGER NOT NULL, buyer_id INTEGER, buyer_email TEXT, buyer_phone TEXT, currency TEXT, goods TEXT,
  discount TEXT, shipping TEXT, payable TEXT, carrier TEXT, fault TEXT, expected TEXT NOT NULL, reason TEXT,
  body TEXT NOT NULL,
  UNIQUE (slot, place));
CREATE INDEX IF NOT EXISTS orders_listed ON orders (listed_later, modified_ms, order_id, place);
CREATE INDEX IF NOT EXISTS orders_id ON orders (order_id);
CREATE TABLE IF NOT EXISTS lines (
  order_row INTEGER NOT NULL, order_id INTEGER NOT NULL, line_id TEXT NOT NULL, sku TEXT, quantity INTEGER,
  unit_price TEXT, discount TEXT, total TEXT, vat_rate INTEGER, tracking_no TEXT, shipped INTEGER, delivered INTEGER,
  cancelled INTEGER, returned INTEGER, PRIMARY KEY (order_row, line_id));
CREATE TABLE IF NOT EXISTS feeds (
  feed_id INTEGER PRIMARY KEY, reference TEXT NOT NULL UNIQUE, state TEXT NOT NULL, created_ms INTEGER,
  done_ms INTEGER);
CREATE TABLE IF NOT EXISTS feed_lines (
  feed_id INTEGER NOT NULL, place INTEGER NOT NULL, order_id INTEGER, request TEXT NOT NULL, result TEXT, code TEXT,
  message TEXT, PRIMARY KEY (feed_id, place));
CREATE TABLE IF NOT EXISTS claims (
  claim_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, order_number TEXT, line_id TEXT NOT NULL, type TEXT NOT NULL,
  quantity INTEGER NOT NULL, units TEXT NOT NULL, reason_code TEXT NOT NULL, note TEXT, state TEXT NOT NULL,
  decision_code TEXT, decision_note TEXT, created_ms INTEGER, modified_ms INTEGER);
CREATE TABLE IF NOT EXISTS cancellations (
  cancellation_id INTEGER PRIMARY KEY, order_id INTEGER NOT NULL, order_number TEXT, line_id TEXT NOT NULL,
  quantity INTEGER NOT NULL, units TEXT NOT NULL, reason_code TEXT NOT NULL, modified_ms INTEGER);
"""
ORDER_COLUMNS = (
    "order_id", "number", "slot", "place", "listed_later", "state", "placed_at", "modified_ms", "buyer_id",
    "buyer_email", "buyer_phone", "currency", "goods", "discount", "shipping", "payable", "carrier", "fault",
    "expected", "reason", "body",
)  # fmt: skip
INSERT_ORDER = (
    f"INSERT OR IGNORE INTO orders ({', '.join(ORDER_COLUMNS)}) VALUES ({', '.join('?' * len(ORDER_COLUMNS))})"  # noqa: S608
)
INSERT_LINE = f"INSERT INTO lines VALUES ({', '.join('?' * 14)})"  # noqa: S608
PAGE = """
SELECT listed_later, modified_ms, order_id, place, body FROM orders
WHERE listed_later = ? AND modified_ms >= ? AND modified_ms < ? AND (modified_ms, order_id, place) > (?, ?, ?) {shown}
ORDER BY modified_ms, order_id, place LIMIT ?
"""


def dumps(value: Any) -> str:
    """JSON with decimals as numbers, to the last digit."""
    return simplejson.dumps(value, use_decimal=True, ensure_ascii=False, separators=(",", ":"))


def loads(text: str) -> Any:
    return simplejson.loads(text, use_decimal=True)


def wall_clock() -> int:
    return time.time_ns() // 1_000_000


class Store:
    """One marketplace's data. Not for several threads at once."""

    def __init__(self, path: str, plan: Plan, clock: Clock = wall_clock, until: int | None = None) -> None:
        self.plan, self.now, self._until = plan, clock, until
        self.hostility: Hostility | None = None
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.row_factory = sqlite3.Row
        self.db.create_function("late_by", 2, lambda *of: self.hostility.late_by(*of) if self.hostility else 0)
        self.db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;" + SCHEMA)
        self._check_plan()
        self._known = {slot for (slot,) in self.db.execute("SELECT slot FROM slots")}

    def _check_plan(self) -> None:
        """Orders of two plans in one file would be nobody's expectation."""
        turns = "" if self.plan.rotation == kinds.BAD else f" in {len(self.plan.rotation)} kinds"
        mine = (self.plan.seed, str(float(self.plan.rate)), f"{float(self.plan.bad)}{turns}")
        stored = self.db.execute("SELECT seed, rate, bad FROM plan").fetchone()
        if stored is None:
            self.db.execute("INSERT INTO plan VALUES (?, ?, ?)", mine)
        elif tuple(stored) != mine:
            self.db.close()
            raise SystemExit(f"the database was made with seed, rate, bad = {tuple(stored)}, not {mine}")

    def close(self) -> None:
        self.db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or nothing."""
        self.db.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.db.execute("ROLLBACK")
            raise
        self.db.execute("COMMIT")

    # Orders ---------------------------------------------------------------------------------------------------------

    def materialise(self, from_ms: int, to_ms: int) -> None:
        """Writes the orders of [from_ms, to_ms) that were placed by now and are not there yet."""
        now = self.now() if self._until is None else min(self.now(), self._until)
        last = self.plan.slot_at(min(to_ms, now))
        missing = [slot for slot in range(self.plan.slot_at(from_ms), last + 1) if slot not in self._known]
        if not missing:
            return
        over = [slot for slot in missing if self.plan.begin_of(slot + 1) <= now]  # nothing more will happen in these
        with self.transaction():
            for slot in missing:
                self._insert(order for order in self.plan.orders(slot) if millis(order.modified_at) <= now)
            self.db.executemany("INSERT INTO slots VALUES (?)", [(slot,) for slot in over])
        self._known.update(over)

    def _insert(self, orders: Iterable[GeneratedOrder]) -> None:
        for order in orders:
            fixed = {
                "slot": order.slot, "place": order.place, "listed_later": order.later, "fault": order.fault,
                "expected": order.expected, "reason": order.reason,
            }  # fmt: skip
            values = {**fixed, **_columns(order.body)}
            cursor = self.db.execute(INSERT_ORDER, [values[name] for name in ORDER_COLUMNS])
            if cursor.rowcount:
                self.db.executemany(INSERT_LINE, _line_values(cursor.lastrowid, order.body))

    def page(
        self, from_ms: int, to_ms: int, *, after: tuple[int, ...] | None, skip: int, size: int
    ) -> tuple[list[str], int, tuple[int, ...] | None]:
        """Rows of the window as JSON texts, how many the window has, and the last row's key."""
        self.materialise(from_ms, to_ms)
        window = (from_ms, min(to_ms, self.now() + 1))
        shown = f"AND (fault IN ({NOT_LATE}) OR {self.is_listed('order_id')})" if self.hostility else ""
        (total,) = self.db.execute(
            "SELECT count(*) FROM orders WHERE listed_later IN (0, 1) AND modified_ms >= ? AND modified_ms < ? "  # noqa: S608
            f"{shown}",
            window,
        ).fetchone()
        rows: list[sqlite3.Row] = []
        for later in (0, 1):  # one index range each: no sorting, however long the list
            if after and after[0] > later:
                continue
            key = after[1:] if after and after[0] == later else (-1, -1, -1)
            rows += self.db.execute(
                PAGE.format(shown=shown), (later, max(from_ms, key[0]), window[1], *key, skip + size - len(rows))
            )
        rows = rows[skip:]
        return [row["body"] for row in rows], total, tuple(rows[-1])[:4] if rows else None

    def is_listed(self, key: str) -> str:
        """For a query: whether a list has the row yet. Only a hostile marketplace is late."""
        return f"modified_ms + late_by({key}, modified_ms) <= {self.now()}" if self.hostility else "TRUE"

    def listed_at(self, key: tuple[int, ...] | None) -> Json | None:
        """The row at a place in the list; None where it has moved on."""
        row = self.db.execute(
            "SELECT body FROM orders WHERE (listed_later, modified_ms, order_id, place) = (?, ?, ?, ?)",
            key or (0, -1, 0, 0),
        ).fetchone()
        return loads(row["body"]) if row else None

    def find(self, order_id: int) -> str | None:
        """The order as JSON text; its slot is written first if nobody looked at it before.

        Not in a transaction, which may be undone: who begins one has looked before.
        """
        tag, place = divmod(order_id, ORDER_BASE)
        if tag == self.plan.tag and not self.db.in_transaction:
            begin = self.plan.begin_of(place // ORDERS_IN_SLOT)
            if begin <= self.now():
                self.materialise(begin, begin)
        row = self.db.execute(
            "SELECT body FROM orders WHERE order_id = ? ORDER BY place LIMIT 1", (order_id,)
        ).fetchone()
        return row["body"] if row else None

    def change(self, order_id: int, edit: Callable[[Json], Result]) -> Result:
        """Edits every row of the order and moves its modification date; call it in a transaction, after `find`."""
        results = []
        rows = self.db.execute("SELECT row_id, body FROM orders WHERE order_id = ? ORDER BY place", (order_id,))
        for row in rows.fetchall():
            body = loads(row["body"])
            results.append(edit(body))
            body["changedAtMs"] = max(self.now(), body["changedAtMs"] + 1)
            columns = _columns(body)
            assignments = ", ".join(f"{name} = ?" for name in columns)
            self.db.execute(
                f"UPDATE orders SET {assignments} WHERE row_id = ?",  # noqa: S608
                (*columns.values(), row["row_id"]),
            )
            self.db.execute("DELETE FROM lines WHERE order_row = ?", (row["row_id"],))
            self.db.executemany(INSERT_LINE, _line_values(row["row_id"], body))
        return results[0]


def _columns(body: Json) -> Json:
    totals = body["totals"]
    return {
        "order_id": body["orderId"],
        "number": body["orderNumber"],
        "state": body["state"],
        "placed_at": body["placedAt"],
        "modified_ms": body["changedAtMs"],
        "buyer_id": body["buyer"]["buyerId"],
        "buyer_email": body["buyer"]["email"],
        "buyer_phone": body["buyer"]["phone"],
        "currency": body["currency"],
        **{name: str(totals[name]) for name in ("goods", "discount", "shipping", "payable")},
        "carrier": body["carrier"]["code"],
        "body": dumps(body),
    }


def _line_values(row_id: int | None, body: Json) -> list[tuple[Any, ...]]:
    return [
        (
            row_id, body["orderId"], line["lineId"], line["sku"], line["quantity"], str(line["unitPrice"]),
            str(line["discount"]), str(line["total"]), line["vatRate"], line.get("trackingNo"),
            line["shippedQuantity"], line["deliveredQuantity"], line["cancelledQuantity"], line["returnedQuantity"],
        )
        for line in body["lines"]
    ]  # fmt: skip
