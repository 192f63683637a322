"""SQLite behind the stand-in: one connection, one request one transaction, and a clock that never stands still."""

import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from sandbox.omnitron.schema import LOCATIONS, TABLES, Table

Row = dict[str, Any]


def iso(moment: datetime) -> str:
    """Omnitron's form of a time: UTC, always microseconds, Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def fold(text: Any) -> Any:
    """Lower case as Turkish has it: İ and i are one letter, I and ı another."""
    return text.replace("İ", "i").replace("I", "ı").lower() if isinstance(text, str) else text


class Clock:
    """Every reading is later than the one before, so that each change has a modified_date of its own."""

    def __init__(self) -> None:
        self.last = datetime.fromtimestamp(0, UTC)

    def now(self) -> str:
        self.last = max(datetime.now(UTC), self.last + timedelta(microseconds=1))
        return iso(self.last)


class Database:
    """The tables of ``schema.py`` in a file, or in memory."""

    def __init__(self, path: str) -> None:
        # One event loop uses it, so calls follow each other; the thread is another one than the maker's in tests.
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.row_factory = sqlite3.Row
        self.connection.create_function("fold", 1, fold, deterministic=True)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.clock = Clock()
        with self.transaction():
            for table in TABLES.values():
                for statement in table.ddl():
                    self.connection.execute(statement)
        self._catch_up()

    def _catch_up(self) -> None:
        for name in ("orders", "order_items", "customers", "cancellation_requests", "batch_requests"):
            latest = self.connection.execute(f"SELECT MAX(modified_date) FROM {name}").fetchone()[0]  # noqa: S608
            if latest:
                self.clock.last = max(self.clock.last, datetime.fromisoformat(latest))

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self.connection.execute("ROLLBACK")
            raise
        self.connection.execute("COMMIT")

    def insert(self, name: str, values: Mapping[str, Any]) -> Row:
        """Adds a row, dated now; JSON columns without a value are empty objects, switches without one are off."""
        table = TABLES[name]
        row: Row = {column: {} for column in table.json_columns} | dict.fromkeys(table.bool_columns, False)
        if "created_date" in table.columns:
            row |= dict.fromkeys(("created_date", "modified_date"), self.clock.now())
        row |= values
        pk = row.pop("pk", None)
        names = ", ".join(f'"{column}"' for column in row)
        marks = ", ".join("?" * len(row))
        key = "?" if pk is not None else f"(SELECT COALESCE(MAX(pk), {table.first - 1}) + 1 FROM {name})"  # noqa: S608
        cursor = self.connection.execute(
            f"INSERT INTO {name} (pk, {names}) VALUES ({key}, {marks})",  # noqa: S608
            [*([pk] if pk is not None else []), *_encoded(table, row)],
        )
        return {"pk": cursor.lastrowid, **dict.fromkeys(table.columns), **row}

    def update(self, name: str, pk: int, values: Mapping[str, Any]) -> None:
        """Changes a row and moves its modified_date."""
        table = TABLES[name]
        row = dict(values)
        if "modified_date" in table.columns:
            row["modified_date"] = self.clock.now()
        changes = ", ".join(f'"{column}" = ?' for column in row)
        self.connection.execute(
            f"UPDATE {name} SET {changes} WHERE pk = ?",  # noqa: S608
            [*_encoded(table, row), pk],
        )

    def rows(self, name: str, where: str = "1", params: Iterable[Any] = (), tail: str = "") -> list[Row]:
        table = TABLES[name]
        found = self.connection.execute(f"SELECT * FROM {name} WHERE {where} {tail}", list(params))  # noqa: S608
        return [_decoded(table, row) for row in found]

    def one(self, name: str, where: str, *params: Any) -> Row | None:
        found = self.rows(name, where, params, "LIMIT 1")
        return found[0] if found else None

    def get(self, name: str, pk: int) -> Row | None:
        return self.one(name, "pk = ?", pk)

    def exists(self, name: str, pk: int) -> bool:
        return self.connection.execute(f"SELECT 1 FROM {name} WHERE pk = ?", [pk]).fetchone() is not None  # noqa: S608

    def count(self, name: str, where: str = "1", params: Iterable[Any] = ()) -> int:
        found = self.connection.execute(f"SELECT COUNT(*) FROM {name} WHERE {where}", list(params))  # noqa: S608
        return int(found.fetchone()[0])

    def clear(self) -> None:
        """Empties every table but those that are there by themselves."""
        for name in TABLES:
            if name not in LOCATIONS:
                self.connection.execute(f"DELETE FROM {name}")  # noqa: S608


def shown(name: str, row: Row) -> Row:
    """A row as the API shows it: pk and id, without the stand-in's own columns."""
    hidden = TABLES[name].hidden
    return {"pk": row["pk"], "id": row["pk"], **{key: value for key, value in row.items() if key not in hidden}}


def _encoded(table: Table, row: Row) -> list[Any]:
    return [
        json.dumps(value, ensure_ascii=False)
        if value is not None and table.columns[column] == "json"
        else value
        for column, value in row.items()
    ]  # fmt: skip


def _decoded(table: Table, stored: sqlite3.Row) -> Row:
    row = dict(stored)
    for column in table.json_columns:
        if row[column] is not None:
            row[column] = json.loads(row[column])
    for column in table.bool_columns:
        if row[column] is not None:
            row[column] = bool(row[column])
    return row
