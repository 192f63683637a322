"""From Medusa's unrounded figures to amounts that can be paid.

Medusa calculates with twenty digits and rounds nothing: three shirts at 149.99 plus 10 % are 494.967. We round once,
half up, what a line costs before and after its discount; the discount is the difference of the two, and a line's units
share both so that their sums are the line's. An order's amount is the sum of what was rounded.
"""

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any

from order_integration.dto import allotted

# A price that includes the tax is taken apart and put together again, which leaves 131.214999999999997 where 131.215
# is meant. What is smaller than this is such noise, not money; left in, it would turn a half into less than a half.
NOISE = Decimal("1e-9")


@dataclass(frozen=True)
class Split:
    """What one unit of a line costs, tax included, and how much of that is its discount."""

    price: Decimal
    discount: Decimal


def exact(row: dict[str, Any], name: str) -> Decimal:
    """A figure with all its digits: beside the number, which has those of a float, Medusa answers `raw_…`.

    Raises KeyError, TypeError or decimal.InvalidOperation when there is no such figure.
    """
    raw = row.get(f"raw_{name}")
    value = raw["value"] if raw else row[name]
    return Decimal(value) if isinstance(value, str | int | Decimal) else Decimal(repr(value))


def rounded(amount: Decimal, unit: Decimal) -> Decimal:
    """Half up to the currency's smallest unit."""
    return amount.quantize(NOISE, ROUND_HALF_EVEN).quantize(unit, ROUND_HALF_UP)


def split_line(line: dict[str, Any], units: int, unit: Decimal) -> list[Split]:
    """A line's units. No unit's discount is more than its price, because no line's is."""
    before, after = (rounded(exact(line, name), unit) for name in ("original_total", "total"))
    prices, discounts = allotted(before, units, unit), allotted(before - after, units, unit)
    return [Split(price, discount) for price, discount in zip(prices, discounts, strict=True)]
