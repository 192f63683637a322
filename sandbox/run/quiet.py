"""Whether a round of flows wrote anything: what is in the databases before and after it, and the calls meanwhile."""

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from hashlib import sha256
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg import sql

from sandbox.run.errors import RunError

Content = Mapping[str, Counter[bytes]]  # digests of a table's rows

LOG_INS = "users"  # where Omnitron keeps its tokens
READING = ("GET", "HEAD", "OPTIONS")
LOG_IN = "/auth/login/"
# Medusa's own housekeeping: when a key was used last, and what its engine remembers of itself.
OF_NO_ORDER = ("api_key", "auth_identity", "provider_identity", "user", "workflow_execution", "mikro_orm_migrations")


def of_sqlite(database: Path) -> Content:
    """Every table but that of log-ins."""
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {
            name: Counter(_digest(row) for row in connection.execute(f'SELECT * FROM "{name}"'))  # noqa: S608
            for name in names
            if name != LOG_INS
        }


def of_postgres(url: str) -> Content:
    """Every table that has to do with orders, stock or money."""
    with psycopg.connect(url) as connection:
        names = [
            name
            for (name,) in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
            if name not in OF_NO_ORDER
        ]
        query = sql.SQL("SELECT t::text FROM {} t")
        return {
            name: Counter(_digest(row) for row in connection.execute(query.format(sql.Identifier(name))))
            for name in names
        }


def changes(name: str, before: Content, after: Content) -> Iterator[str]:
    """A sentence a table that is not as it was."""
    for table in sorted(set(before) | set(after)):
        old, new = before.get(table, Counter()), after.get(table, Counter())
        gone, come = (old - new).total(), (new - old).total()
        if gone or come:
            changed = min(gone, come)
            made, removed = come - changed, gone - changed
            yield f"{name}: the round changed {changed} rows of {table}, made {made} and removed {removed}"


class Calls:
    """The calls that a stand-in records."""

    def __init__(self, name: str, url: str) -> None:
        self._name, self._url = name, url
        self._seen = 0

    def skip(self) -> None:
        """What was called so far is not looked at."""
        self._seen = max((call["id"] for call in self._new()), default=self._seen)

    def writing(self) -> Iterator[str]:
        """A sentence for each kind of call since then that was to write something; log-ins are none."""
        found = Counter(
            f"{call['method']} {call['path']}"
            for call in self._new()
            if call["method"] not in READING and not call["path"].endswith(LOG_IN)
        )
        return (f"{self._name}: the round called {what} {times} times" for what, times in found.items())

    def _new(self) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self._url}/admin/requests", params={"since": self._seen}, timeout=60, trust_env=False)
        if answer.is_error:
            raise RunError(f"{self._name} answers {answer.status_code} to the question what was called")
        return list(answer.json())


def _digest(row: tuple[Any, ...]) -> bytes:
    return sha256(repr(row).encode()).digest()
