"""Both stand-ins, each in a process of its own: a machine's second core is theirs."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from fastapi import FastAPI

from sandbox import omnitron
from sandbox.faults import running
from sandbox.marketplace import app as marketplace
from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.marketplace.hostility import Settings

CHANNEL = 1
REASONS = {"CHANGED_MIND": 1, "DAMAGED": 2, "WRONG_ITEM": 3}  # the marketplace's codes that a buyer of ours may use
WORLD: dict[str, Any] = {
    "catalogs": [{"id": 1, "name": "default", "price_list": 1, "stock_list": 1}],
    "channels": [{"id": CHANNEL, "name": "kervan", "catalog": 1, "conf": {"reason_mapping": REASONS}}],
    "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
    "cancellation_reasons": [{"id": pk, "subject": code} for code, pk in REASONS.items()],
    "products": [{"channel": CHANNEL, "remote_id": one.id, "sku": one.id} for one in catalogue()],
}


@dataclass(frozen=True)
class Market:
    """What the marketplace is to be."""

    rate: float
    bad: float
    start_ms: int  # what its clock shows at first
    until: datetime  # nobody buys from then on
    without: frozenset[int] = frozenset()  # orders that nobody placed after all
    seed: int = 1


@dataclass(frozen=True)
class Servers:
    """Where they are, and where their databases are."""

    omnitron: str
    marketplace: str
    omnitron_database: Path
    marketplace_database: Path


@contextmanager
def started(home: Path, market: Market, hostile: Settings | None, user: tuple[str, str]) -> Iterator[Servers]:
    """Both of them, until the `with` ends. `user`: Omnitron's, with their password."""
    databases = home / "omnitron.db", home / "marketplace.db"
    with (
        _process(_omnitron, str(databases[0]), user) as omnitron_url,
        _process(_marketplace, str(databases[1]), market, hostile) as marketplace_url,
    ):
        yield Servers(omnitron_url, marketplace_url, *databases)


@contextmanager
def _process(target: Any, *args: Any) -> Iterator[str]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(theirs, *args), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


def _omnitron(pipe: Connection, database: str, user: tuple[str, str]) -> None:
    users = [dict(zip(("username", "password"), user, strict=True))]
    app = omnitron.create_app(database, {**WORLD, "users": users})
    # A log-in a fault, and hundreds of them in minutes: the limit is of an hour's worth of tasks.
    app.state.sandbox.switches.login_limit_per_minute = None
    _serve(pipe, app)


def _marketplace(pipe: Connection, database: str, market: Market, hostile: Settings | None) -> None:
    clock = [market.start_ms]
    app = marketplace.create_app(
        database,
        seed=market.seed,
        rate=market.rate,
        bad=market.bad,
        calls_per_second=None,
        clock=lambda: clock[0],
        until=market.until,
        all_kinds=True,
        hostile=hostile,
    )
    if market.without:
        _leave_out(app, market)

    async def turn(ms: int) -> None:
        clock[0] = ms

    app.add_api_route("/admin/clock/{ms}", turn, methods=["PUT"])
    _serve(pipe, app)


def _leave_out(app: FastAPI, market: Market) -> None:
    store = app.state.store
    slots = [one % 10**11 // 2 for one in market.without]
    store.materialise(store.plan.begin_of(min(slots)), market.start_ms)
    with store.transaction():
        for one in market.without:
            store.db.execute("DELETE FROM lines WHERE order_id = ?", (one,))
            store.db.execute("DELETE FROM orders WHERE order_id = ?", (one,))


def _serve(pipe: Connection, app: FastAPI) -> None:
    with running(app) as url:
        pipe.send(url)
        try:
            pipe.recv()  # nothing is ever said: it ends
        except EOFError:
            return
