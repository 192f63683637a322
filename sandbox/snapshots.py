"""A stand-in's database as it is, kept in a file and put back: what is told many times begins the same each time."""

import sqlite3
from contextlib import closing
from pathlib import Path


def keep(database: sqlite3.Connection, path: Path) -> None:
    """Between two requests: the file is one moment of the database."""
    path.unlink(missing_ok=True)
    with closing(sqlite3.connect(path)) as file:
        database.backup(file)


def put_back(database: sqlite3.Connection, path: Path) -> None:
    """Everything that was done since is forgotten; a clock goes on, so that nothing happens twice at one time."""
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as file:
        file.backup(database)
