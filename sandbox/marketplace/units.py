"""What may happen to the units of an order's lines, and what it does to the states.

Units are shipped from the front of a line and cancelled, or claimed, from its back.
"""

from collections.abc import Iterable
from typing import Any

from sandbox.marketplace.answers import Refusal

Json = dict[str, Any]
Wanted = dict[str, int]  # line id → units


def ship(body: Json, wanted: Wanted, *, carrier: str | None, tracking_no: str | None, invoice_no: str | None) -> None:
    """Units leave the house; without `wanted` all that are still here."""
    _refuse_cancelled(body)
    open_units = {line["lineId"]: _open(line) - line["shippedQuantity"] for line in body["lines"]}
    if not any(open_units.values()):
        raise Refusal(409, "ALREADY_SHIPPED", "all units are shipped already")
    for line, quantity in _chosen(body, wanted, open_units, "ALREADY_SHIPPED"):
        line["shippedQuantity"] += quantity
        line["trackingNo"] = tracking_no
    body["trackingNo"] = tracking_no or body["trackingNo"]
    body["invoiceNo"] = invoice_no or body.get("invoiceNo")
    if carrier:
        body["carrier"] = {"code": carrier, "name": carrier}
    _update_states(body)


def deliver(body: Json, wanted: Wanted) -> None:
    """Shipped units arrive; without `wanted` all that are on their way."""
    _refuse_cancelled(body)
    on_their_way = {line["lineId"]: line["shippedQuantity"] - line["deliveredQuantity"] for line in body["lines"]}
    if not any(on_their_way.values()):
        delivered = any(line["deliveredQuantity"] for line in body["lines"])
        code = "ALREADY_DELIVERED" if delivered else "NOT_SHIPPED"
        raise Refusal(409, code, "no unit is on its way")
    for line, quantity in _chosen(body, wanted, on_their_way, "ALREADY_DELIVERED"):
        line["deliveredQuantity"] += quantity
    _update_states(body)


def cancel(body: Json, wanted: Wanted) -> list[tuple[str, int]]:
    """Units that were not shipped are taken back; without `wanted` all of them. Returns what was cancelled."""
    _refuse_cancelled(body)
    free = {line["lineId"]: _open(line) - line["shippedQuantity"] for line in body["lines"]}
    if not any(free.values()):
        raise Refusal(409, "ALREADY_SHIPPED", "no unit can be cancelled any more")
    chosen = list(_chosen(body, wanted, free, "ALREADY_CANCELLED"))
    for line, quantity in chosen:
        line["cancelledQuantity"] += quantity
    _update_states(body)
    return [(line["lineId"], quantity) for line, quantity in chosen]


def take_back(body: Json, line_id: str, quantity: int) -> None:
    """Delivered units came back."""
    line = line_of(body, line_id)
    line["returnedQuantity"] += quantity
    _update_states(body)


def line_of(body: Json, line_id: str) -> Json:
    found: Json | None = next((line for line in body["lines"] if line["lineId"] == line_id), None)
    if found is None:
        raise Refusal(422, "LINE_UNKNOWN", f"the order has no line {line_id}")
    return found


def from_the_back(line: Json, quantity: int, taken: Iterable[int]) -> list[int]:
    """The numbers of the last units of a line that are not taken yet."""
    taken = set(taken)
    free = [number for number in range(line["quantity"], 0, -1) if number not in taken]
    if len(free) < quantity:
        raise Refusal(409, "TOO_MANY_UNITS", "the line has fewer units that are not cancelled or claimed yet")
    return sorted(free[:quantity])


def _chosen(body: Json, wanted: Wanted, available: Wanted, used_up: str) -> list[tuple[Json, int]]:
    """Lines and how many units of them: what is wanted, or else everything available."""
    chosen = []
    for line_id, quantity in (wanted or {key: units for key, units in available.items() if units}).items():
        line = line_of(body, line_id)
        if quantity > available[line_id]:
            code = used_up if available[line_id] == 0 else "TOO_MANY_UNITS"
            raise Refusal(409, code, f"line {line_id} has {available[line_id]} such units")
        chosen.append((line, quantity))
    return chosen


def _open(line: Json) -> int:
    return int(line["quantity"] - line["cancelledQuantity"])


def _refuse_cancelled(body: Json) -> None:
    if body["state"] == "CANCELLED":
        raise Refusal(409, "ALREADY_CANCELLED", "the order is cancelled")


def _update_states(body: Json) -> None:
    for line in body["lines"]:
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
