"""Money back for what was received: never blind, never twice.

Medusa knows no idempotency key, so the return's id stands in the note of each refund, and is looked for before the
next one.
"""

from collections.abc import Iterable
from decimal import ROUND_DOWN, Decimal

from order_integration.channels.commands import Record, bad_record
from order_integration.channels.medusa.money import exact, split_line
from order_integration.channels.medusa.reading import Query, one, path
from order_integration.channels.medusa.units import line_of, number_of, quantity
from order_integration.dto import minor_unit
from order_integration.errors import ContractError
from order_integration.transport import HttpSession

PAYMENTS = ",".join(
    (
        *("id", "currency_code", "summary", "payment_collections.id", "*payment_collections.payments"),
        *("*payment_collections.payments.captures", "*payment_collections.payments.refunds"),
    )
)
PLACED: Query = {"fields": "id,currency_code,total,*items", "version": 1}  # with the prices that were imported


async def refund(http: HttpSession, order: str, return_: str, value: Decimal, units: int) -> None:
    """Pay back what so many units cost, as far as it was paid and is owed.

    An order that was not paid (the money is only promised) gets nothing back: its total is less now.
    """
    state = await _found(http, order, {"fields": PAYMENTS})
    unit = minor_unit(str(state["currency_code"]))
    payments = [payment for one in state["payment_collections"] or () for payment in one.get("payments") or ()]
    note = f"return {return_}"
    paid_back = [back for payment in payments for back in payment["refunds"] if (back.get("note") or "") == note]
    left = _due(value - _sum(paid_back), _owed(state["summary"]), unit * units)
    for payment in payments:
        available = _sum(payment["captures"]) - _sum(payment["refunds"])
        amount = min(left, available).quantize(unit, ROUND_DOWN)
        if amount > 0:
            body = {"amount": amount, "note": note}
            await http.call("POST", path("payments", str(payment["id"]), "refund"), body=body)
            left -= amount


async def value_of(http: HttpSession, order: str, units: list[str]) -> Decimal:
    """What the units cost, each as it was imported.

    Raises RecordError for what is no unit of the order.
    """
    placed = await _found(http, order, PLACED)
    unit = minor_unit(str(placed["currency_code"]))
    lines = {str(line["id"]): line for line in placed["items"]}
    value = Decimal(0)
    for one_unit in units:
        line, number = lines.get(line_of(one_unit)), number_of(one_unit)
        if line is None or not 1 <= number <= quantity(line):
            raise bad_record("order_item", f"{one_unit} is no unit of this order")
        share = split_line(line, quantity(line), unit)[number - 1]
        value += share.price - share.discount
    return value


def _owed(summary: Record) -> Decimal:
    """What was paid above the order's total, now that something came back.

    Medusa's own `pending_difference` counts what is only requested, too.
    """
    return exact(summary, "transaction_total") - exact(summary, "current_order_total")


def _due(value: Decimal, owed: Decimal, rounding: Decimal) -> Decimal:
    """No more than is owed; but Medusa's figures are not rounded, and may be a hair below what we rounded up."""
    return value if owed > 0 and value - owed <= rounding else min(value, owed)


def _sum(found: Iterable[Record]) -> Decimal:
    return sum((exact(one, "amount") for one in found), Decimal(0))


async def _found(http: HttpSession, order: str, query: Query) -> Record:
    found = await one(http, "orders", order, query)
    if found is None:
        raise ContractError("Medusa has a return of an order that it does not know", order=order)
    return found
