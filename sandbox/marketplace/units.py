"""What may happen to the units of an order's lines, and what it does to the states.

Units are numbered from 1. Who does not name them ships from the front of a line, and cancels or claims from its back. A
line says the state of each unit from the first event on (`units`); until then all are open.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from sandbox.marketplace.answers import Refusal

Json = dict[str, Any]

OPEN, SHIPPED, DELIVERED, CANCELLED, RETURNED = "OPEN", "SHIPPED", "DELIVERED", "CANCELLED", "RETURNED"
GONE_OUT = {SHIPPED, DELIVERED, RETURNED}


@dataclass
class Want:
    """So many units of a line, or exactly these."""

    quantity: int
    numbers: list[int] = field(default_factory=list)


Wanted = dict[str, Want]  # by line id; empty: everything that can be meant
Chosen = list[tuple[Json, list[Json]]]  # a line and units of it


def ship(body: Json, wanted: Wanted, *, carrier: str | None, tracking_no: str | None, invoice_no: str | None) -> None:
    """Units leave the house; without `wanted` all that are still here."""
    _refuse_cancelled(body)
    for line, units in _chosen(body, wanted, OPEN):
        line["trackingNo"] = tracking_no
        for unit in units:
            unit.update(state=SHIPPED, trackingNo=tracking_no, invoiceNo=invoice_no or unit["invoiceNo"])
    body["trackingNo"] = tracking_no or body["trackingNo"]
    body["invoiceNo"] = invoice_no or body.get("invoiceNo")
    if carrier:
        body["carrier"] = {"code": carrier, "name": carrier}
    _update_states(body)


def deliver(body: Json, wanted: Wanted) -> None:
    """Shipped units arrive; without `wanted` all that are on their way."""
    _refuse_cancelled(body)
    for _, units in _chosen(body, wanted, SHIPPED):
        for unit in units:
            unit["state"] = DELIVERED
    _update_states(body)


def cancel(body: Json, wanted: Wanted, claimed: dict[str, set[int]]) -> list[tuple[str, list[int]]]:
    """Open units are cancelled, those that nobody claimed first; without `wanted` all. Returns which they were."""
    _refuse_cancelled(body)
    found = []
    for line, units in _chosen(body, wanted, OPEN, from_the_back=True, last=claimed):
        for unit in units:
            unit["state"] = CANCELLED
        found.append((line["lineId"], sorted(unit["number"] for unit in units)))
    _update_states(body)
    return found


def take_back(body: Json, line_id: str, numbers: Collection[int]) -> None:
    """Delivered units came back."""
    for _, units in _chosen(body, {line_id: Want(len(numbers), sorted(numbers))}, DELIVERED):
        for unit in units:
            unit["state"] = RETURNED
    _update_states(body)


def invoice(body: Json, number: str) -> None:
    """The marketplace writes the invoice by itself."""
    body["invoiceNo"] = number
    for line in body["lines"]:
        for unit in _units(line):
            if unit["state"] != CANCELLED:
                unit["invoiceNo"] = number


def line_of(body: Json, line_id: str) -> Json:
    found: Json | None = next((line for line in body["lines"] if line["lineId"] == line_id), None)
    if found is None:
        raise Refusal(422, "LINE_UNKNOWN", f"the order has no line {line_id}")
    return found


def from_the_back(line: Json, quantity: int, state: str, claimed: Iterable[int]) -> list[int]:
    """The numbers of the last units in a state that nobody claimed yet; fewer where there are fewer."""
    free = [unit["number"] for unit in _units(line) if unit["state"] == state and unit["number"] not in set(claimed)]
    return sorted(free[-quantity:])


def _units(line: Json) -> list[Json]:
    fresh = {"state": OPEN, "trackingNo": None, "invoiceNo": None}
    units: list[Json] = line.setdefault(
        "units", [{"number": number, **fresh} for number in range(1, line["quantity"] + 1)]
    )
    return units


def _chosen(
    body: Json, wanted: Wanted, state: str, *, from_the_back: bool = False, last: dict[str, set[int]] | None = None
) -> Chosen:
    """Lines and units of them: those that are wanted, or else all that are in the state.

    Where none of what is wanted is in the state the refusal says what it is in instead; where only a part is:
    TOO_MANY_UNITS.
    """
    chosen: Chosen = []
    meant: list[Json] = []
    short = None
    for line_id in wanted or [line["lineId"] for line in body["lines"]]:
        line, want = line_of(body, line_id), wanted.get(line_id)
        units = _named(line, want.numbers) if want else _units(line)
        free = [unit for unit in units if unit["state"] == state]
        free.sort(key=lambda unit: -unit["number"] if from_the_back else unit["number"])
        free.sort(key=lambda unit: unit["number"] in (last or {}).get(line["lineId"], ()))
        if want and len(free) < want.quantity:
            short = f"line {line_id} has {len(free)} such units"
        meant += units
        if free:
            chosen.append((line, free[: want.quantity] if want else free))
    if not chosen:
        raise Refusal(409, _instead(state, {unit["state"] for unit in meant}), "no unit can be meant")
    if short:
        raise Refusal(409, "TOO_MANY_UNITS", short)
    return chosen


def _named(line: Json, numbers: list[int]) -> list[Json]:
    units = _units(line)
    if not set(numbers) <= {unit["number"] for unit in units}:
        raise Refusal(422, "UNIT_UNKNOWN", f"line {line['lineId']} has {len(units)} units")
    return [unit for unit in units if unit["number"] in numbers] if numbers else units


def _instead(state: str, states: set[str]) -> str:
    """Why none of the units is in the state that is needed."""
    if states == {CANCELLED}:
        return "ALREADY_CANCELLED"
    if state == OPEN:
        return "ALREADY_SHIPPED"
    return "NOT_SHIPPED" if OPEN in states else "ALREADY_DELIVERED"


def _refuse_cancelled(body: Json) -> None:
    if body["state"] == "CANCELLED":
        raise Refusal(409, "ALREADY_CANCELLED", "the order is cancelled")


def _update_states(body: Json) -> None:
    for line in body["lines"]:
        states = [unit["state"] for unit in _units(line)]
        line["cancelledQuantity"] = states.count(CANCELLED)
        line["returnedQuantity"] = states.count(RETURNED)
        line["deliveredQuantity"] = states.count(DELIVERED) + states.count(RETURNED)
        line["shippedQuantity"] = sum(state in GONE_OUT for state in states)
        line["state"] = _state(
            *(line[name] for name in ("quantity", "cancelledQuantity", "shippedQuantity", "deliveredQuantity"))
        )
    sums = [
        sum(line[name] for line in body["lines"])
        for name in ("quantity", "cancelledQuantity", "shippedQuantity", "deliveredQuantity")
    ]
    body["state"] = _state(*sums)


def _state(quantity: int, cancelled: int, shipped: int, delivered: int) -> str:
    left = quantity - cancelled
    if quantity and left == 0:
        return "CANCELLED"
    if delivered and delivered >= left:
        return "DELIVERED"
    if shipped and shipped >= left:
        return "SHIPPED"
    return "PARTLY_SHIPPED" if shipped else "NEW"
