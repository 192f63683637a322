"""What the marketplace has not been told of an order yet: parcels, and what arrived."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from order_integration.channels.commands import bad_record
from order_integration.channels.marketplace.reading import shaped_like
from order_integration.channels.marketplace.units import Unit, UnitState, units_in_order
from order_integration.dto import UpdatedOrderDto, UpdatedOrderItemDto
from order_integration.errors import Reason

Row = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One thing to tell: a parcel that left (SHIPPED), or units that arrived (DELIVERED)."""

    status: UnitState
    body: Row

    @property
    def path(self) -> str:
        """Where it is told at once."""
        return "shipment" if self.status is UnitState.SHIPPED else "delivered"


def missing(order: UpdatedOrderDto, known: Row, carriers: Mapping[str, str]) -> list[Step]:
    """The steps from the order as the marketplace has it to the order as it is in Omnitron, in their order.

    Units are named, so that a step can be carried out once only. What the marketplace cancelled, delivered or took
    back meanwhile stays as it is. Raises RecordError for an order that can't be told.
    """
    with shaped_like("order"):
        units = units_in_order(known)
        code = (known.get("carrier") or {}).get("code")
    parcels: dict[tuple[str | None, str | None], list[Unit]] = {}
    arrived: list[Unit] = []
    for item in _shipped(order, units):
        unit = units[item.remote_id]
        if unit.state is UnitState.OPEN:
            parcels.setdefault(_labels(order, item), []).append(unit)
        if item.is_delivered and unit.state in {UnitState.OPEN, UnitState.SHIPPED}:
            arrived.append(unit)
    carrier = carrier_code(order.cargo_company, code, carriers) if parcels else None
    steps = [
        Step(
            UnitState.SHIPPED,
            {"carrier": carrier, "trackingNo": tracking_no, "invoiceNo": invoice_no, "lines": _by_line(parcel)},
        )
        for (tracking_no, invoice_no), parcel in parcels.items()
    ]
    return steps + ([Step(UnitState.DELIVERED, {"lines": _by_line(arrived)})] if arrived else [])


def carrier_code(erp_code: str | None, current: str | None, carriers: Mapping[str, str]) -> str | None:
    """The marketplace's code of a cargo company: `settings.carriers` read backwards.

    Raises RecordError where several codes stand for it, and none of them is the order's own.
    """
    codes = [code for code, known in carriers.items() if known == erp_code]
    if len(codes) > 1 and current not in codes:
        sentence = f"{len(codes)} codes in settings.carriers stand for {erp_code}: {', '.join(sorted(codes))}"
        raise bad_record("cargo_company", sentence, Reason.AMBIGUOUS)
    if current in codes:
        return current
    return codes[0] if codes else erp_code


def _shipped(order: UpdatedOrderDto, units: Mapping[str, Unit]) -> list[UpdatedOrderItemDto]:
    """The items that left the house, each unit once, in the order of the units."""
    shipped = {item.remote_id: item for item in order.items if item.is_shipped}
    if strangers := sorted(shipped.keys() - units.keys()):
        sentence = f"the marketplace's order has no unit {strangers[0]}"
        raise bad_record("items", sentence, Reason.ITEM_UNKNOWN)
    return [shipped[name] for name in units if name in shipped]


def _labels(order: UpdatedOrderDto, item: UpdatedOrderItemDto) -> tuple[str | None, str | None]:
    """What stands on the parcel; the order says it where the item does not."""
    tracking_no = item.tracking_number or order.tracking_number
    return tracking_no or None, item.invoice_number or order.invoice_number or None


def _by_line(units: list[Unit]) -> list[Row]:
    numbers: dict[str, list[int]] = {}
    for unit in units:
        numbers.setdefault(unit.line, []).append(unit.number)
    return [{"lineId": line, "unitNumbers": found} for line, found in numbers.items()]
