"""The main job's check: it agrees with a real run, and turns red for everything that could be wrong."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.flows.windows import Reading
from sandbox.faults import running
from sandbox.marketplace.app import create_app as create_marketplace
from sandbox.omnitron import create_app as create_omnitron
from sandbox.run import check_marketplace
from sandbox.run.compare import differences, table_differences
from sandbox.run.expected import Expected
from sandbox.run.plan import BAD, RATE, SEED, START
from sandbox.run.state import Secrets
from sandbox.run.world import MARKETPLACE, world
from tests.conftest import PASSWORD
from tests.flows.steps import Steps, config

KEY = "a-key"
END = START + timedelta(hours=8)
EXPECTED = check_marketplace.expected(end=END)

Table = dict[str, Any]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Table]:
    """The database after a real run of the flow, and what the run counted."""
    home = tmp_path_factory.mktemp("run")
    database = home / "omnitron.sqlite"
    told = world(Secrets(omnitron_password=PASSWORD))
    shop = create_marketplace(":memory:", seed=SEED, rate=RATE, bad=BAD, api_key=KEY, calls_per_second=None)
    with running(create_omnitron(str(database), told)) as omnitron, running(shop) as marketplace:
        channel = config(name="marketplace", connector="marketplace", omnitron_channel_id=MARKETPLACE)
        steps = Steps(omnitron, home, channel=channel, connection=ChannelConnection(marketplace, password=KEY))
        balance = steps.run(Reading(Window(START, END), START))
    return database, balance.as_row()


@pytest.fixture
def database(done: tuple[Path, Table], tmp_path: Path) -> Path:
    """A copy to tamper with."""
    copy = tmp_path / "copy.sqlite"
    with closing(sqlite3.connect(done[0])) as connection:
        connection.execute("VACUUM INTO ?", [str(copy)])
    return copy


def check(database: Path, expected: Expected = EXPECTED) -> list[str]:
    return differences(database, MARKETPLACE, expected)


def tamper(database: Path, statement: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount, f"changed nothing: {statement}"


def test_the_day_is_large_and_has_bad_orders() -> None:
    day = check_marketplace.expected()
    assert len(day.orders) > 250
    assert len(day.quarantined) == 18
    assert day.rows > day.distinct


def test_a_real_run_is_fine(done: tuple[Path, Table]) -> None:
    database, table = done
    assert check(database) == []
    assert table_differences(table, EXPECTED) == []


FIRST = "(SELECT MIN(pk) FROM orders)"
FIRST_ITEM = "(SELECT MIN(pk) FROM order_items)"
HOME, BILL = (f"(SELECT {which}_address FROM orders WHERE pk = {FIRST})" for which in ("shipping", "billing"))
OTHER_CARRIER = "(SELECT pk FROM cargos WHERE pk <> cargo_company LIMIT 1)"
FIRST_KEY = f"(SELECT json_extract(extra_field, '$.id') FROM orders WHERE pk = {FIRST})"
OF_FIRST = f"content_type = 'order' AND object_id = {FIRST}"
LINKED_ITEM = "(SELECT MIN(pk) FROM integration_actions WHERE content_type = 'orderitem')"
TAMPERED = {
    "an order is missing": f"DELETE FROM orders WHERE pk = {FIRST}",
    "number": f"UPDATE orders SET number = 'X' WHERE pk = {FIRST}",
    "currency": f"UPDATE orders SET currency = 'usd' WHERE pk = {FIRST}",
    "amount": f"UPDATE orders SET amount = amount + 0.01 WHERE pk = {FIRST}",
    "discount": f"UPDATE orders SET discount_amount = '0.01' WHERE pk = {FIRST}",
    "date": f"UPDATE orders SET date_placed = '2026-03-01T00:00:00Z' WHERE pk = {FIRST}",
    "carrier": f"UPDATE orders SET cargo_company = {OTHER_CARRIER} WHERE pk = {FIRST}",
    "customer": f"UPDATE orders SET customer = (SELECT MAX(pk) FROM customers) WHERE pk = {FIRST}",
    "an item is missing": f"DELETE FROM order_items WHERE pk = {FIRST_ITEM}",
    "item price": f"UPDATE order_items SET price = '0.01' WHERE pk = {FIRST_ITEM}",
    "item discount": f"UPDATE order_items SET discount_amount = '0.01' WHERE pk = {FIRST_ITEM}",
    "item currency": f"UPDATE order_items SET price_currency = 'usd' WHERE pk = {FIRST_ITEM}",
    "product": f"UPDATE order_items SET product = product + 1 WHERE pk = {FIRST_ITEM}",
    "order not linked": f"DELETE FROM integration_actions WHERE {OF_FIRST}",
    "item not linked": f"DELETE FROM integration_actions WHERE pk = {LINKED_ITEM}",
    "wrong link": f"UPDATE integration_actions SET remote_id = 'X' WHERE {OF_FIRST}",
    "link not in success": f"UPDATE integration_actions SET status = 'processing' WHERE {OF_FIRST}",
    "customer's name": "UPDATE customers SET first_name = first_name || '?'",
    "customer's phone": "UPDATE customers SET phone_number = '+905550000000'",
    "address line": f"UPDATE addresses SET line = 'X' WHERE pk = {HOME}",
    "city": f"UPDATE addresses SET city = city + 1 WHERE pk = {HOME}",
    "name on the bill": f"UPDATE addresses SET last_name = 'X' WHERE pk = {BILL}",
    "open batch request": "UPDATE batch_requests SET status = 'commit'",
    "no report": "DELETE FROM error_reports",
    "report of a good order": f"UPDATE error_reports SET is_ok = 0, error_desc = {FIRST_KEY} || ': money_negative'",
}


@pytest.mark.parametrize("statement", TAMPERED.values(), ids=TAMPERED)
def test_what_was_tampered_with_is_found(database: Path, statement: str) -> None:
    tamper(database, statement)
    assert check(database) != []


def test_a_doubled_order_is_found(database: Path) -> None:
    columns = "number || '-2', channel, date_placed, customer, currency, amount, discount_amount, extra_field"
    into = "number, channel, date_placed, customer, currency, amount, discount_amount, extra_field"
    tamper(database, f"INSERT INTO orders ({into}) SELECT {columns} FROM orders WHERE pk = {FIRST}")
    assert any("is in Omnitron 2 times" in sentence for sentence in check(database))


def test_a_doubled_customer_is_found(database: Path) -> None:
    into = "channel, email, channel_code, first_name, last_name, phone_number"
    columns = "channel, upper(email), channel_code || '-2', first_name, last_name, phone_number"
    where = f"pk = (SELECT customer FROM orders WHERE pk = {FIRST})"
    tamper(database, f"INSERT INTO customers ({into}) SELECT {columns} FROM customers WHERE {where}")
    assert any("is in Omnitron 2 times" in sentence for sentence in check(database))


def test_an_order_that_nobody_placed_is_found(database: Path) -> None:
    tamper(database, f"UPDATE orders SET extra_field = json_set(extra_field, '$.id', 'X') WHERE pk = {FIRST}")
    found = check(database)
    assert "order X is in Omnitron, but the channel has none such" in found
    assert any("is missing" in sentence for sentence in found)


def test_a_bad_order_that_arrived_is_found(database: Path) -> None:
    key = next(iter(EXPECTED.quarantined))
    tamper(database, f"UPDATE orders SET extra_field = json_set(extra_field, '$.id', '{key}') WHERE pk = {FIRST}")
    assert any(f"order {key} is in Omnitron, but was to be quarantined" in sentence for sentence in check(database))


def test_orders_of_another_window_are_not_its_business(database: Path) -> None:
    shorter = check_marketplace.expected(end=END - timedelta(hours=1))
    assert [text for text in check(database, shorter) if "none such" in text] == []


def test_differences_name_no_person(database: Path) -> None:
    tamper(database, "UPDATE addresses SET line = 'elsewhere', first_name = 'somebody'")
    with closing(sqlite3.connect(database)) as connection:
        people = {row[0] for row in connection.execute("SELECT email FROM customers")}
    found = check(database)
    assert found
    assert not any(secret in sentence for sentence in found for secret in (*people, "elsewhere", "somebody"))


@pytest.mark.parametrize(
    "wrong",
    [
        {"rows": 1},
        {"duplicates": 99},
        {"created": 0},
        {"quarantined": 0},
        {"parked": 1},
        {"reasons": {}},
    ],
)
def test_a_run_that_counted_wrong_is_found(done: tuple[Path, Table], wrong: Table) -> None:
    assert len(table_differences({**done[1], **wrong}, EXPECTED)) == 1
