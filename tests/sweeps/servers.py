"""Both stand-ins in a process of their own, so that a task may be killed, and a snapshot be put back, beside them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from sandbox.faults import running
from sandbox.marketplace.app import create_app as create_marketplace
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.generator import Plan
from sandbox.marketplace.order import millis
from sandbox.omnitron import create_app as create_omnitron
from sandbox.run.world import MARKETPLACE_REASONS, REASONS
from sandbox.snapshots import keep, put_back
from tests.conftest import PASSWORD, USER
from tests.sweeps.wire import end_with_parent

PLAN = Plan(seed=1923)
BEGIN = datetime(2026, 3, 2, tzinfo=UTC)
FIRST = PLAN.slot_at(millis(BEGIN))
DAY = 288  # slots
# Plain orders of one to three units; then a product that nobody mapped, a text to be cut, a city that nobody mapped, a
# buyer who comes back with another phone number, and a number that is given twice.
PLAIN, SPECIAL = (2, 3, 6, 7), (8, 49, 56, 273, 280)
BETWEEN = BEGIN + timedelta(minutes=5 * 8)  # plain ones before, special ones after
END = BEGIN + timedelta(days=1)
WORLD: dict[str, Any] = {
    "users": [{"username": USER, "password": PASSWORD}],
    "catalogs": [{"id": 1, "name": "default", "price_list": 1, "stock_list": 1}],
    "channels": [{"id": 1, "name": "kervan", "catalog": 1, "conf": {"reason_mapping": MARKETPLACE_REASONS}}],
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "cancellation_reasons": [
        {"id": pk, "subject": subject, "cancellation_type": kind} for pk, subject, kind in REASONS
    ],
    "products": [{"channel": 1, "remote_id": one.id, "sku": one.id} for one in catalogue()],
}  # fmt: skip


class Servers:
    """Their addresses, and what can be done to their databases. Files, so that whoever plays a part may read them."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._pipe, theirs = get_context("fork").Pipe()
        self._process = get_context("fork").Process(target=_serve, args=(home, theirs, self._pipe), daemon=True)
        self._process.start()
        theirs.close()
        self.omnitron, self.channel = self._pipe.recv()
        self.omnitron_database, self.channel_database = (home / f"{name}.db" for name in ("omnitron", "channel"))

    def keep(self, folder: Path) -> None:
        """Both databases as they are."""
        self._do("keep", folder)

    def put_back(self, folder: Path) -> None:
        """Both databases as they were."""
        self._do("put_back", folder)

    def close(self) -> None:
        self._pipe.close()
        self._process.join(timeout=10)

    def _do(self, what: str, folder: Path) -> None:
        self._pipe.send((what, folder))
        if error := self._pipe.recv():
            raise RuntimeError(error)


def _serve(home: Path, pipe: Connection, theirs: Connection) -> None:
    """Until nobody holds the pipe's other end any more."""
    end_with_parent()
    theirs.close()
    with _both(home) as (urls, databases, look_again):
        pipe.send(urls)
        while True:
            try:
                what, folder = pipe.recv()
            except (EOFError, OSError):
                os._exit(0)
            try:
                for name, database in databases.items():
                    (keep if what == "keep" else put_back)(database, folder / f"{name}.db")
                look_again()
                pipe.send("")
            except Exception as error:  # noqa: BLE001 - told to whoever asked
                pipe.send(repr(error))


@contextmanager
def _both(home: Path) -> Iterator[Any]:
    market = create_marketplace(
        str(home / "channel.db"), seed=PLAN.seed, calls_per_second=None, feed_seconds=None, until=END
    )
    sold = {FIRST + slot for slot in (*PLAIN, *SPECIAL)}
    store = market.state.store
    empty = [(slot,) for slot in range(FIRST, FIRST + DAY) if slot not in sold]
    store.db.executemany("INSERT OR IGNORE INTO slots VALUES (?)", empty)  # as if they were written already
    omnitron = create_omnitron(str(home / "omnitron.db"), WORLD)
    sandbox = omnitron.state.sandbox

    def look_again() -> None:
        """What is not in the databases, but follows from them."""
        store._known = {slot for (slot,) in store.db.execute("SELECT slot FROM slots")}
        sandbox.forget()
        sandbox.switches.change({"login_limit_per_minute": None})

    look_again()
    databases = {"omnitron": sandbox.db.connection, "channel": store.db}
    with running(omnitron) as first, running(market) as second:
        yield (first, second), databases, look_again
