"""The marketplace's HTTP application; `create_app` wires the store, the endpoints and the faults."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from fastapi import FastAPI, Request, Response

from sandbox.faults import FaultMiddleware, Faults
from sandbox.marketplace import admin, aftersales, orders, page, shipments
from sandbox.marketplace.answers import Refusal, json_response
from sandbox.marketplace.generator import DEFAULT_BAD, DEFAULT_RATE, DEFAULT_SEED, Plan
from sandbox.marketplace.hostility import Settings
from sandbox.marketplace.kinds import ALL_BAD, BAD
from sandbox.marketplace.order import millis
from sandbox.marketplace.store import Clock, Store, wall_clock

LOOPBACK_KEY = "kervan-sandbox-key"  # the server listens on 127.0.0.1 only
DEFAULT_CALLS_PER_SECOND = 50.0
DEFAULT_FEED_SECONDS = 2.0


def create_app(
    database: str = ":memory:",
    *,
    seed: int = DEFAULT_SEED,
    rate: float = DEFAULT_RATE,
    bad: float = DEFAULT_BAD,
    api_key: str | None = None,
    calls_per_second: float | None = DEFAULT_CALLS_PER_SECOND,
    feed_seconds: float | None = DEFAULT_FEED_SECONDS,
    clock: Clock = wall_clock,
    until: datetime | None = None,
    all_kinds: bool = False,
    hostile: Settings | None = None,
) -> FastAPI:
    """A marketplace of its own. `feed_seconds=None` leaves feeds undecided until /admin/feeds/{id}/decide.

    Nobody buys anything from `until` on; what was bought goes on to be shipped, cancelled and returned. `all_kinds`: of
    what can be wrong with an order, instead of the 18 of a day. `hostile`: from the start, see `hostility`.
    """
    plan = Plan(seed, rate, bad, ALL_BAD if all_kinds else BAD)
    store = Store(database, plan, clock, millis(until) if until else None)
    faults = Faults()
    faults.rate_limit.set(calls_per_second)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="Kervan, a sandbox marketplace", lifespan=lifespan, openapi_url="/api/openapi.json")
    app.state.store, app.state.faults, app.state.feed_seconds = store, faults, feed_seconds
    app.state.api_key = api_key or os.environ.get("MARKETPLACE_API_KEY") or LOOPBACK_KEY
    admin.turn(store, faults, hostile)
    for router in (orders.router, orders.lines, shipments.router, aftersales.router, admin.router, page.router):
        app.include_router(router)
    app.add_exception_handler(Refusal, _refused)
    app.add_middleware(FaultMiddleware, faults=faults)
    return app


async def _refused(_: Request, error: Any) -> Response:
    return json_response({"code": error.code, "message": error.message, **error.more}, error.status)
