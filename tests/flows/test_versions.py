"""With which version an order is linked: what the merchant changed meanwhile stays due for the channel."""

import asyncio
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.flows.state import linked
from tests.flows.steps import DAY, Steps, results
from tests.shelf import item, order


def due(office: BackOffice) -> list[str]:
    """What `update_orders` would read."""
    return [row["extra_field"]["id"] for row in office.rows("orders/updates")]


def ship(office: BackOffice, nth: int = 0) -> None:
    """The merchant ships an item."""
    pk = office.rows("order_items")[nth]["pk"]
    office.patch(f"/admin/order_items/{pk}", json={"status": "500"}).raise_for_status()


def forgotten_push(steps: Steps, run: str) -> None:
    """A push that was killed before it kept its outcomes: the order is there, and nobody says so."""
    chunks, _ = asyncio.run(steps.staged(DAY, run))
    asyncio.run(steps.push(chunks, 0, run))
    steps.owed.written(steps.owed.all())


def owe(steps: Steps, name: str, row: dict[str, Any]) -> None:
    """The link of an order as it was read."""
    link = {"content_type": "order", "pk": row["pk"], "remote_id": "1", "version_date": row["modified_date"]}
    steps.owed.owe(name, [link])


@pytest.mark.parametrize("touches", [True, False])
def test_what_was_just_created_is_not_told_the_channel(
    steps: Steps, back_office: BackOffice, shelf, touches: bool
) -> None:
    back_office.switch(item_touches_order=touches)
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"), order("2"))

    steps.run()
    assert due(back_office) == []

    steps.run()
    assert due(back_office) == []


@pytest.mark.parametrize("run", ["killed", "next"])
def test_what_was_changed_before_an_order_was_recognised_is_told(
    steps: Steps, back_office: BackOffice, shelf, run: str
) -> None:
    shelf(order("1"))
    forgotten_push(steps, "killed")
    ship(back_office)

    steps.run(run=run)

    assert back_office.linked("order").keys() == {"1"}
    assert due(back_office) == ["1"]


def test_what_was_changed_before_another_run_linked_the_order_is_told(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """Whichever run's file comes first in the folder of what is owed."""
    for number in range(6):
        back_office.start_again()
        one = Steps(steps.url, steps.home / str(number))
        shelf(order("1"))
        chunks, _ = asyncio.run(one.staged(DAY, f"A{number}"))
        asyncio.run(one.push(chunks, 0, f"A{number}"))
        ship(back_office)

        one.run(run=f"B{number}")

        assert due(back_office) == ["1"]


def test_items_that_are_linked_later_are_linked_as_they_were_created(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    forgotten_push(steps, "killed")
    [row] = back_office.rows("orders")
    owe(steps, "the order alone", row)
    shelf()
    steps.run()
    ship(back_office, 1)
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))

    assert results(steps.run()) == {"already_there": 1}

    assert sorted(linked(back_office).values()) == ["1", "1-1/1", "1-1/2"]
    created = {row["pk"]: row["created_date"] for row in back_office.rows("order_items")}
    actions = back_office.rows("integration_actions", content_type_name="orderitem")
    assert {int(row["object_id"]): row["version_date"] for row in actions} == created
    assert due(back_office) == ["1"]


@pytest.mark.parametrize("names", ["01", "10"])
def test_of_two_links_of_an_order_the_older_version_counts(
    steps: Steps, back_office: BackOffice, shelf, names: str
) -> None:
    shelf(order("1"))
    forgotten_push(steps, "killed")
    [created] = back_office.rows("orders")
    ship(back_office)
    [changed] = back_office.rows("orders")
    for name, row in zip(names, (created, changed), strict=True):
        owe(steps, name, row)
    shelf()

    steps.run()

    assert due(back_office) == ["1"]
