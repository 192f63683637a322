"""Which units of a line went into which parcel: Medusa counts them, Omnitron knows them one by one.

A parcel that we made names its units in its metadata. A parcel of the shop's own warehouse takes the lowest numbers
that no parcel of ours names. What is cancelled is taken from the back, so that the two never meet.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import count
from typing import Any

from order_integration.channels.commands import Record, bad_record
from order_integration.channels.medusa.reading import moment
from order_integration.dto import UNIT_SEPARATOR, UNITS_AT_MOST

UNITS = "omnitron_units"  # in a parcel's metadata
# All that tells what became of an order. A list gives line items whole, one order what is asked of them, and a quantity
# only together with that of its detail.
STATE = ",".join(
    (
        *("id", "display_id", "status", "version", "updated_at", "metadata", "currency_code", "sales_channel_id"),
        *("items.id", "items.quantity", "items.detail.quantity", "items.requires_shipping"),
        "items.variant.inventory_items.inventory_item_id",
        "items.variant.inventory_items.required_quantity",
        *("*fulfillments", "*fulfillments.items", "*fulfillments.labels"),
    )
)


@dataclass(frozen=True)
class Parcel:
    """A fulfillment that was not cancelled, and the units in it."""

    id: str
    units: tuple[str, ...]
    is_ours: bool
    shipped_at: datetime | None
    delivered_at: datetime | None
    tracking_number: str | None

    @property
    def lines(self) -> Counter[str]:
        """How many units of each line."""
        return by_line(self.units)


def unit_id(line: str, number: int) -> str:
    """Unit `number`, from one, of a line."""
    return f"{line}{UNIT_SEPARATOR}{number}"


def line_of(unit: str) -> str:
    """The line of a unit."""
    return unit.rpartition(UNIT_SEPARATOR)[0] or unit


def number_of(unit: str) -> int:
    """Which unit of its line it is; zero where it is none."""
    number = unit.rpartition(UNIT_SEPARATOR)[2]
    return int(number) if number.isascii() and number.isdigit() else 0


def by_line(units: Iterable[str]) -> Counter[str]:
    """How many units of each line."""
    return Counter(line_of(unit) for unit in units)


def quantity(row: Mapping[str, Any], name: str = "quantity") -> int:
    """A whole number of units.

    Raises RecordError for what is none.
    """
    value = row[name]
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or value != int(value):
        raise bad_record(f"items.{name}", "not a whole number of units")
    if not 0 <= value <= UNITS_AT_MOST:
        raise bad_record(f"items.{name}", f"not a number of units between 0 and {UNITS_AT_MOST}")
    return int(value)


def parcels(order: Record) -> list[Parcel]:
    """The order's parcels, those that were shipped first in the order in which they were."""
    alive = [row for row in order["fulfillments"] if not row["canceled_at"]]
    taken = {unit for row in alive for unit in _named(row)}
    needed = _needed(order)
    found = []
    for row in sorted(alive, key=lambda row: (row["shipped_at"] is None, row["shipped_at"] or "", row["id"])):
        named = _named(row)
        units = named or tuple(unit for line, many in _counts(row, needed) for unit in _lowest(line, many, taken))
        labels = [label["tracking_number"] for label in row.get("labels") or [] if label.get("tracking_number")]
        found.append(
            Parcel(
                id=str(row["id"]),
                units=units,
                is_ours=bool(named),
                shipped_at=moment(row, "shipped_at"),
                delivered_at=moment(row, "delivered_at"),
                tracking_number=labels[0] if labels else None,
            )
        )
    return found


def highest(line: str, many: int, placed: int, taken: Iterable[str]) -> list[str]:
    """`many` units of a line's `placed`, from the back, without those that are taken."""
    taken = set(taken)
    free = [unit for number in range(placed, 0, -1) if (unit := unit_id(line, number)) not in taken]
    return free[:many]


def _named(row: Record) -> tuple[str, ...]:
    """The units that we wrote into a parcel."""
    named = (row.get("metadata") or {}).get(UNITS)
    if not isinstance(named, list) or not all(isinstance(unit, str) for unit in named):
        return ()
    return tuple(named)


def _lowest(line: str, many: int, taken: set[str]) -> Iterator[str]:
    numbers = count(1)
    for _ in range(many):
        unit = next(unit for number in numbers if (unit := unit_id(line, number)) not in taken)
        taken.add(unit)
        yield unit


def _counts(row: Record, needed: Mapping[tuple[str, str], int]) -> list[tuple[str, int]]:
    """Units of each line in a parcel. A bundle has an item there for each of its parts, times the parts of a unit."""
    found: dict[str, int] = {}
    for item in row["items"]:
        line = str(item["line_item_id"])
        parts = needed.get((line, str(item["inventory_item_id"])), 1)
        found.setdefault(line, quantity(item) // parts)
    return sorted(found.items())


def _needed(order: Record) -> dict[tuple[str, str], int]:
    """How many of an inventory item one unit of a line takes."""
    return {
        (str(line["id"]), str(part["inventory_item_id"])): int(part.get("required_quantity") or 1)
        for line in order["items"]
        for part in (line.get("variant") or {}).get("inventory_items") or []
    }
