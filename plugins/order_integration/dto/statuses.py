"""Omnitron's codes for the state of an order or an order item (digits on the wire, as in Akinon's public reference)."""

from collections.abc import Iterable
from enum import StrEnum


class OrderStatus(StrEnum):
    """An order's, or an item's, state."""

    CANCELLATION_WAITING = "50"
    CANCELED = "100"
    WAITING = "200"
    PAYMENT_WAITING = "300"
    CONFIRMATION_WAITING = "350"
    APPROVED = "400"
    PREPARING = "450"
    SHIPPED = "500"
    SHIPPED_AND_INFORMED = "510"
    READY_FOR_PICKUP = "520"
    ATTEMPTED_DELIVERY = "540"
    REVIEW_STARTED = "544"
    REVIEW_WAITING = "545"
    WAITING_FOR_PAYMENT = "546"
    PAID = "547"
    DELIVERED = "550"
    REFUNDED = "600"


class OrderState(StrEnum):
    """How far an order is as a whole, in words that every channel and Omnitron have."""

    OPEN = "open"  # all that is neither of the others: paid, prepared, partly shipped
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"

    @classmethod
    def of(cls, units: Iterable["OrderState"]) -> "OrderState":
        """A whole's, from its units': the least far one decides. Cancelled ones count only where nothing else is left.

        So a whole whose other units came back is returned, and one of which a unit did not is delivered.
        """
        order = {state: place for place, state in enumerate(cls)}
        left = [unit for unit in units if unit is not cls.CANCELLED]
        return min(left, key=order.__getitem__, default=cls.CANCELLED)


# No longer to be shipped: a cancel is waiting or carried out, or it came back.
GONE = frozenset({OrderStatus.CANCELLATION_WAITING, OrderStatus.CANCELED, OrderStatus.REFUNDED})
# Has left the house, whatever became of it on the way.
SHIPPED = frozenset(
    {
        OrderStatus.SHIPPED,
        OrderStatus.SHIPPED_AND_INFORMED,
        OrderStatus.READY_FOR_PICKUP,
        OrderStatus.ATTEMPTED_DELIVERY,
        OrderStatus.DELIVERED,
    }
)
