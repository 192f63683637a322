"""What an order must look like in Omnitron, as the checks work it out from the channel's own data."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from fractions import Fraction

NOISE = Decimal("1e-9")  # smaller than this is what a channel's own divisions left behind, not money


@dataclass(frozen=True)
class Person:
    """A buyer, or whoever an address is made out to."""

    email: str
    first_name: str
    last_name: str
    phone: str


@dataclass(frozen=True)
class Address:
    """A place as the channel writes it; townships and districts may be missing."""

    person: Person
    line: str
    country: str
    city: str
    township: str | None
    district: str | None
    postcode: str | None
    company: str | None


@dataclass(frozen=True)
class Line:
    """One line of an order: so many units, what they cost together before the discount, and the discount."""

    id: str
    product: str
    units: int
    gross: Decimal
    discount: Decimal


@dataclass(frozen=True)
class Order:
    """One order."""

    key: str
    number: str
    currency: str
    amount: Decimal
    placed_at: datetime
    changed_at: datetime
    carrier: str
    buyer: Person
    deliver_to: Address
    invoice_to: Address
    lines: Sequence[Line]


@dataclass(frozen=True)
class Expected:
    """Everything of a window: what arrives, what is put aside and why, and how often the list repeats itself."""

    start: datetime
    end: datetime
    placed_until: datetime  # an order placed since `start` and before this is in the window for certain
    orders: Sequence[Order]
    quarantined: Mapping[str, str]  # key → reason
    rows: int

    @property
    def distinct(self) -> int:
        return len(self.orders) + len(self.quarantined)


def rounded(amount: Fraction, unit: Decimal) -> Decimal:
    """Half up to the currency's smallest unit, once."""
    exact = Decimal(amount.numerator) / Decimal(amount.denominator)
    return exact.quantize(NOISE, ROUND_HALF_EVEN).quantize(unit, ROUND_HALF_UP)


def shares(amount: Decimal, units: int, unit: Decimal) -> list[Decimal]:
    """An amount over equal units, smallest first: what doesn't come out even is one smallest unit more for some."""
    whole, rest = divmod(int(amount / unit), units)
    return sorted((whole + (place < rest)) * unit for place in range(units))
