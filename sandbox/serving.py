"""How a stand-in is served: ``serve`` runs an application until it is stopped, ``running`` in a thread for a ``with``.

Both hand the connection's transport and the server to the application, so that it can cut the one and, for a while,
stop the other from listening.
"""

import asyncio
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HOST = "127.0.0.1"
TRANSPORT, SERVER = "sandbox.transport", "sandbox.server"
START_TIMEOUT = 30.0


class TransportProtocol(HttpToolsProtocol):
    """uvicorn's protocol, which also puts the connection's transport, and the server, into every scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        app = self.app

        async def with_transport(scope: Any, receive: Any, send: Any) -> None:
            scope[TRANSPORT], scope[SERVER] = transport, getattr(self.config, "server", None)
            await app(scope, receive, send)

        self.app = with_transport


def _server(app: ASGIApp, port: int = 0) -> uvicorn.Server:
    config = uvicorn.Config(
        app, host=HOST, port=port, http=TransportProtocol, ws="none", log_level="warning", access_log=False,
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    config.server = server  # type: ignore[attr-defined]
    return server


def serve(app: ASGIApp, port: int) -> None:
    """Runs the application on the loopback until the process is asked to stop."""
    _server(app, port).run()


@contextmanager
def running(app: ASGIApp) -> Iterator[str]:
    """Runs the application in a thread on a free port, and yields its base URL."""
    listener = socket.create_server((HOST, 0))
    server = _server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_TIMEOUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RuntimeError("the stand-in did not start")
        time.sleep(0.01)
    try:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()


@asynccontextmanager
async def not_listening(server: uvicorn.Server) -> AsyncIterator[None]:
    """Closes the listening socket, and in the end opens it again on the same port; once at a time."""
    if not server.servers:
        yield
        return
    [listening] = server.servers
    address = listening.sockets[0].getsockname()[:2]
    server.servers = []
    listening.close()
    try:
        yield
    finally:
        if not server.should_exit:
            server.servers = [await _listen(server, address)]


async def _listen(server: uvicorn.Server, address: tuple[str, int]) -> asyncio.Server:
    config = server.config

    def protocol() -> asyncio.Protocol:
        return config.http_protocol_class(  # type: ignore[call-arg]
            config=config, server_state=server.server_state, app_state=server.lifespan.state
        )

    loop = asyncio.get_running_loop()
    return await loop.create_server(protocol, sock=socket.create_server(address), backlog=config.backlog)
