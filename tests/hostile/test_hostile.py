"""A sample of `make hostile`: some hours of the week, and some of the ten thousand."""

from pathlib import Path

from tests.hostile import many, week


def test_hours_at_a_hostile_marketplace_end_as_the_channel_has_them(tmp_path: Path) -> None:
    told = week.run(tmp_path, 24)

    assert told.differences == []
    assert told.counts["windows missed and caught up"] >= 8
    assert min(told.counts[name] for name in ("orders that arrived", "ships", "cancels", "claims")) > 0
    assert sum(told.fired["Omnitron"].values()) > 20


def test_bad_orders_wait_and_all_others_arrive_once_whatever_fails(tmp_path: Path) -> None:
    told = many.run(tmp_path, 300)

    assert told.differences == []
    assert (told.counts["orders that arrived"], told.counts["orders in quarantine"]) == (285, 15)
    assert sum(told.fired["Omnitron"].values()) > 100
