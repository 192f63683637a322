"""What must have become of Medusa's orders, worked out from Medusa's own tables.

Orders are taken as they were placed, in their first version: an edit makes another one. Medusa rounds nothing. What a
line costs before and after its discount, taxes included, is rounded half up, once; the discount is the difference. An
order's amount is the sum of what was rounded.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row

from sandbox.run.expected import Address, Expected, Line, Order, Person, rounded

Json = dict[str, Any]

KURUS = Decimal("0.01")  # the stand's shop sells in lira
CARRIERS = {"Yurtiçi Kargo": "yurtici", "Aras Kargo Ekspres": "aras"}  # as in channels.yaml

ORDERS = """
    SELECT o.id, o.display_id, o.currency_code, o.created_at, o.updated_at, o.email, o.shipping_address_id,
           o.billing_address_id, c.first_name, c.last_name, c.phone
    FROM "order" o LEFT JOIN customer c ON c.id = o.customer_id
    WHERE o.deleted_at IS NULL AND NOT o.is_draft_order ORDER BY o.id"""
LINES = """
    SELECT o.id AS order_id, l.id, l.variant_id, i.quantity, COALESCE(i.unit_price, l.unit_price) AS price,
           l.is_tax_inclusive AS inclusive
    FROM "order" o JOIN order_item i ON i.order_id = o.id AND i.version = 1 AND i.deleted_at IS NULL
    JOIN order_line_item l ON l.id = i.item_id AND l.deleted_at IS NULL"""
SHIPPING = """
    SELECT o.id AS order_id, m.id, m.name, m.amount AS price, 1 AS quantity, m.is_tax_inclusive AS inclusive
    FROM "order" o JOIN order_shipping s ON s.order_id = o.id AND s.version = 1 AND s.deleted_at IS NULL
    JOIN order_shipping_method m ON m.id = s.shipping_method_id AND m.deleted_at IS NULL
    WHERE COALESCE(s.return_id, s.claim_id, s.exchange_id) IS NULL"""
RATES = """
    SELECT item_id AS of, rate FROM order_line_item_tax_line WHERE deleted_at IS NULL
    UNION ALL SELECT shipping_method_id, rate FROM order_shipping_method_tax_line WHERE deleted_at IS NULL"""
DISCOUNTS = """
    SELECT a.item_id AS of, a.amount, a.is_tax_inclusive AS inclusive
    FROM order_line_item_adjustment a JOIN order_item i ON i.item_id = a.item_id
    JOIN "order" o ON o.id = i.order_id AND i.version = 1 AND a.version = 1
    WHERE a.deleted_at IS NULL AND i.deleted_at IS NULL
    UNION ALL SELECT shipping_method_id, amount, false FROM order_shipping_method_adjustment WHERE deleted_at IS NULL"""
ADDRESSES = "SELECT * FROM order_address WHERE deleted_at IS NULL"


@dataclass(frozen=True)
class _Book:
    """Medusa's tables, as far as they say what an order costs."""

    lines: dict[str, list[Json]]
    shipping: dict[str, list[Json]]
    rates: dict[str, list[Json]]
    discounts: dict[str, list[Json]]
    addresses: dict[str, Json]

    def before_and_after(self, row: Json) -> tuple[Decimal, Decimal]:
        """What a line or a parcel costs before and after its discount, taxes included."""
        factor = 1 + sum((Fraction(tax["rate"]) for tax in self.rates[row["id"]]), Fraction(0)) / 100
        before = Fraction(row["price"]) * Fraction(row["quantity"]) * (1 if row["inclusive"] else factor)
        off = sum(
            (Fraction(one["amount"]) * (1 if one["inclusive"] else factor) for one in self.discounts[row["id"]]),
            Fraction(0),
        )
        return rounded(before, KURUS), rounded(before - off, KURUS)


def expected(database_url: str) -> Expected:
    """All orders that were ever placed, and a window that covers them."""
    with psycopg.connect(database_url, row_factory=dict_row) as connection:
        orders = connection.execute(ORDERS).fetchall()
        book = _Book(
            lines=_by(connection, LINES, "order_id"),
            shipping=_by(connection, SHIPPING, "order_id"),
            rates=_by(connection, RATES, "of"),
            discounts=_by(connection, DISCOUNTS, "of"),
            addresses={row["id"]: row for row in connection.execute(ADDRESSES)},
        )
    start, end = _window([row["created_at"] for row in orders])
    return Expected(start, end, end, [_order(row, book) for row in orders], {}, rows=len(orders))


def _by(connection: psycopg.Connection[DictRow], query: str, column: str) -> dict[str, list[Json]]:
    found: dict[str, list[Json]] = defaultdict(list)
    for row in connection.execute(query):
        found[row[column]].append(row)
    return found


def _window(moments: Sequence[datetime]) -> tuple[datetime, datetime]:
    """From the first to behind the last: a window's end is not part of it."""
    if not moments:
        raise ValueError("Medusa has no orders")
    return min(moments), max(moments) + timedelta(milliseconds=1)


def _order(row: Json, book: _Book) -> Order:
    lines = [_line(line, book) for line in book.lines[row["id"]] if line["quantity"]]
    shipping = [(method["name"], book.before_and_after(method)[1]) for method in book.shipping[row["id"]]]
    home, bill = (book.addresses[row[f"{which}_address_id"]] for which in ("shipping", "billing"))
    return Order(
        key=row["id"],
        number=str(row["display_id"]),
        currency=row["currency_code"],
        amount=sum((line.gross - line.discount for line in lines), sum(cost for _, cost in shipping) or Decimal(0)),
        placed_at=row["created_at"],
        changed_at=row["updated_at"],
        carrier=CARRIERS[shipping[0][0]],
        # A guest has no name of their own: the parcel's is theirs.
        buyer=Person(
            row["email"],
            row["first_name"] or home["first_name"],
            row["last_name"] or home["last_name"],
            row["phone"] or home["phone"],
        ),
        deliver_to=_address(home, row["email"]),
        invoice_to=_address(bill, row["email"]),
        lines=lines,
    )


def _line(row: Json, book: _Book) -> Line:
    before, after = book.before_and_after(row)
    return Line(row["id"], row["variant_id"], int(row["quantity"]), before, before - after)


def _address(row: Json, email: str) -> Address:
    """In Turkey Medusa's province is the il and its city the ilçe."""
    return Address(
        person=Person(email, row["first_name"], row["last_name"], row["phone"]),
        line=" ".join(part for part in (row["address_1"], row["address_2"]) if part),
        country=row["country_code"],
        city=row["province"],
        township=row["city"],
        district=None,
        postcode=row["postal_code"],
        company=row["company"],
    )
