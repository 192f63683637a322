"""What the scheduler's sweep does to a stand-in happens, and ends."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from sandbox.faults import running
from tests.sweeps.scheduler.gate import Door, Gate, Hold, Which


class Counting:
    """A server that counts what it did, behind a gate and a door."""

    def __init__(self, undo: ExitStack) -> None:
        self.said: list[bytes] = []
        self.gate = Gate(Starlette(routes=[Route("/orders/{pk:int}", self._do, methods=["GET", "POST"])]))
        port = urlsplit(undo.enter_context(running(self.gate))).port
        assert port
        self.door = Door(port)
        undo.callback(self.door.close)
        self.gate.is_shut = lambda: self.door.is_shut
        self.client = undo.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{self.door.port}", timeout=1))

    async def _do(self, request: Request) -> Response:
        self.said.append(await request.body())
        return PlainTextResponse("done")


@pytest.fixture
def server() -> Iterator[Counting]:
    with ExitStack() as undo:
        yield Counting(undo)


@pytest.mark.parametrize("worked", [True, False])
def test_the_first_call_that_fits_is_held_until_its_caller_gives_up(server: Counting, *, worked: bool) -> None:
    server.gate.hold = hold = Hold(Which("POST", r"/orders/\d+$", b"done"), worked)

    server.client.get("/orders/1").raise_for_status()
    server.client.post("/orders/1", content=b"commit").raise_for_status()
    with pytest.raises(httpx.ReadTimeout):
        server.client.post("/orders/1", content=b"done")
    assert hold.held.is_set()
    assert server.said == [b"", b"commit", *([b"done"] if worked else [])]

    server.client.post("/orders/1", content=b"done").raise_for_status()
    assert server.gate.calls == 1


def test_a_door_that_is_shut_lets_the_call_before_end_and_refuses_the_next(server: Counting) -> None:
    server.gate.after = (Which("GET", "/orders/2$"), lambda: server.door.shut(0.5))

    server.client.get("/orders/1").raise_for_status()
    server.client.get("/orders/2").raise_for_status()
    with pytest.raises(httpx.ConnectError):
        server.client.get("/orders/3")
    while server.door.is_shut:
        time.sleep(0.05)
    server.client.get("/orders/3").raise_for_status()
    assert len(server.said) == 3
