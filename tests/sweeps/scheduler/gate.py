"""What stands before a stand-in, where its own faults don't reach: a call is held in the air, or the door is shut."""

import asyncio
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

BOARD = ("/admin/", "/health")


@dataclass(frozen=True)
class Which:
    """The calls that are meant; `said` has to be in the body."""

    method: str
    path: str
    said: bytes = b""

    def fits(self, scope: Scope, body: bytes) -> bool:
        """Whether this is one."""
        return scope["method"] == self.method and bool(re.search(self.path, scope["path"])) and self.said in body


@dataclass
class Hold:
    """The first of these calls is worked off, or not, and never answered: its caller gives up, or is killed."""

    which: Which
    worked: bool
    held: threading.Event = field(default_factory=threading.Event)


@dataclass
class Gate:
    """Before one stand-in. `is_shut`: each answer ends its connection, so that the next call has to come in anew."""

    app: ASGIApp
    is_shut: Callable[[], bool] = lambda: False
    hold: Hold | None = None
    after: tuple[Which, Callable[[], None]] | None = None  # what happens as soon as such a call has its answer
    calls: int = 0  # held, or answered and followed by what happens

    def open(self) -> None:
        """Nothing more happens here."""
        self.hold = self.after = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(BOARD):
            await self.app(scope, receive, send)
            return
        body, again = await _read(receive)
        hold, after = self.hold, self.after
        if hold and not hold.held.is_set() and hold.which.fits(scope, body):
            await self._held(hold, scope, again, receive)
            return
        if after and after[0].fits(scope, body):
            self.after = None
            self.calls += 1
            await asyncio.get_running_loop().run_in_executor(None, after[1])
        await self.app(scope, again, self._last(send))

    async def _held(self, hold: Hold, scope: Scope, again: Receive, receive: Receive) -> None:
        if hold.worked:
            await self.app(scope, again, _unheard)
        self.calls += 1
        hold.held.set()
        while (await receive())["type"] != "http.disconnect":
            pass

    def _last(self, send: Send) -> Send:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start" and self.is_shut():
                message = {**message, "headers": [*message.get("headers", []), (b"connection", b"close")]}
            await send(message)

        return sent


class Door:
    """The address of a stand-in that can refuse connections: for a moment nothing listens there."""

    def __init__(self, behind: int) -> None:
        self._behind = behind
        self._loop = asyncio.new_event_loop()
        self._idle: set[asyncio.StreamWriter] = set()
        self.shuts = 0
        self.is_shut = False
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._server = self._await(asyncio.start_server(self._enter, "127.0.0.1", 0))
        self.port: int = self._server.sockets[0].getsockname()[1]

    def shut(self, seconds: float) -> None:
        """Now, until so many seconds are over."""
        self._await(self._shut(seconds))

    def close(self) -> None:
        """For good."""
        self._await(self._leave())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _await(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=30)

    async def _shut(self, seconds: float) -> None:
        self.is_shut = True
        self.shuts += 1
        self._server.close()
        for writer in self._idle:
            writer.transport.abort()
        self._loop.call_later(seconds, lambda: self._loop.create_task(self._reopen()))

    async def _reopen(self) -> None:
        self._server = await asyncio.start_server(self._enter, "127.0.0.1", self.port)
        self.is_shut = False

    async def _leave(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        self._idle.add(writer)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(reader, back, lambda: self._idle.discard(writer)))
                both.create_task(self._carry(there, writer, lambda: self._idle.add(writer)))
        except* OSError:
            pass
        finally:
            self._idle.discard(writer)

    async def _carry(
        self, source: asyncio.StreamReader, target: asyncio.StreamWriter, moved: Callable[[], None]
    ) -> None:
        try:
            while data := await source.read(65536):
                moved()
                target.write(data)
                await target.drain()
        finally:
            target.close()


async def _unheard(_: Message) -> None:
    """An answer that nobody gets."""


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The whole body, and a receive that says it again."""
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message["type"] == "http.request" and message.get("more_body", False)
    said: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return said.pop() if said else await receive()

    return body, again
