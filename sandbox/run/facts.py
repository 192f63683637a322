"""What a channel, or Omnitron, says of its orders, in words that both have: the two are compared with each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class State(StrEnum):
    """Where a unit is."""

    OPEN = "open"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"
    RETURNED = "returned"


class Answer(StrEnum):
    """What became of a request."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


@dataclass(frozen=True)
class Line:
    """A line of an order: its units, the first one first, and the numbers of the parcels they travel in."""

    units: tuple[State, ...]
    parcels: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Order:
    """`is_cancelled` is what its header says, whatever the units are."""

    lines: Mapping[str, Line]
    invoices: frozenset[str] = frozenset()
    is_cancelled: bool = False


@dataclass(frozen=True)
class Request:
    """A shopper's wish to cancel (`cancel`) or to return (`refund`) one unit; `reason` is Omnitron's."""

    kind: str
    answer: Answer
    reason: int | None


@dataclass(frozen=True)
class Facts:
    """One side. Orders by the channel's id, requests by the channel's id and the unit's, cancels by the unit's."""

    orders: Mapping[str, Order]
    requests: Mapping[tuple[str, str], Request] = field(default_factory=dict)
    cancels: Mapping[str, int | None] = field(default_factory=dict)  # the reason


def unit_id(line: str, number: int) -> str:
    """As our connectors name the units of a line."""
    return f"{line}/{number}"


def in_line(units: int, *, cancelled: set[int], returned: set[int], shipped: int, delivered: int) -> tuple[State, ...]:
    """Units leave from the front; which ones were cancelled or came back is known by number."""
    states = []
    gone_out = 0
    for number in range(1, units + 1):
        if number in cancelled:
            states.append(State.CANCELLED)
            continue
        gone_out += 1
        if number in returned:
            states.append(State.RETURNED)
        elif gone_out <= delivered:
            states.append(State.DELIVERED)
        else:
            states.append(State.SHIPPED if gone_out <= shipped else State.OPEN)
    return tuple(states)
