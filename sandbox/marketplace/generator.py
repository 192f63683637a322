"""The orders of a window, as a pure function: the same on any machine, however the window is cut.

Time is divided into slots of 1/rate hours, counted from 1970; in each slot somebody buys. What is bought depends on the
seed and the slot's number only. Bad orders come in a fixed rotation, in the middle of their slots: with the default
settings each of the 18 kinds comes exactly once in any 24 hours.
"""

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from functools import cached_property
from typing import Any, Literal
from zlib import crc32

from sandbox.marketplace import kinds
from sandbox.marketplace.buyers import REGULARS
from sandbox.marketplace.order import millis, moment, new_order

Json = dict[str, Any]

DEFAULT_SEED = 1
DEFAULT_RATE = 12.0  # orders an hour
DEFAULT_BAD = 6.0  # percent: every 16th slot
ODD_GAP = 16
ODD_PLACE = 1
HOUR_MS = 3_600_000
REGULAR_SHARE = 0.25
NEXT_ORDER_MS = 250  # between the first and the second order of a slot
ORDERS_IN_SLOT = 2


@dataclass(frozen=True)
class GeneratedOrder:
    """One row of the list, what is wrong with it, and what should become of it."""

    slot: int
    place: int  # among the slot's rows
    id: int
    number: str
    modified_at: datetime
    later: bool  # listed behind all others: the second time of an order that two pages show
    fault: str | None  # the slot's kind, bad or odd
    expected: Literal["arrives", "quarantined"]
    reason: str | None
    body: Json

    @property
    def sort_key(self) -> tuple[bool, int, int, int]:
        """The list's order."""
        return (self.later, millis(self.modified_at), self.id, self.place)


@dataclass(frozen=True)
class Plan:
    """What decides all orders there ever are. `bad` is in percent of the slots, `rotation` the bad kinds in turn."""

    seed: int = DEFAULT_SEED
    rate: float = DEFAULT_RATE
    bad: float = DEFAULT_BAD
    rotation: tuple[str, ...] = kinds.BAD

    def __post_init__(self) -> None:
        if self.rate <= 0 or not 0 <= self.bad <= 100:
            raise ValueError("rate is above 0, bad is a percentage")

    @cached_property
    def _exact_rate(self) -> Fraction:
        return Fraction(str(self.rate))

    @cached_property
    def tag(self) -> int:
        """Three digits that keep the ids of two plans apart."""
        return 100 + crc32(f"{self.seed}:{float(self.rate)}".encode()) % 800

    def slot_at(self, ms: int) -> int:
        """The slot that a moment is in."""
        return int(ms * self._exact_rate // HOUR_MS)

    def begin_of(self, slot: int) -> int:
        """The first millisecond of a slot."""
        return -int(-slot * HOUR_MS // self._exact_rate)

    def kind_of(self, slot: int) -> str | None:
        """The rotation: bad kinds, odd kinds, and nothing special in most slots."""
        gap = int(100 // self.bad) if self.bad else 0
        if gap and slot % gap == gap // 2:
            return self.rotation[slot // gap % len(self.rotation)]
        if slot % ODD_GAP == ODD_PLACE:
            return kinds.ODD[slot // ODD_GAP % len(kinds.ODD)]
        return None

    def orders(self, slot: int) -> list[GeneratedOrder]:
        """The rows of one slot."""
        kind = self.kind_of(slot)
        return [
            GeneratedOrder(
                slot=slot,
                place=place,
                id=row.body["orderId"],
                number=row.body["orderNumber"],
                modified_at=moment(row.body["changedAtMs"]),
                later=row.later,
                fault=kind,
                expected="quarantined" if row.reason else "arrives",
                reason=row.reason,
                body=row.body,
            )
            for place, row in enumerate(kinds.rows(_Slot(self, slot, kind), kind))
        ]


class _Slot:
    def __init__(self, plan: Plan, number: int, kind: str | None) -> None:
        self.rng = random.Random(f"{plan.seed}:{number}")
        begin, end = plan.begin_of(number), plan.begin_of(number + 1)
        share = self.rng.random()
        regular = 1 + self.rng.randrange(REGULARS) if self.rng.random() < REGULAR_SHARE else None
        # The middle keeps the rotation's distances exact; the last tenth is free for the slot's second order.
        self._at = begin + int((end - begin) * (0.5 if kind else 0.9 * share))
        self._next = min(NEXT_ORDER_MS, max((end - begin) // 10, 1))
        # What happens to a special order happens to a buyer of its own.
        self._buyer = 1000 + number if kind or regular is None else regular
        self._plan, self._number = plan, number

    def order(self, nth: int = 0) -> Json:
        plan, number = self._plan, self._number
        place = number * ORDERS_IN_SLOT + nth
        return new_order(
            random.Random(f"{plan.seed}:{number}:{nth}"),
            seed=plan.seed,
            order_id=plan.tag * 10**11 + place,
            number=f"KRV{plan.tag}-{place}",
            buyer=self._buyer,
            at_ms=self._at + nth * self._next,
        )


def orders_between(
    seed: int,
    rate: float,
    start: datetime,
    end: datetime,
    *,
    bad: float = DEFAULT_BAD,
    rotation: tuple[str, ...] = kinds.BAD,
) -> list[GeneratedOrder]:
    """All rows modified in [start, end), in the list's order. Times need a zone."""
    if start.tzinfo is None or end.tzinfo is None:
        raise ValueError("start and end need a zone")
    plan = Plan(seed, rate, bad, rotation)
    slots = range(plan.slot_at(millis(start)), plan.slot_at(millis(end)) + 1)
    found = (order for slot in slots for order in plan.orders(slot) if start <= order.modified_at < end)
    return sorted(found, key=lambda order: order.sort_key)


@dataclass(frozen=True)
class Expectation:
    """What a careful reader counts: rows = distinct + duplicates, distinct = arrives + all quarantined."""

    rows: int
    distinct: int
    duplicates: int
    arrives: int
    quarantined: dict[str, int]


def expected_of(orders: Iterable[GeneratedOrder]) -> Expectation:
    """Counts distinct order ids; an order whose rows contradict each other is one quarantined id."""
    rows = list(orders)
    reasons = {order.id: order.reason for order in rows}
    quarantined = Counter(reason for reason in reasons.values() if reason)
    return Expectation(
        rows=len(rows),
        distinct=len(reasons),
        duplicates=len(rows) - len(reasons),
        arrives=len(reasons) - quarantined.total(),
        quarantined=dict(sorted(quarantined.items())),
    )
