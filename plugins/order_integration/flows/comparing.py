"""One order at the channel and in Omnitron: whether the two agree, without asking anybody."""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from order_integration.dto import SHIPPED, ChannelCreateOrderDto, OrderState, OrderStatus
from order_integration.flows.reconciliation import What
from order_integration.omnitron.orders import provenance

STATES = {
    **dict.fromkeys(SHIPPED, OrderState.SHIPPED),
    OrderStatus.DELIVERED: OrderState.DELIVERED,
    OrderStatus.CANCELED: OrderState.CANCELLED,
    OrderStatus.REFUNDED: OrderState.RETURNED,
}
# How far on its way: what is further in Omnitron is flow 2's to tell.
WAY = (OrderState.OPEN, OrderState.SHIPPED, OrderState.DELIVERED)
GONE = frozenset({OrderState.CANCELLED, OrderState.RETURNED})

Row = dict[str, Any]


def state_of(statuses: Iterable[str]) -> OrderState:
    """A whole order's, from its items' statuses. What waits for a cancel is as good as cancelled."""
    return OrderState.of(_state(status) for status in statuses)


def _state(status: str) -> OrderState:
    if status == OrderStatus.CANCELLATION_WAITING:
        return OrderState.CANCELLED
    return STATES.get(OrderStatus(status), OrderState.OPEN) if status in set(OrderStatus) else OrderState.OPEN


def has_plan(statuses: Iterable[str]) -> bool:
    """Whether Omnitron has a cancel or a refund under way: nobody knows yet which of the two."""
    return OrderStatus.CANCELLATION_WAITING in set(statuses)


def is_same(ours: OrderState, theirs: OrderState) -> bool:
    """A cancel of what has left the house is a refund in Omnitron."""
    return ours is theirs or {ours, theirs} <= GONE


def is_ahead(ours: OrderState, theirs: OrderState) -> bool:
    """Whether Omnitron knows something that the channel may not have been told of."""
    if ours in GONE or theirs in GONE:
        return ours in GONE and theirs not in GONE
    return WAY.index(ours) > WAY.index(theirs)


def differences(row: Row, dto: ChannelCreateOrderDto) -> dict[What, tuple[str, str]]:
    """What was created otherwise than the channel says, with both sides' words.

    Of both, as it was placed: a cancel leaves Omnitron's `amount` alone (what is paid back stands in fields of its
    own), and a connector gives an order as it was bought.
    """
    order = dto.order
    ours, theirs = Decimal(str(row["amount"])), order.amount
    found = {
        What.NUMBER: (order.number, str(row["number"])),
        What.CURRENCY: (order.currency, str(row["currency"]).lower()),
        What.AMOUNT: (f"{theirs:f}", f"{ours:f}"),
    }
    same = {What.NUMBER: row["number"] == order.number, What.AMOUNT: ours == theirs}
    same[What.CURRENCY] = found[What.CURRENCY][0] == found[What.CURRENCY][1]
    differing = {what: words for what, words in found.items() if not same[what]}
    known = provenance(row.get("extra_field") or {}).get("fingerprint")
    if not differing and known and known != dto.fingerprint():
        differing[What.ITEMS] = (f"{len(dto.order_item)} items", "other items")
    return differing
