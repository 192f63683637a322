"""What every stand-in has besides its own endpoints: a record of the calls, faults on demand, a rate limit, a server.

A stand-in wraps its application once, ``app.add_middleware(FaultMiddleware)``, and gets these for the asking:

* ``GET /admin/requests?since=ID`` lists the calls received, ``DELETE`` empties the list;
* ``GET/POST/DELETE /admin/faults`` lists, adds and removes fault rules; the first rule that fires wins;
* ``GET/PUT /admin/rate_limit`` with ``{"per_second": N}`` answers 429 and Retry-After above N a second, ``null`` ends
  it.

Cutting a connection, and refusing new ones, needs a server started by ``serve`` or ``running`` (``sandbox.serving``).
"""

import asyncio
import json
import math
import random
import re
import time
from collections import deque
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.serving import SERVER, TRANSPORT, not_listening
from sandbox.serving import running as running  # noqa: PLC0414 - every stand-in has it from here
from sandbox.serving import serve as serve  # noqa: PLC0414

RECORDS_KEPT = 100_000  # a benchmark's worth; older ones fall out

Kind = Literal["status", "refuse", "cut_before", "cut_after", "latency", "truncate"]
KINDS: tuple[Kind, ...] = ("status", "refuse", "cut_before", "cut_after", "latency", "truncate")


class BadRuleError(ValueError):
    """What was said to the admin endpoints makes no sense; the text says why."""


@dataclass
class Rule:
    """One fault: which calls it is for, how often it fires, and what then happens."""

    id: int
    action: dict[str, Any]
    method: str | None = None
    path: str = ""
    skip: int = 0
    times: int | None = None
    probability: float = 1.0
    fired: int = 0
    name: str = ""  # for whoever counts what fired

    @classmethod
    def parse(cls, number: int, raw: Any) -> Self:
        known = {"method", "path", "skip", "times", "probability", "action", "name"}
        if not isinstance(raw, dict) or not isinstance(raw.get("action"), dict):
            raise BadRuleError("a rule is an object with an action")
        if unknown := sorted(set(raw) - known - {"id", "fired"}):
            raise BadRuleError(f"unknown keys: {', '.join(unknown)}")
        rule = cls(id=number, **{key: raw[key] for key in known & set(raw)})
        rule.check()
        return rule

    def check(self) -> None:
        kind = self.action.get("kind")
        if kind not in KINDS:
            raise BadRuleError(f"action.kind is one of {', '.join(KINDS)}")
        if kind == "status" and self.action.get("status") not in range(200, 600):
            raise BadRuleError("action.status is a number from 200 to 599")
        if kind == "status" and not _is_headers(self.action.get("headers", {})):
            raise BadRuleError("action.headers is an object of strings in latin-1")
        if kind in {"latency", "refuse"} and not _is_between(self.action.get("seconds"), 0, 3600):
            raise BadRuleError("action.seconds is a number from 0 to 3600")
        if not isinstance(self.method, str | None) or not isinstance(self.name, str):
            raise BadRuleError("method and name are strings")
        if not _is_int(self.skip) or not (self.times is None or _is_int(self.times)):
            raise BadRuleError("skip and times are whole numbers")
        if not _is_between(self.probability, 0, 1):
            raise BadRuleError("probability is a number from 0 to 1")
        try:
            re.compile(self.path)
        except (re.error, TypeError, RecursionError, OverflowError) as error:
            raise BadRuleError(f"path is not a regular expression: {error}") from error

    def fires(self, method: str, path: str, chance: random.Random) -> bool:
        """Whether this call is one of the rule's; a call that is skipped goes on to the next rule."""
        if self.times is not None and self.fired >= self.times:
            return False
        if (self.method and self.method.upper() != method) or not re.search(self.path, path):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.probability < 1 and chance.random() >= self.probability:
            return False
        self.fired += 1
        return True


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_between(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _is_headers(value: Any) -> bool:
    if not isinstance(value, dict):
        return False
    return all(
        isinstance(text, str) and text.isprintable() and all(ord(letter) < 256 for letter in text)
        for pair in value.items()
        for text in pair
    )


class RateLimit:
    """A token bucket with room for one second's calls."""

    def __init__(self) -> None:
        self.per_second: float | None = None
        self._tokens = 0.0
        self._seen = 0.0

    def set(self, per_second: Any) -> None:
        if per_second is not None and (not _is_between(per_second, 0, 1_000_000) or per_second == 0):
            raise BadRuleError("per_second is a number above 0, or null")
        self.per_second = per_second
        self._tokens = max(1.0, per_second or 0)
        self._seen = time.monotonic()

    def wait(self) -> float:
        """Seconds until a call is allowed; 0 takes a token."""
        if self.per_second is None:
            return 0.0
        now = time.monotonic()
        self._tokens = min(max(1.0, self.per_second), self._tokens + (now - self._seen) * self.per_second)
        self._seen = now
        if self._tokens < 1:
            return (1 - self._tokens) / self.per_second
        self._tokens -= 1
        return 0.0


@dataclass
class Faults:
    """The rules, the record of calls and the rate limit of one stand-in."""

    rules: list[Rule] = field(default_factory=list)
    calls: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=RECORDS_KEPT))
    rate_limit: RateLimit = field(default_factory=RateLimit)
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # the same story twice
    _last_call: int = 0
    _last_rule: int = 0

    def record(self, scope: Scope) -> dict[str, Any]:
        self._last_call += 1
        call = {
            "id": self._last_call,
            "method": scope["method"],
            "path": scope["path"],
            "query": scope["query_string"].decode("latin-1"),
            "status": None,
            "fault": None,
        }
        self.calls.append(call)
        return call

    def pick(self, method: str, path: str) -> Rule | None:
        return next((rule for rule in self.rules if rule.fires(method, path, self.chance)), None)

    def add(self, raw: Any) -> list[Rule]:
        """Adds a rule, or a list of them: all, or none where one makes no sense."""
        added = [
            Rule.parse(self._last_rule + number, item)
            for number, item in enumerate(raw if isinstance(raw, list) else [raw], start=1)
        ]
        self._last_rule += len(added)
        self.rules.extend(added)
        return added


class FaultMiddleware:
    """Records every call, and spoils those that a rule is for. Admin and page paths are left alone."""

    def __init__(self, app: ASGIApp, faults: Faults | None = None) -> None:
        self.app = app
        self.faults = faults or Faults()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif scope["path"] in ADMIN:
            await ADMIN[scope["path"]](self.faults, scope, receive, send)
        elif scope["path"].startswith("/admin/") or scope["path"] in {"/", "/health", "/favicon.ico"}:
            await self.app(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = self.faults.record(scope)

        async def recorded(message: Message) -> None:
            if message["type"] == "http.response.start":
                call["status"] = message["status"]
            await send(message)

        if wait := self.faults.rate_limit.wait():
            call["fault"] = "rate_limit"
            await _throttled(wait)(scope, receive, recorded)
            return
        rule = self.faults.pick(scope["method"], scope["path"])
        if rule is None:
            await self.app(scope, receive, recorded)
            return
        call["fault"] = rule.action["kind"]
        await self._spoil(rule.action, call, (scope, receive, recorded))

    async def _spoil(
        self, action: dict[str, Any], call: dict[str, Any], asgi: tuple[MutableMapping[str, Any], Receive, Send]
    ) -> None:
        scope, receive, send = asgi
        match action["kind"]:
            case "status":
                await _scripted(action)(scope, receive, send)
            case "latency":
                await self._late(action, (scope, receive, send))
            case "cut_before":
                await _cut(scope, receive)
            case "refuse":
                async with not_listening(scope[SERVER]):  # before the cut, or the caller would be back too early
                    await _cut(scope, receive)
                    await asyncio.sleep(action["seconds"])
            case "cut_after":
                messages = await self._work(scope, receive)
                call["status"] = messages[0]["status"]
                await _cut(scope, receive)
            case "truncate":
                await _truncate(await self._work(scope, receive), scope, receive, send)

    async def _late(self, action: dict[str, Any], asgi: tuple[MutableMapping[str, Any], Receive, Send]) -> None:
        """Works late, or with `done_first` answers late; with `goes_on` it works though its caller has left."""
        scope, receive, send = asgi
        if action.get("goes_on"):
            receive = await _heard(receive)
        if not action.get("done_first"):
            await asyncio.sleep(action["seconds"])
            await self.app(scope, receive, send)
            return
        messages = await self._work(scope, receive)
        await asyncio.sleep(action["seconds"])
        for message in messages:
            await send(message)

    async def _work(self, scope: Scope, receive: Receive) -> list[Message]:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self.app(scope, receive, keep)
        return messages


def _throttled(wait: float) -> Response:
    seconds = max(1, math.ceil(wait))
    detail = f"Request was throttled. Expected available in {seconds} seconds."
    return JSONResponse({"detail": detail, "code": "throttled"}, 429, {"Retry-After": str(seconds)})


def _scripted(action: dict[str, Any]) -> Response:
    body = action.get("body", "")
    text = body if isinstance(body, str) else json.dumps(body)
    media_type = "text/plain" if isinstance(body, str) else "application/json"
    return Response(text.encode("utf-8", "replace"), action["status"], action.get("headers"), media_type)


async def _cut(scope: Scope, receive: Receive) -> None:
    """Closes the TCP connection with nothing sent, and waits until the server has noticed."""
    _transport(scope).abort()
    while (await receive())["type"] != "http.disconnect":
        pass


async def _heard(receive: Receive) -> Receive:
    """The whole body, told again: who reads it later hears nothing of a caller who has left meanwhile."""
    messages = deque([await receive()])
    while messages[-1].get("more_body"):
        messages.append(await receive())

    async def again() -> Message:
        return messages.popleft() if messages else await receive()

    return again


async def _truncate(messages: list[Message], scope: Scope, receive: Receive, send: Send) -> None:
    """Promises the whole body and sends half of it."""
    body = b"".join(message.get("body", b"") for message in messages[1:])
    await send(messages[0])
    await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
    _transport(scope).close()  # unlike abort, it sends what was written
    while (await receive())["type"] != "http.disconnect":
        pass


def _transport(scope: Scope) -> asyncio.Transport:
    transport: asyncio.Transport | None = scope.get(TRANSPORT)
    if transport is None:
        raise RuntimeError("cutting a connection needs a server started by sandbox.faults (serve or running)")
    return transport


async def _requests(faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    if request.method == "GET":
        text = request.query_params.get("since", "0")
        since = int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
        if since is None:
            await JSONResponse({"detail": "since is a whole number"}, 400)(scope, receive, send)
            return
        await JSONResponse([call for call in faults.calls if call["id"] > since])(scope, receive, send)
    elif request.method == "DELETE":
        faults.calls.clear()
        await Response(status_code=204)(scope, receive, send)
    else:
        await _not_allowed("GET, DELETE")(scope, receive, send)


async def _faults(faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    response: Response
    if request.method == "GET":
        response = JSONResponse([vars(rule) for rule in faults.rules])
    elif request.method == "DELETE":
        faults.rules.clear()
        response = Response(status_code=204)
    elif request.method == "POST":
        try:
            response = JSONResponse([vars(rule) for rule in faults.add(await request.json())], 201)
        except (ValueError, RecursionError) as error:
            response = JSONResponse({"detail": str(error)}, 400)
    else:
        response = _not_allowed("GET, POST, DELETE")
    await response(scope, receive, send)


async def _rate_limit(faults: Faults, scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    response: Response = _not_allowed("GET, PUT")
    if request.method == "PUT":
        try:
            said = await request.json()
            if not isinstance(said, dict) or set(said) != {"per_second"}:
                raise BadRuleError('the body is {"per_second": number or null}')
            faults.rate_limit.set(said["per_second"])
        except (ValueError, RecursionError) as error:
            await JSONResponse({"detail": str(error)}, 400)(scope, receive, send)
            return
    if request.method in {"GET", "PUT"}:
        response = JSONResponse({"per_second": faults.rate_limit.per_second})
    await response(scope, receive, send)


def _not_allowed(allow: str) -> Response:
    return JSONResponse({"detail": "Method not allowed."}, 405, {"Allow": allow})


ADMIN = {"/admin/requests": _requests, "/admin/faults": _faults, "/admin/rate_limit": _rate_limit}
