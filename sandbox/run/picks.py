"""Which orders a story is about: always the same ones of the same orders, each in one role."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandbox.run.merchant import Sold, Unit

SHIPPED_WHOLE, SHIPPED_IN_PART, CANCELLED, UNITS_CANCELLED, ASKED = 4, 3, 3, 2, 2


@dataclass(frozen=True)
class Picks:
    """All that are shipped whole arrive. Where too few untouched orders are left, some roles stay empty."""

    pair: Sequence[Sold] = ()  # shipped whole, and two units of a line come back: approved
    mixed: Sequence[Sold] = ()  # shipped whole, and both of its lines come back: one approved, one rejected
    whole: Sequence[Sold] = ()  # shipped whole; of the first a unit comes back, rejected; of the second, undecided
    refused: Sequence[Sold] = ()  # shipped whole, but refused by the channel at first
    part: Sequence[Sold] = ()  # some units are shipped, the others stay open
    cancelled: Sequence[Sold] = ()
    less: Sequence[Sold] = ()  # one unit is cancelled
    asked: Sequence[Sold] = ()  # one unit is to be cancelled: the first approved, the second rejected
    wanted: int = field(default=0, compare=False)

    @property
    def arriving(self) -> list[Sold]:
        return [*self.pair, *self.mixed, *self.whole, *self.refused]

    @property
    def all(self) -> list[Sold]:
        return [*self.arriving, *self.part, *self.cancelled, *self.less, *self.asked]

    @property
    def is_short(self) -> bool:
        return len(self.all) < self.wanted


def choose(sold: Sequence[Sold], *, refused: bool, asked: bool) -> Picks:
    """The rare kinds first. `refused` and `asked`: whether the channel does such a thing."""
    left = [one for one in sold if one.is_untouched]
    mixed = _take(left, 1, two_lines)
    pair = _take(left, 1, several_of_a_line)
    part = _take(left, SHIPPED_IN_PART, several_of_a_line)
    less = _take(left, UNITS_CANCELLED, several_of_a_line)
    wishes = _take(left, ASKED if asked else 0, several_of_a_line)
    whole = _take(left, SHIPPED_WHOLE, any_order)
    cancelled = _take(left, CANCELLED, any_order)
    refusals = _take(left, int(refused), any_order)
    wanted = 2 + SHIPPED_IN_PART + UNITS_CANCELLED + SHIPPED_WHOLE + CANCELLED + int(refused) + ASKED * asked
    return Picks(pair, mixed, whole, refusals, part, cancelled, less, wishes, wanted=wanted)


def first_of_line(order: Sold) -> list[Unit]:
    """Of the longest line all units but one: they are shipped from the front."""
    return order.longest_line()[:-1]


def several_of_a_line(order: Sold) -> bool:
    return len(order.longest_line()) > 1


def two_lines(order: Sold) -> bool:
    return len(order.lines()) > 1


def any_order(_: Sold) -> bool:
    return True


def _take(left: list[Sold], count: int, fits: Callable[[Sold], bool]) -> list[Sold]:
    found = [one for one in left if fits(one)][:count]
    for one in found:
        left.remove(one)
    return found
