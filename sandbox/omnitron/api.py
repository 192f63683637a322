"""The way of a call: log-in, channel, body, one transaction, answer. Handlers see a ``Call`` and return JSON values."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from fastapi import FastAPI
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from sandbox.omnitron.database import Database, Row
from sandbox.omnitron.errors import ApiError, missing
from sandbox.omnitron.fields import INT_LIMIT, Fields, body_schema
from sandbox.omnitron.listing import PAGING, Filters
from sandbox.omnitron.state import Sandbox

API, LEGACY_API = "/api/v1", "/api/i1"  # Akinon's ERP guide uses the second for the same services
CHANNEL = "/channel/{channel:int}"
DEEPEST = 64  # nesting of a body; no real one comes near it
SINGLE_ERROR: dict[str, Any] = {"content": {"application/json": {"schema": {"type": "object"}}}}


@dataclass
class Call:
    """What a handler may look at."""

    sandbox: Sandbox
    url: str
    path: dict[str, Any]
    query: list[tuple[str, str]]
    body: dict[str, Any] = field(default_factory=dict)
    user: Row | None = None
    channel: Row = field(default_factory=dict)

    @property
    def db(self) -> Database:
        return self.sandbox.db

    def parameter(self, name: str) -> str | None:
        return next((value for key, value in reversed(self.query) if key == name), None)

    def ignore_filter(self, name: str) -> None:
        """Django's filters ignore what they do not know; that hides mistakes, so it is noted, or refused."""
        if self.sandbox.switches.strict_filters:
            raise ApiError(400, {name[:100]: ["Unknown filter."], "code": "invalid"})
        self.sandbox.note_ignored_filter(self.url, name)

    def find(self, table: str, pk: int | None = None) -> Row:
        """The row of the path, of this channel where its table has channels; 404 otherwise."""
        row = self.db.get(table, self.path["pk"] if pk is None else pk)
        if row is None or (self.channel and row.get("channel", self.channel["pk"]) != self.channel["pk"]):
            raise missing()
        return row


@dataclass(frozen=True)
class Answer:
    """A handler's answer where it is not the route's usual status."""

    status: int
    body: Any


Handler = Callable[[Call], Any]
H = TypeVar("H", bound=Handler)


class Schema(dict[str, Any]):
    """A body that is described by hand, where fields do not do."""


@dataclass
class Route:
    """One endpoint, as it is registered and described."""

    method: str
    path: str
    handler: Handler
    status: int
    body: dict[str, Any] | None = None
    filters: tuple[str, ...] = ()


@dataclass
class Routes:
    """The endpoints of one resource."""

    tag: str
    prefix: str = API
    scoped: bool = False
    open: bool = False
    routes: list[Route] = field(default_factory=list)

    def get(self, path: str, known: Filters | None = None, *own: str) -> Callable[[H], H]:
        names = (*known, *own, *PAGING) if known is not None else own
        return self._add("GET", path, 200, None, names)

    def post(self, path: str, body: Fields | Schema | None = None, status: int = 201) -> Callable[[H], H]:
        return self._add("POST", path, status, _described(body, partial=False))

    def patch(self, path: str, body: Fields) -> Callable[[H], H]:
        return self._add("PATCH", path, 200, _described(body, partial=True))

    def put(self, path: str, body: Schema) -> Callable[[H], H]:
        return self._add("PUT", path, 200, _described(body, partial=True))

    def delete(self, path: str) -> Callable[[H], H]:
        return self._add("DELETE", path, 204, None)

    def _add(
        self, method: str, path: str, status: int, body: dict[str, Any] | None, names: tuple[str, ...] = ()
    ) -> Callable[[H], H]:
        def register(handler: H) -> H:
            self.routes.append(Route(method, path, handler, status, body, names))
            return handler

        return register

    def install(self, app: FastAPI, sandbox: Sandbox) -> None:
        for route in self.routes:
            path = f"{CHANNEL if self.scoped else ''}{route.path}"
            for prefix in [self.prefix] if self.prefix != API else [API, LEGACY_API]:
                app.add_api_route(
                    prefix + path,
                    self._endpoint(route, sandbox),
                    methods=[route.method],
                    status_code=route.status,
                    tags=[self.tag],
                    name=route.handler.__name__,
                    summary=(route.handler.__doc__ or route.handler.__name__.replace("_", " ")).split("\n")[0],
                    response_model=None,
                    include_in_schema=prefix != LEGACY_API,
                    openapi_extra=self._openapi(route, prefix + path),
                )

    def _endpoint(self, route: Route, sandbox: Sandbox) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            call = Call(sandbox, _url(request), request.path_params, _query(request))
            self._enter(call, request)
            if route.body is not None:
                call.body = await _body(request)
            if route.method == "GET":
                return _response(route.handler(call), route.status)
            with sandbox.db.transaction():
                return _response(route.handler(call), route.status)

        return endpoint

    def _enter(self, call: Call, request: Request) -> None:
        if any(isinstance(value, int) and value >= INT_LIMIT for value in call.path.values()):
            raise missing()
        if not self.open:
            call.user = call.sandbox.authenticate(request.headers.get("authorization"))
        if self.scoped:
            channel = call.db.get("channels", call.path["channel"])
            if channel is None:
                raise missing()
            call.channel = channel

    def _openapi(self, route: Route, path: str) -> dict[str, Any]:
        parameters = [
            {"name": part.strip("{}").split(":")[0], "in": "path", "required": True, "schema": _path_schema(part)}
            for part in path.split("/")
            if part.startswith("{")
        ]
        parameters += [{"name": name, "in": "query", "schema": {"type": "string"}} for name in route.filters]
        codes = [400, 404, 406, *([] if self.open else [401, 403]), *([415] if route.body is not None else [])]
        codes += [] if route.method == "GET" else [409]
        described: dict[str, Any] = {
            "parameters": parameters,
            "responses": {str(code): {"description": REASONS[code], **SINGLE_ERROR} for code in codes},
        }
        if not self.open:
            described["security"] = [{"token": []}]
        if route.body is not None:
            described["requestBody"] = {"required": True, "content": {"application/json": {"schema": route.body}}}
        return described


REASONS = {
    400: "Invalid data", 401: "No or invalid token", 403: "Not allowed", 404: "Not found",
    406: "A business rule refuses it", 409: "Not in this state, or a commit that is refused as a switch says",
    415: "Not JSON",
}  # fmt: skip


def _described(body: Fields | Schema | None, *, partial: bool) -> dict[str, Any] | None:
    return body if body is None or isinstance(body, Schema) else body_schema(body, partial=partial)


def _path_schema(part: str) -> dict[str, Any]:
    return {"type": "integer", "minimum": 1} if ":int" in part else {"type": "string"}


def _url(request: Request) -> str:
    return f"{request.url.scheme}://{request.url.netloc}{request.url.path}"


def _query(request: Request) -> list[tuple[str, str]]:
    return parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True)


def _response(said: Any, status: int) -> Response:
    if isinstance(said, Response):
        return said
    if isinstance(said, Answer):
        said, status = said.body, said.status
    return Response(status_code=status) if said is None else JSONResponse(said, status)


async def _body(request: Request) -> dict[str, Any]:
    content_type = request.headers.get("content-type", "")
    if content_type.split(";")[0].strip().lower() != "application/json":
        detail = f'Unsupported media type "{content_type[:100]}" in request.'
        raise ApiError(415, {"detail": detail, "code": "unsupported_media_type"})
    try:
        body = json.loads(await request.body(), parse_constant=_no_constant, parse_float=_finite)
        _check(body, DEEPEST)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, {"detail": f"JSON parse error - {error}", "code": "parse_error"}) from None
    except ClientDisconnect:
        raise ApiError(400, {"detail": "The client went away.", "code": "parse_error"}) from None
    if not isinstance(body, dict):
        text = f"Invalid data. Expected a dictionary, but got {type(body).__name__}."
        raise ApiError(400, {"non_field_errors": [text], "code": "invalid"})
    return body


def _no_constant(name: str) -> float:
    raise ValueError(f"Out of range float values are not JSON compliant: {name}")


def _finite(text: str) -> float:
    number = float(text)
    if number in {float("inf"), float("-inf")}:
        _no_constant(text[:50])
    return number


def _check(value: Any, depth: int) -> None:
    """Refuses what no database takes: null characters, half a character, nesting without end."""
    if depth == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, str):
        if "\x00" in value:
            raise ValueError("null characters are not allowed")
        value.encode()  # a lone surrogate raises, and is a ValueError
    elif isinstance(value, dict):
        for key, item in value.items():
            _check(key, depth)
            _check(item, depth - 1)
    elif isinstance(value, list):
        for item in value:
            _check(item, depth - 1)
