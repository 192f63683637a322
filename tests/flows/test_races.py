"""The same things at the same time: everything is there once."""

import asyncio
from pathlib import Path

import pytest

from tests.conftest import BackOffice
from tests.flows.state import linked, no_batch_is_open
from tests.flows.steps import Steps, config, results
from tests.shelf import address, customer, item, order


def everything_is_there_once(office: BackOffice, keys: set[str], buyers: int) -> bool:
    rows, items = office.rows("orders"), office.rows("order_items")
    assert sorted(row["extra_field"]["id"] for row in rows) == sorted(keys)
    assert len(office.rows("customers")) == buyers
    assert len(office.rows("addresses")) == buyers
    wanted = {("order", row["pk"]) for row in rows} | {("orderitem", row["pk"]) for row in items}
    return set(linked(office)) == wanted and no_batch_is_open(office)


async def at_once(*deployments: Steps, times: int = 1):
    runs = [steps.whole(run=f"run-{n}", tries=3, patient=True) for steps in deployments for n in range(times)]
    return await asyncio.gather(*runs)


@pytest.mark.defect("G3")
@pytest.mark.parametrize("times", [2, 4])
def test_a_window_that_is_run_twice_at_once_makes_every_order_once(
    steps: Steps, back_office: BackOffice, shelf, times: int
) -> None:
    shelf(*(order(str(number), minutes=number, buyer=f"b{number % 3}") for number in range(12)))

    balances = asyncio.run(at_once(steps, times=times))

    assert all(balance.holds and not balance.failed for balance in balances)
    assert sum(results(balance)["created"] for balance in balances) == 12
    assert everything_is_there_once(back_office, {str(number) for number in range(12)}, 3)


@pytest.mark.defect("G3")
def test_two_deployments_at_once_make_every_order_once(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf
) -> None:
    """They share no staging, so neither knows of the other's batch requests: each waits for the other's lock."""
    shelf(*(order(str(number), minutes=number, buyer=f"b{number % 3}") for number in range(12)))

    balances = asyncio.run(at_once(Steps(omnitron_url, tmp_path / "one"), Steps(omnitron_url, tmp_path / "two")))

    assert all(balance.holds and not balance.failed for balance in balances)
    assert everything_is_there_once(back_office, {str(number) for number in range(12)}, 3)


@pytest.mark.parametrize("chunk_size", [1, 250])
def test_two_orders_of_a_new_customer_make_one_customer(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf, chunk_size: int
) -> None:
    shelf(order("1", buyer="ayse"), order("2", buyer="ayse"), order("3", buyer="fatma"))

    Steps(omnitron_url, tmp_path, config(limits={"chunk_size": chunk_size})).run()

    assert everything_is_there_once(back_office, {"1", "2", "3"}, 2)


def test_a_customer_with_two_codes_or_two_addresses_of_mail_is_one(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    """A shared e-mail, then a shared code: the three are tied together, however they are chunked."""
    at = {"shipping_address": address("a"), "billing_address": address("a")}
    shelf(
        order("1", **at, customer=customer("a", channel_code="c1")),
        order("2", **at, minutes=1, customer=customer("a", channel_code="c2")),
        order("3", **at, minutes=2, customer=customer("b", channel_code="c1")),
    )

    balance = steps.run()

    assert results(balance) == {"created": 3}
    [buyer] = back_office.rows("customers")
    assert buyer["email"] == "b@example.com"
    assert everything_is_there_once(back_office, {"1", "2", "3"}, 1)


def test_two_channels_share_a_mail_address_and_each_has_its_customer(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf
) -> None:
    back_office.told(products=[{"channel": 2, "remote_id": "SKU-1", "sku": "SKU-1"}])
    shelf(order("1", buyer="ayse"), order("2", buyer="ayse"))
    one = Steps(omnitron_url, tmp_path)
    other = Steps(omnitron_url, tmp_path, config(name="other", omnitron_channel_id=2))

    balances = asyncio.run(at_once(one, other))

    assert [results(balance) for balance in balances] == [{"created": 2}, {"created": 2}]
    for channel in (1, 2):
        rows = back_office.rows("orders", channel)
        assert sorted(row["extra_field"]["id"] for row in rows) == ["1", "2"]
        assert len(back_office.rows("customers", channel)) == 1
        assert len(back_office.rows("addresses", channel)) == 1
        assert {pk for kind, pk in linked(back_office, channel) if kind == "order"} == {row["pk"] for row in rows}


def test_older_news_of_a_customer_never_overwrite_newer_ones(steps: Steps, back_office: BackOffice, shelf) -> None:
    new = customer("ayse", phone_number="+905331111111")
    shelf(order("2", buyer="ayse", minutes=60, customer=new))
    steps.run()
    shelf(order("1", buyer="ayse", minutes=1), order("2", buyer="ayse", minutes=60, customer=new))

    steps.run()

    assert [row["phone_number"] for row in back_office.rows("customers")] == ["+905331111111"]


def test_a_customer_who_changes_and_changes_back_ends_as_in_the_last_order(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    there = customer("ayse", phone_number="+905331111111")
    shelf(
        order("1", buyer="ayse", minutes=1),
        order("2", buyer="ayse", minutes=2, customer=there),
        order("3", buyer="ayse", minutes=3),
    )

    steps.run()

    assert [row["phone_number"] for row in back_office.rows("customers")] == [customer()["phone_number"]]


def test_an_item_id_that_several_items_share_links_all_of_them(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1", items=[item("1"), item("1")], amount="110.00"))

    steps.run()
    again = steps.run()

    assert results(again) == {"already_there": 1}
    assert everything_is_there_once(back_office, {"1"}, 1)
    assert len([1 for kind, _ in linked(back_office) if kind == "orderitem"]) == 2
