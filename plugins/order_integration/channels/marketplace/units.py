"""The units of an order's lines as the marketplace has them, and how they are called in Omnitron: `<line>/<n>`."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from order_integration.channels.commands import bad_record
from order_integration.dto import UNIT_SEPARATOR, UNITS_AT_MOST
from order_integration.errors import Reason

Row = dict[str, Any]

COUNTERS = ("shippedQuantity", "deliveredQuantity", "cancelledQuantity", "returnedQuantity")


class UnitState(StrEnum):
    """The marketplace's words."""

    OPEN = "OPEN"
    SHIPPED = "SHIPPED"
    DELIVERED = "DELIVERED"
    CANCELLED = "CANCELLED"
    RETURNED = "RETURNED"


@dataclass(frozen=True)
class Unit:
    """One unit of a line; `told` is its state in the marketplace's words, whatever they are."""

    line: str
    number: int
    told: str
    tracking_no: str | None = None
    invoice_no: str | None = None

    @property
    def id(self) -> str:
        """Its remote id."""
        return unit_id(self.line, self.number)

    @property
    def state(self) -> UnitState:
        """Its state.

        Raises RecordError for one that we do not know: nothing is guessed.
        """
        return state_of(self.told)


def state_of(told: object) -> UnitState:
    """The marketplace's word as a state.

    Raises RecordError for one that we do not know.
    """
    if not isinstance(told, str) or told not in set(UnitState):
        raise bad_record("lines.units.state", "not a state that we know")
    return UnitState(told)


def unit_id(line: object, number: object) -> str:
    """The remote id of a line's unit.

    Raises RecordError for a line without an id, and for what is not the number of a unit.
    """
    if line is None or line == "":
        raise bad_record("lineId", "missing", Reason.FIELD_MISSING)
    return f"{line}{UNIT_SEPARATOR}{quantity_of(number, 'unitNumbers')}"


def quantity_of(value: object, field: str = "lines.quantity") -> int:
    """A number of units, checked.

    Raises RecordError for anything else.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= UNITS_AT_MOST:
        raise bad_record(field, f"not a number of units between 1 and {UNITS_AT_MOST}")
    return value


def units_of(line: Row) -> list[Unit]:
    """All units of a line; one that says nothing about them has only open ones.

    Raises RecordError for a line that has no id, or that contradicts itself.
    """
    quantity = quantity_of(line["quantity"])
    unit_id(line["lineId"], quantity)
    told = line.get("units")
    if told is None:
        if any(line.get(name) for name in COUNTERS):
            raise bad_record("lines.units", "missing, although something happened to them", Reason.FIELD_MISSING)
        return [Unit(line["lineId"], number, UnitState.OPEN) for number in range(1, quantity + 1)]
    if not isinstance(told, list) or len(told) != quantity:
        raise bad_record("lines.units", "not one entry for each unit")
    return [_unit(line["lineId"], one) for one in told]


def units_in_order(order: Row) -> dict[str, Unit]:
    """All units by their remote ids."""
    return {unit.id: unit for line in order["lines"] for unit in units_of(line)}


def _unit(line: str, told: object) -> Unit:
    if not isinstance(told, Mapping):
        raise bad_record("lines.units", "not an object")
    number = quantity_of(told["number"], "lines.units.number")
    return Unit(line, number, told["state"], told.get("trackingNo") or None, told.get("invoiceNo") or None)
