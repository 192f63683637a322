"""Which orders a story is about."""

from sandbox.run.merchant import Sold, Unit
from sandbox.run.picks import choose, first_of_line


def sold(key: str, *lines: int, status: str = "400") -> Sold:
    """An order with so many units in its lines."""
    units = [
        Unit(0, f"{key}-{name}", number, status)
        for name, quantity in enumerate(lines)
        for number in range(1, quantity + 1)
    ]
    return Sold(key, units)


MANY = [sold(f"{lines}.{number}", *lines) for lines in ((1,), (3,), (2, 1)) for number in range(12)]


def test_every_order_has_one_role_and_the_roles_have_what_they_need() -> None:
    picks = choose(MANY, refused=True, asked=True)
    keys = [order.key for order in picks.all]
    assert len(keys) == len(set(keys)) == picks.wanted
    assert not picks.is_short
    assert all(len(order.lines()) > 1 for order in picks.mixed)
    for order in (*picks.pair, *picks.part, *picks.less, *picks.asked):
        assert len(order.longest_line()) > 1


def test_what_was_touched_is_left_alone() -> None:
    touched = [sold(f"t{number}", 2, 1, status="500") for number in range(40)]
    picks = choose(touched, refused=True, asked=True)
    assert picks.all == []
    assert picks.is_short


def test_a_channel_that_does_less_has_fewer_roles() -> None:
    picks = choose(MANY, refused=False, asked=False)
    assert (picks.refused, picks.asked, picks.is_short) == ([], [], False)


def test_a_part_of_an_order_is_shipped_from_the_front_of_its_longest_line() -> None:
    assert [(unit.line, unit.number) for unit in first_of_line(sold("o", 1, 3))] == [("o-1", 1), ("o-1", 2)]
