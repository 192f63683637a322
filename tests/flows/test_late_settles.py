"""A settle that is late, or cleared: what a run read later counts, whichever settles last."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from order_integration.flows.inbound import fetch, transform
from order_integration.staging import Folder
from tests.conftest import BackOffice
from tests.flows.after_sales import UPDATES, arrive, steps_of
from tests.flows.steps import DAY, Steps, results
from tests.shelf import NewsShelf, address, news, order

UNKNOWN = {"city": "Atlantis"}


@pytest.fixture
def updates(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Steps:
    NewsShelf.start_again()
    return steps_of(UPDATES, omnitron_url, tmp_path)


def put(status: str, hour: int) -> None:
    """What the channel says of the item."""
    NewsShelf.items[:] = [news("1-1/1", status=status, modified_at=f"2026-01-06T{hour:02}:00:00+00:00", minutes=hour)]


def pushed(steps: Steps, run: str) -> tuple[Folder, list[Folder | None]]:
    """A run whose settle is still to come."""
    chunks, manifest = asyncio.run(steps.staged(DAY, run))
    return chunks, [asyncio.run(steps.push(chunks, number, run)) for number in range(manifest["chunks"])]


def settled(steps: Steps, run: str, said: tuple[Folder, list[Folder | None]]) -> Any:
    return asyncio.run(steps.settle(*said, run))


def test_what_a_newer_run_parked_is_not_closed_by_an_older_one(updates: Steps, back_office: BackOffice) -> None:
    arrive(updates, order("1"))
    put("500", 9)
    older = pushed(updates, "older")
    put("550", 10)
    back_office.fault("PATCH", "/order_items/", "status", status=503, times=50)
    assert results(updates.run(run="newer")) == {"parked": 1}
    back_office.delete("/admin/faults")

    assert results(settled(updates, "older", older)) == {"updated": 1}

    NewsShelf.items.clear()
    assert results(updates.run()) == {"updated": 1}
    assert back_office.rows("order_items")[0]["status"] == "550"


def test_what_a_newer_run_parked_is_not_overwritten_by_an_older_one(updates: Steps, back_office: BackOffice) -> None:
    put("500", 9)
    older = pushed(updates, "older")
    put("550", 10)
    updates.run(run="newer")

    settled(updates, "older", older)

    NewsShelf.items.clear()
    arrive(updates, order("1"))
    assert results(updates.run()) == {"updated": 1}
    assert back_office.rows("order_items")[0]["status"] == "550"


def test_an_older_run_parks_nothing_that_a_newer_one_quarantined(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))
    back_office.fault("POST", "/create_orders/$", "status", status=503, times=50)
    older = pushed(steps, "older")
    back_office.delete("/admin/faults")
    shelf(order("1", shipping_address=address(**UNKNOWN), minutes=1))
    steps.run(run="newer")

    settled(steps, "older", older)

    assert (list(steps.quarantine.open_keys()), list(steps.parked.open_keys())) == (["1"], [])


def test_what_a_newer_run_quarantined_stays_though_an_older_one_closed_it_before(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    steps.quarantine.put("1", {"reason": "x", "record": order("1")}, run="r", now="2026-01-05T00:00:00+00:00")
    shelf(order("1"))
    back_office.fault("POST", "/create_orders/$", "status", status=503, times=50)
    older_chunks, _ = asyncio.run(steps.staged(DAY, "older"))
    shelf(order("1", shipping_address=address(**UNKNOWN), minutes=1))
    newer = pushed(steps, "newer")
    back_office.delete("/admin/faults")
    settled(steps, "older", (older_chunks, [asyncio.run(steps.push(older_chunks, 0, "older"))]))
    assert steps.quarantine.open_keys() == {}

    settled(steps, "newer", newer)

    assert list(steps.quarantine.open_keys()) == ["1"]


def test_what_was_read_early_is_old_however_late_it_is_transformed(updates: Steps, back_office: BackOffice) -> None:
    put("500", 9)
    fetched, chunks = updates.folder("older", "fetch"), updates.folder("older", "transform")

    async def in_a_task_each() -> None:
        async with updates.connector() as connector:
            await fetch(updates.spec, connector, DAY, updates.staging, fetched)
            put("550", 10)
            await updates.whole(run="newer")
            await transform(updates.spec, connector, fetched, DAY.fresh_from, {}, chunks)

    asyncio.run(in_a_task_each())
    settled(updates, "older", (chunks, [asyncio.run(updates.push(chunks, 0, "older"))]))

    assert updates.parked.open_keys()["1-1/1"]["record"]["dto"]["status"] == "550"


def test_a_parked_record_that_can_t_be_read_again_gets_no_younger(updates: Steps, back_office: BackOffice) -> None:
    """This shelf shows news by window alone: the last run begins with what was staged."""
    put("500", 9)
    updates.run()
    put("550", 10)
    newer = pushed(updates, "newer")
    NewsShelf.items.clear()
    with_the_old = pushed(updates, "with the old")

    settled(updates, "newer", newer)
    settled(updates, "with the old", with_the_old)

    assert updates.parked.open_keys()["1-1/1"]["record"]["dto"]["status"] == "550"
