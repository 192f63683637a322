"""What must have become of the marketplace's day, worked out from the seed alone."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sandbox.marketplace import kinds
from sandbox.marketplace.generator import GeneratedOrder, orders_between
from sandbox.run.expected import Address, Expected, Line, Order, Person
from sandbox.run.plan import BAD, END, RATE, SEED, START

Json = dict[str, Any]

PLACED_BEFORE = timedelta(minutes=2)  # at most this long after it was placed the list has an order as modified


def expected(
    seed: int = SEED,
    rate: float = RATE,
    start: datetime = START,
    end: datetime = END,
    *,
    bad: float = BAD,
    rotation: tuple[str, ...] = kinds.BAD,
) -> Expected:
    """The day's orders. An order that comes twice counts once; its latest row is the one that is right."""
    rows = orders_between(seed, rate, start, end, bad=bad, rotation=rotation)
    latest = {str(row.id): row for row in sorted(rows, key=lambda row: row.modified_at)}
    return Expected(
        start=start,
        end=end,
        placed_until=end - PLACED_BEFORE,
        orders=[_order(key, row) for key, row in latest.items() if row.reason is None],
        quarantined={key: row.reason for key, row in latest.items() if row.reason is not None},
        rows=len(rows),
    )


def _order(key: str, row: GeneratedOrder) -> Order:
    body = row.body
    buyer = _person(body["buyer"], body)
    return Order(
        key=key,
        number=body["orderNumber"],
        currency=body["currency"],
        amount=Decimal(body["totals"]["payable"]),
        placed_at=datetime.fromisoformat(body["placedAt"]),
        changed_at=row.modified_at,
        carrier=body["carrier"]["code"],
        buyer=buyer,
        deliver_to=_address(body["deliverTo"], body),
        invoice_to=_address(body["invoiceTo"], body),
        lines=[_line(line) for line in body["lines"]],
    )


def _person(who: Json, body: Json) -> Person:
    return Person(body["buyer"]["email"], who["name"], who["surname"], who["phone"])


def _address(address: Json, body: Json) -> Address:
    return Address(
        person=_person(address, body),
        line=address["street"],
        country=address["countryCode"],
        city=address["province"],
        township=address["township"],
        district=address["neighbourhood"],
        postcode=address["postcode"],
        company=(address["company"] or {}).get("name"),
    )


def _line(line: Json) -> Line:
    return Line(line["lineId"], line["sku"], line["quantity"], line["unitPrice"] * line["quantity"], line["discount"])
