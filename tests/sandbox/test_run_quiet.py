"""A round that writes is found: in the databases, and in the calls."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.run import quiet
from sandbox.run.quiet import Calls


@pytest.fixture
def database(tmp_path: Path) -> Path:
    file = tmp_path / "some.sqlite"
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE orders (pk INTEGER PRIMARY KEY, status TEXT)")
        connection.execute("CREATE TABLE users (pk INTEGER PRIMARY KEY, token TEXT)")
        connection.execute("INSERT INTO orders (status) VALUES ('400'), ('500')")
        connection.execute("INSERT INTO users (token) VALUES ('a')")
    return file


def after(database: Path, statement: str) -> list[str]:
    before = quiet.of_sqlite(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(statement).rowcount
    return list(quiet.changes("Omnitron", before, quiet.of_sqlite(database)))


WRITTEN = {
    "a change": ("UPDATE orders SET status = '100' WHERE pk = 1", "changed 1 rows of orders, made 0 and removed 0"),
    "a new row": ("INSERT INTO orders (status) VALUES ('400')", "changed 0 rows of orders, made 1 and removed 0"),
    "a removal": ("DELETE FROM orders WHERE pk = 2", "changed 0 rows of orders, made 0 and removed 1"),
}


@pytest.mark.parametrize(("statement", "what"), WRITTEN.values(), ids=WRITTEN)
def test_what_a_round_wrote_is_found(database: Path, statement: str, what: str) -> None:
    assert after(database, statement) == [f"Omnitron: the round {what}"]


def test_a_log_in_is_no_change(database: Path) -> None:
    assert after(database, "UPDATE users SET token = 'b'") == []


@pytest.fixture
def shop() -> Iterator[httpx.Client]:
    app = create_app(calls_per_second=None)
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
        yield client


def test_calls_that_write_are_found_and_reading_and_what_was_before_are_not(shop: httpx.Client) -> None:
    calls = Calls("marketplace", str(shop.base_url))
    shop.post("/api/claims/1/approve")
    # when
    calls.skip()
    shop.get("/api/claims/reasons")
    # then
    assert list(calls.writing()) == []
    # when
    for _ in range(2):
        shop.post("/api/claims/1/approve")
    # then
    assert list(calls.writing()) == ["marketplace: the round called POST /api/claims/1/approve 2 times"]
