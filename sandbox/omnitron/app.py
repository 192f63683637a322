"""The application: all endpoints over one database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from sandbox.faults import FaultMiddleware
from sandbox.omnitron import access, actions, admin, batches, cancels, orders, people, places, reports, updates
from sandbox.omnitron.errors import ApiError
from sandbox.omnitron.state import Sandbox
from sandbox.omnitron.world import add_content_types, tell

PAGE = Path(__file__).with_name("page.html")
# `updates` before the resources: their paths are more exact.
RESOURCES = (
    access.login, access.common, access.scoped, places.routes, updates.routes, people.routes, orders.routes,
    cancels.routes, actions.routes, batches.routes, reports.routes, admin.routes,
)  # fmt: skip


def create_app(database: str, world: dict[str, Any] | None = None) -> FastAPI:
    """A stand-in over an SQLite file or ``:memory:``; ``world`` is what it starts with (sandbox/README.md)."""
    sandbox = Sandbox(database, world)
    with sandbox.db.transaction():
        places.load(sandbox.db)
        add_content_types(sandbox.db)
        if world:
            tell(sandbox.db, world)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        sandbox.db.close()

    app = FastAPI(
        title="Sandbox Omnitron", version="1", lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None
    )
    app.state.sandbox = sandbox
    for resource in RESOURCES:
        resource.install(app, sandbox)
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_api_route("/health", _health, include_in_schema=False)
    app.add_exception_handler(ApiError, _api_error)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(FaultMiddleware)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


async def _page() -> Response:
    return HTMLResponse(PAGE.read_text("utf-8"))


async def _health() -> Response:
    return JSONResponse({"status": "ok"})


async def _api_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return JSONResponse(error.body, error.status, error.headers)


async def _http_error(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    detail = {404: "Not found.", 405: "Method not allowed."}.get(error.status_code, str(error.detail))
    return JSONResponse({"detail": detail}, error.status_code, error.headers)


def _described(app: FastAPI) -> dict[str, Any]:
    described = FastAPI.openapi(app)
    components = described.setdefault("components", {})
    components["securitySchemes"] = {"token": {"type": "apiKey", "in": "header", "name": "Authorization"}}
    return described
