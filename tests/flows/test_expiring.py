"""What waits is given up after a time, and says so; what names people goes, key and reason stay for a year."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.flows.expiring import forget, overdue
from order_integration.flows.windows import WAITING_ONLY
from order_integration.staging import Places, Staging
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config, results
from tests.shelf import order

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FLOW = "fetch_orders"


@pytest.fixture
def area(tmp_path: Path) -> Staging:
    return Staging(f"file://{tmp_path}/staging")


def waiting(area: Staging) -> Places:
    return Places.of(area, "shelf", FLOW)


def put(place: Any, key: str, *, first: int, last: int | None = None, reason: str = "refused") -> None:
    """First and last seen so many days ago."""
    row = {"reason": reason, "record": {"name": "Ayşe"}}
    place.put(key, row, run="r", now=(NOW - timedelta(days=first)).isoformat())
    if last is not None:
        place.put(key, row, run="r", now=(NOW - timedelta(days=last)).isoformat())


def expired(area: Staging, **own: Any) -> Any:
    found = overdue(area, FLOW, config(**own), NOW)
    found.end(NOW)
    return found


def reasons(rows: Any) -> list[str]:
    return [row["reason"] for row in rows]


def test_what_nobody_has_seen_for_long_loses_its_record_and_keeps_its_reason(area: Staging) -> None:
    place = waiting(area).quarantine
    put(place, "old", first=200, last=91)
    put(place, "seen", first=200, last=89)

    found = expired(area)

    assert (reasons(found.quarantined), found.parked) == (["refused"], [])
    assert list(place.open_keys()) == ["seen"]
    row = place.get("old") or {}
    assert (row["state"], row["reason"], "record" in row) == ("expired", "refused", False)


def test_what_has_been_parked_for_long_is_given_up_however_often_it_was_tried(area: Staging) -> None:
    place = waiting(area).parked
    put(place, "old", first=91, last=0, reason="order_unknown")
    put(place, "young", first=89, reason="order_unknown")

    found = expired(area)

    assert reasons(found.parked) == ["order_unknown"]
    assert list(place.open_keys()) == ["young"]
    assert (place.get("old") or {})["state"] == "expired"


def test_a_channel_says_how_long(area: Staging) -> None:
    put(waiting(area).quarantine, "1", first=3)
    put(waiting(area).parked, "2", first=3)

    found = expired(area, quarantine_kept="2d", parked_kept="2d")

    assert (len(found.quarantined), len(found.parked)) == (1, 1)
    assert found.sentence(config(quarantine_kept="2d", parked_kept="2d")) == (
        "parked for more than 2 days, and given up: 1 refused; "
        "in quarantine and not seen for 2 days, its record removed: 1 refused"
    )
    assert expired(area).sentence(config()) == ""


def test_what_is_seen_while_it_is_told_goes_on_waiting(area: Staging) -> None:
    place = waiting(area).quarantine
    put(place, "1", first=200)
    found = overdue(area, FLOW, config(), NOW)
    put(place, "1", first=0)

    found.end(NOW)

    assert list(place.open_keys()) == ["1"]


def test_others_that_are_over_are_another_batch(area: Staging) -> None:
    put(waiting(area).quarantine, "1", first=200)
    first = overdue(area, FLOW, config(), NOW)
    assert overdue(area, FLOW, config(), NOW).digest == first.digest

    first.end(NOW)
    put(waiting(area).quarantine, "2", first=200)

    assert overdue(area, FLOW, config(), NOW).digest != first.digest


def test_a_closed_key_is_forgotten_after_a_year(area: Staging, tmp_path: Path) -> None:
    for place in (waiting(area).quarantine, waiting(area).parked):
        for key, days in (("old", 366), ("young", 364)):
            put(place, key, first=400)
            place.close(key, "superseded", now=NOW.isoformat(), read_at=NOW.isoformat())
            [file] = [
                path for path in (tmp_path / "staging" / place.closed_folder).iterdir() if key in path.read_text()
            ]
            moment = (NOW - timedelta(days=days)).timestamp()
            os.utime(file, (moment, moment))

    assert forget(area, FLOW, "shelf", NOW) == 2

    assert [row["key"] for row in waiting(area).quarantine.closed_rows()] == ["young"]


def test_what_is_given_up_while_a_run_tries_it_waits_again(steps: Steps, back_office: BackOffice, shelf: Any) -> None:
    """The run read it later than what was given up, and its failure is news."""
    since = (datetime.now(UTC) - timedelta(days=100)).isoformat()
    steps.parked.put("1", {"reason": "x", "record": order("1")}, run="r", now=since)
    back_office.fault("POST", "/create_orders/$", "status", status=503, times=100)
    steps.before = _once(lambda: overdue(steps.staging, FLOW, steps.channel, datetime.now(UTC)).end(datetime.now(UTC)))

    assert results(steps.run(WAITING_ONLY)) == {"parked": 1}

    assert list(steps.parked.open_keys()) == ["1"]


def _once(happens: Any) -> Any:
    """Just before the first order is created."""
    left = [happens]

    def before(method: str, path: str) -> None:
        if "create_orders" in path and left:
            left.pop()()

    return before
