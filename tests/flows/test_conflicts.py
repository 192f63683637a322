"""The same remote id with other content is a conflict, never an overwriting; another status or date is none."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.flows.state import state_of
from tests.flows.steps import DAY, Steps, results
from tests.shelf import NOON, item, order

LATER = (NOON + timedelta(minutes=9)).isoformat()
TWO = [item("1"), item("1", unit=2)]
CONFLICTS: dict[str, tuple[str, dict[str, Any]]] = {
    "another number": ("order.number", {"number": "N9"}),
    "another currency": ("order.currency", {"currency": "EUR", "items": [item("1", price_currency="EUR")]}),
    "another amount": ("order.amount", {"amount": "60.01"}),
    "more items": ("order.amount", {"items": TWO, "amount": "110.00"}),
    "more items for the same amount": ("order_item", {"items": [item("1", price="25.00"), item("1", 2, price="25")]}),
    "another item": ("order_item", {"items": [item("1", line=2)]}),
    "another product": ("order_item", {"items": [item("1", product="SKU-2")]}),
}
NO_CONFLICTS: dict[str, dict[str, Any]] = {
    "another status": {"status": "500"},
    "another status of an item": {"items": [item("1", status="500", tracking_number="T1")]},
    "another date": {"created_at": LATER},
    "another modification": {"modified_at": LATER},
    "another spelling of money": {"amount": "60", "items": [item("1", price="50.0")]},
    "another spelling of the currency": {"currency": "try"},
    "other notes": {"notes": "Zili çalmayın.", "extra_field": {"state": "SHIPPED"}},
}


@pytest.mark.parametrize("kind", CONFLICTS)
def test_other_content_under_a_known_id_is_a_conflict(steps: Steps, back_office: BackOffice, shelf, kind: str) -> None:
    field, own = CONFLICTS[kind]
    shelf(order("1"))
    steps.run()
    before = state_of(back_office)
    shelf(order("1", **own), order("2"))

    balance = steps.run()

    assert results(balance) == {"created": 1, "quarantined": 1}
    assert steps.keys(steps.quarantine) == {"1": ("conflict", field)}
    after = state_of(back_office)
    assert all(after["orders"][one] == 1 for one in before["orders"])
    assert all(after["items"][one] == 1 for one in before["items"])
    assert all(after["links"][one] == 1 for one in before["links"])
    assert len(after["orders"]) == 2


@pytest.mark.parametrize("kind", NO_CONFLICTS)
def test_another_status_or_date_is_no_conflict(steps: Steps, back_office: BackOffice, shelf, kind: str) -> None:
    shelf(order("1"))
    steps.run()
    before = state_of(back_office)
    shelf(order("1", **NO_CONFLICTS[kind]))

    balance = steps.run()

    assert results(balance) == {"already_there": 1}
    assert state_of(back_office) == before


def test_a_conflict_that_the_channel_takes_back_leaves_quarantine(steps: Steps, shelf) -> None:
    for own in ({}, {"amount": "60.01"}, {}):
        shelf(order("1", **own))
        balance = steps.run()

    assert results(balance) == {"already_there": 1}
    assert steps.keys(steps.quarantine) == {}
    assert steps.quarantine.get("1")["state"] == "superseded"


def test_two_versions_in_one_window_that_contradict_each_other_are_a_conflict(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"), order("1", amount="60.01", minutes=1), order("2"))

    balance = steps.run()

    assert (balance.rows, balance.duplicates, balance.distinct) == (3, 1, 2)
    assert results(balance) == {"created": 1, "quarantined": 1}
    assert steps.keys(steps.quarantine) == {"1": ("conflict", "record")}
    assert set(back_office.linked("order")) == {"2"}


def test_of_two_versions_that_agree_the_later_counts(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1", minutes=1, notes="later"), order("1", notes="earlier"))

    balance = steps.run()

    assert results(balance) == {"created": 1}
    assert [row["notes"] for row in back_office.rows("orders")] == ["later"]


def test_orders_of_another_client_are_taken_over_where_they_are_the_same(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """The client that was here before leaves no fingerprint, and may have linked an order alone, or nothing."""
    shelf(order("0"))
    steps.run()
    [model] = back_office.rows("orders")
    [unit] = back_office.rows("order_items")
    for key in ("1", "2", "3"):
        make(back_office, model, unit, key)
    back_office.post("/api/v1/channel/1/integration_actions/", json=link(back_office, "1")).raise_for_status()
    shelf(order("1"), order("2"), order("3", items=[item("3", line=7)]))

    balance = steps.run()

    assert results(balance) == {"already_there": 2, "quarantined": 1}
    assert steps.keys(steps.quarantine) == {"3": ("conflict", "order_item")}
    # The order that was linked already keeps its link as it was: its version_date says what the channel was told.
    links = back_office.rows("integration_actions", content_type_name="order")
    assert sorted(row["remote_id"] for row in links) == ["0", "1", "2", "3"]
    assert set(back_office.linked("orderitem")) == {"0-1/1", "1-1/1", "2-1/1", "3-1/1"}


def make(office: BackOffice, model: dict[str, Any], unit: dict[str, Any], key: str) -> None:
    body = {
        "order": {**model, "number": f"N{key}", "extra_field": {"id": key}},
        "order_item": [{**unit, "extra_field": {"id": f"{key}-1/1"}}],
    }
    office.post("/api/v1/channel/1/create_orders/", json=body).raise_for_status()


def link(office: BackOffice, key: str) -> dict[str, Any]:
    [row] = office.rows("orders", number=f"N{key}")
    return {"channel_id": 1, "content_type": "order", "object_id": row["pk"], "remote_id": key}


def test_what_was_seen_before_is_counted_apart(steps: Steps, shelf) -> None:
    """In the overlap with the window before it is no news."""
    shelf(order("1"), order("2", minutes=30))
    steps.run()

    balance = steps.run(replace(DAY, fresh_from=NOON + timedelta(minutes=10)))

    assert results(balance) == {"seen_before": 1, "already_there": 1}
    assert balance.holds
