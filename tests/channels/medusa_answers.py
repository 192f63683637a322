"""What happens to orders later, as recorded on a real Medusa server, and a server that gives such answers."""

import asyncio
import inspect
import re
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from order_integration.exact_json import dumps, loads
from tests.channels.medusa_kit import connector

RECORDED = Path(__file__).parent / "medusa" / "aftersales.json"
NOT_FOUND = (404, {"type": "not_found", "message": "not found"})
FAILED = (500, {"code": "unknown_error", "type": "unknown_error", "message": "An unknown error occurred."})


def recorded(name):
    """A fresh copy, so that a test may change it."""
    return loads(RECORDED.read_bytes())[name]


class Answers:
    """Routes: (method, pattern of the path) → a body, (status, body), or what makes one of the query and the body sent.

    What no route is for is answered as Medusa answers what it does not know.
    """

    def __init__(self, *routes):
        self.routes = [(method, re.compile(pattern), answer) for method, pattern, answer in routes]
        self.calls = []

    async def answer(self, request):
        sent = loads(await request.text()) if request.can_read_body else None
        self.calls.append((request.method, request.path, sent))
        for method, pattern, answer in self.routes:
            if method == request.method and pattern.fullmatch(request.path):
                made = answer(request.query, sent) if callable(answer) else answer
                made = await made if inspect.isawaitable(made) else made
                status, body = made if isinstance(made, tuple) else (200, made)
                return web.Response(status=status, text=dumps(body), content_type="application/json")
        return web.Response(status=404, text=dumps(NOT_FOUND[1]), content_type="application/json")

    def writes(self):
        """What was changed: the end of the path, and what was sent."""
        return [(path.rpartition("/")[2], sent) for method, path, sent in self.calls if method != "GET"]

    @asynccontextmanager
    async def served(self):
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self.answer)
        async with TestServer(app) as server:
            yield f"http://127.0.0.1:{server.port}"

    def run(self, kind, method, *args, **settings):
        """One call of one command."""

        async def call():
            async with self.served() as url, connector(url, **settings) as opened:
                return await getattr(opened.command(kind), method)(*args)

        return asyncio.run(call())

    def read(self, kind, window, **settings):
        """All records of a window."""

        async def call():
            async with self.served() as url, connector(url, **settings) as opened:
                return [record async for page in opened.command(kind).pages(window) for record in page]

        return asyncio.run(call())
