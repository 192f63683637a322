"""Flow 1 against the sandbox Omnitron: what becomes of good orders."""

from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.flows.steps import Steps, results
from tests.shelf import customer, item, order


@pytest.mark.defect("O4", "O14", "O19")
def test_orders_arrive_with_their_customer_addresses_items_and_links(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(
        order(
            "1", items=[item("1"), item("1", unit=2, price="49.50"), item("1", line=2, price="0.50")], amount="110.00"
        )
    )

    balance = steps.run()

    assert results(balance) == {"created": 1}
    assert steps.verdict(balance) is None
    [row] = back_office.rows("orders")
    assert (row["number"], row["currency"], row["amount"]) == ("N1", "try", "110.00")
    assert row["date_placed"] == "2026-01-05T09:00:00.000000Z"
    assert sorted(i["price"] for i in back_office.rows("order_items", order=row["pk"])) == ["0.50", "49.50", "50.00"]
    assert back_office.linked("order") == {"1": row["pk"]}
    assert set(back_office.linked("orderitem")) == {"1-1/1", "1-1/2", "1-2/1"}
    assert [batch["status"] for batch in back_office.rows("batch_requests")] == ["done"]


@pytest.mark.defect("O3")
def test_a_second_run_creates_nothing(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*(order(str(number), minutes=number) for number in range(5)))
    steps.run()

    balance = steps.run()

    assert results(balance) == {"already_there": 5}
    assert len(back_office.rows("orders")) == 5
    assert len(back_office.rows("batch_requests")) == 1


def test_a_buyer_who_changed_and_changed_back_in_one_run_stays_so_whatever_is_backfilled(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    def named(key: str, minutes: int, name: str) -> dict[str, Any]:
        return order(key, minutes=minutes, buyer="ayse", customer=customer("ayse", first_name=name))

    shelf(named("1", 0, "Ayşe"), named("2", 10, "Fatma"), named("3", 20, "Ayşe"))
    steps.run()
    shelf(named("4", 15, "Fatma"))

    steps.run()

    assert [row["first_name"] for row in back_office.rows("customers")] == ["Ayşe"]


def test_items_whose_ids_are_unique_only_within_their_order_are_linked_each(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """The second order's item lost its link; the first one's has the same id."""
    shelf(*(order(key, minutes=int(key), items=[item("x", line=1)]) for key in ("1", "2")))
    steps.run()
    actions = back_office.rows("integration_actions", content_type_name="orderitem", status="success")
    assert len(actions) == 2
    lost = actions[1]
    path = f"/api/v1/channel/1/integration_actions/{lost['pk']}/"
    back_office.patch(path, json={"remote_id": "of-nobody"}).raise_for_status()

    balance = steps.run()

    assert results(balance) == {"already_there": 2}
    links = back_office.rows("integration_actions", content_type_name="orderitem")
    assert [row["remote_id"] for row in links] == ["x-1/1", "x-1/1"]
