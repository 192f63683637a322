"""HTTP: what every answer means, what is sent again, and what never shows in an error."""

import asyncio
import socket
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from order_integration.errors import (
    ConfigurationError,
    ContractError,
    IntegrationError,
    RefusedError,
    RetriableError,
    UnknownOutcomeError,
)
from order_integration.transport import (
    LONGEST_WAIT_IN_TASK,
    FixedHeaders,
    HttpSession,
    Limits,
    Meaning,
    checked_base_url,
    dumps,
    loads,
    meaning_of,
    retry_after,
)
from sandbox.faults import FaultMiddleware, running

TRIES = 2
SECRET = "Ayşe Yılmaz, ayse@example.com"
EMAIL = "fatma.demir@example.com"


async def _echo(request: Request) -> Response:
    return Response(await request.body() or b'{"ok":true}', media_type="application/json")


async def _headers(request: Request) -> Response:
    return Response(dumps(dict(request.headers)), media_type="application/json")


async def _query(request: Request) -> Response:
    return Response(dumps(request.query_params.multi_items()), media_type="application/json")


def _echo_app() -> Starlette:
    app = Starlette(
        routes=[
            Route("/echo", _echo, methods=["GET", "POST", "PATCH"]),
            Route("/headers", _headers, methods=["GET", "POST"]),
            Route("/query", _query),
        ]
    )
    app.add_middleware(FaultMiddleware)
    return app


@dataclass
class Server:
    """A tiny server, and what a test does to it."""

    url: str
    admin: httpx.Client

    def fault(self, kind: str, *, path: str = "/echo", times: int | None = None, **action: Any) -> None:
        rule = {"path": path, "times": times, "action": {"kind": kind, **action}}
        self.admin.post("/admin/faults", json=rule).raise_for_status()

    def statuses(self) -> list[int | None]:
        return [call["status"] for call in self.admin.get("/admin/requests").json()]

    def paths(self) -> list[str]:
        return [call["path"] for call in self.admin.get("/admin/requests").json()]

    def call(self, method: str = "GET", path: str = "echo", **own: Any) -> Any:
        limits = Limits(
            tries=own.pop("tries", TRIES),
            first_wait=0.001,
            requests_per_second=10_000,
            timeout=own.pop("timeout", 10.0),
        )
        auth = own.pop("auth", None)

        async def story() -> Any:
            async with HttpSession(f"{self.url}/", auth, limits) as http:
                return await http.call(method, path, repeatable=own.pop("repeatable", method == "GET"), **own)

        return asyncio.run(story())


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(_echo_app()) as address:
        yield address


@pytest.fixture
def server(url: str) -> Iterator[Server]:
    with httpx.Client(base_url=url) as admin:
        admin.delete("/admin/faults")
        admin.delete("/admin/requests")
        yield Server(url, admin)


# What an answer means ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "reads", "writes"),
    [
        (302, ContractError, 1, 1),
        (304, ContractError, 1, 1),
        (400, RefusedError, 1, 1),
        (401, ConfigurationError, 1, 1),
        (403, ContractError, 1, 1),
        (404, RefusedError, 1, 1),
        (406, RefusedError, 1, 1),
        (408, RetriableError, TRIES, TRIES),
        (409, RefusedError, 1, 1),
        (425, RetriableError, TRIES, TRIES),
        (429, RetriableError, TRIES, TRIES),
        (499, RefusedError, 1, 1),
        (500, UnknownOutcomeError, TRIES, 1),
        (503, UnknownOutcomeError, TRIES, 1),
        (599, UnknownOutcomeError, TRIES, 1),
    ],
)
def test_every_status_means_one_thing_for_reads_and_for_writes(
    server: Server, status: int, kind: type[IntegrationError], reads: int, writes: int
) -> None:
    server.fault("status", status=status)

    for method, calls in (("GET", reads), ("POST", writes)):
        server.admin.delete("/admin/requests")
        with pytest.raises(IntegrationError) as caught:
            server.call(method, body={"a": 1} if method == "POST" else None)
        assert type(caught.value) is kind
        assert server.statuses() == [status] * calls


@pytest.mark.parametrize("status", [200, 201, 202])
def test_a_2xx_is_the_answer(server: Server, status: int) -> None:
    server.fault("status", status=status, body='{"pk":1}')

    assert server.call("POST", body={}) == {"pk": 1}


def test_no_content_is_an_answer_of_nothing(server: Server) -> None:
    server.fault("status", status=204)

    assert server.call("POST", body={}) is None
    assert server.statuses() == [204]


@pytest.mark.parametrize("status", [0, 100, 199, 600, 999])
def test_a_status_outside_of_http_stops(status: int) -> None:
    assert meaning_of(status) is Meaning.STOP


# What is sent again --------------------------------------------------------------------------------------------------

LOST: dict[str, dict[str, Any]] = {
    "cut before the work": {"kind": "cut_before"},
    "cut after the work": {"kind": "cut_after"},
    "half an answer": {"kind": "truncate"},
    "500": {"kind": "status", "status": 500},
    "502 with HTML": {"kind": "status", "status": 502, "body": "<html>"},
    "200 with HTML": {"kind": "status", "status": 200, "body": "<html>"},
    "200 with half a JSON": {"kind": "status", "status": 200, "body": '{"results": ['},
    "200 with NaN": {"kind": "status", "status": 200, "body": '{"price": NaN}'},
}


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_read_is_repeated_when_its_answer_was_lost(server: Server, fault: dict[str, Any]) -> None:
    server.fault(**fault, times=1)

    assert server.call("GET") == {"ok": True}
    assert len(server.statuses()) == 2


@pytest.mark.defect("O5")
@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_a_write_is_not_repeated_when_its_answer_was_lost(server: Server, fault: dict[str, Any]) -> None:
    server.fault(**fault, times=1)

    with pytest.raises(UnknownOutcomeError):
        server.call("POST", body={"a": 1}, tries=4)
    assert len(server.statuses()) == 1


def test_a_write_that_may_be_repeated_is(server: Server) -> None:
    server.fault("cut_after", times=1)

    assert server.call("PATCH", body={"a": 1}, repeatable=True) == {"a": 1}
    assert len(server.statuses()) == 2


@pytest.mark.defect("S5")
def test_tries_come_to_an_end(server: Server) -> None:
    server.fault("status", status=500)

    with pytest.raises(UnknownOutcomeError):
        server.call("GET", tries=3)
    assert server.statuses() == [500] * 3


@pytest.mark.defect("S4")
def test_a_slow_answer_is_a_lost_one(server: Server) -> None:
    server.fault("latency", seconds=5, times=1)
    with pytest.raises(UnknownOutcomeError):
        server.call("POST", body={}, timeout=0.3)

    server.fault("latency", seconds=5, times=1)
    assert server.call("GET", timeout=0.3) == {"ok": True}
    assert len(server.statuses()) == 3


@dataclass
class OpensLate:
    """Who we are, to a server that opens its port just before the second try."""

    port: int
    tries: int = 0
    server: asyncio.Server | None = None

    async def headers(self) -> dict[str, str]:
        self.tries += 1
        if self.tries == 2:
            self.server = await asyncio.start_server(self._answer, "127.0.0.1", self.port)
        return {}

    async def renew(self, stale: object) -> bool:
        return False

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b'HTTP/1.1 201 Created\r\nContent-Length: 8\r\nConnection: close\r\n\r\n{"pk":5}')
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        if self.server:
            self.server.close()


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def test_a_refused_connection_is_tried_again_even_for_a_write() -> None:
    auth = OpensLate(closed_port())
    nobody = Server(f"http://127.0.0.1:{auth.port}", httpx.Client())

    assert nobody.call("POST", auth=auth) == {"pk": 5}
    assert auth.tries == 2


def test_a_server_that_is_not_there_at_all_was_surely_not_reached() -> None:
    nobody = Server(f"http://127.0.0.1:{closed_port()}", httpx.Client())

    with pytest.raises(RetriableError, match="no connection") as caught:
        nobody.call("POST", body={})
    assert not isinstance(caught.value, UnknownOutcomeError)


@pytest.mark.defect("S2")
def test_a_server_that_asks_to_wait_is_asked_again_even_for_a_write(server: Server) -> None:
    server.fault("status", status=429, headers={"Retry-After": "0.01"}, times=2)

    assert server.call("POST", body={"a": 1}, tries=3) == {"a": 1}
    assert server.statuses() == [429, 429, 200]


@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_is_left_to_the_caller(server: Server, status: int) -> None:
    seconds = LONGEST_WAIT_IN_TASK + 1
    server.fault("status", status=status, headers={"Retry-After": str(seconds)})

    with pytest.raises(RetriableError) as caught:
        server.call("GET", tries=4)

    assert caught.value.retry_after == seconds
    assert server.statuses() == [status]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        ("0.5", 0.5),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None),
        ("-1", None),
        (".", None),
        ("²", None),
    ],
)
def test_retry_after_is_read_in_seconds(text: str, seconds: float | None) -> None:
    assert retry_after({"Retry-After": text}) == seconds


# Where it goes -------------------------------------------------------------------------------------------------------


def test_a_redirect_is_not_followed(server: Server) -> None:
    server.fault("status", status=307, headers={"Location": f"{server.url}/headers"})

    with pytest.raises(ContractError):
        server.call("GET", auth=FixedHeaders({"X-Key": "k"}))
    assert server.paths() == ["/echo"]


@pytest.mark.parametrize(
    "url",
    [
        "http://omnitron.example.com",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com/api/",
        "http://127.0.0.1@example.com/",
        "http://0x7f.example.com",
        "ftp://127.0.0.1",
        "omnitron.example.com",
        "",
        "https://",
        "https://[bad",
        "https://host:port/",
    ],
)
def test_an_address_that_is_none_or_goes_in_clear_is_refused_by_its_setting_s_name(url: str) -> None:
    with pytest.raises(ConfigurationError, match="connection omnitron"):
        checked_base_url(url, "connection omnitron")


@pytest.mark.parametrize(
    ("url", "checked"),
    [
        ("https://omnitron.example.com", "https://omnitron.example.com/"),
        ("https://omnitron.example.com/a/b//", "https://omnitron.example.com/a/b/"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000/"),
        ("http://localhost", "http://localhost/"),
        ("http://[::1]:8000/", "http://[::1]:8000/"),
    ],
)
def test_a_good_address_ends_with_one_slash(url: str, checked: str) -> None:
    assert checked_base_url(url, "x") == checked


def test_a_list_repeats_its_parameter_and_signs_are_quoted(server: Server) -> None:
    params = {"status": ["a", "b"], "phone": "+90 5", "page": 2, "name": "İ&ı"}

    assert server.call("GET", "query", params=params) == [
        ["status", "a"],
        ["status", "b"],
        ["phone", "+90 5"],
        ["page", "2"],
        ["name", "İ&ı"],
    ]


def test_fixed_headers_are_sent_and_not_shown(server: Server) -> None:
    auth = FixedHeaders({"X-Key": "k-1"})

    assert server.call("GET", "headers", auth=auth)["x-key"] == "k-1"
    assert "k-1" not in repr(auth)


def test_a_session_that_is_not_open_says_so() -> None:
    with pytest.raises(ContractError, match="outside of its context"):
        asyncio.run(HttpSession("http://127.0.0.1:9/").get("x"))


# What is on the wire -------------------------------------------------------------------------------------------------

DECIMALS = st.decimals(allow_nan=False, allow_infinity=False)


@given(numbers=st.lists(DECIMALS, max_size=5))
def test_decimals_keep_every_digit_as_json(numbers: list[Decimal]) -> None:
    again = loads(dumps([{"n": number} for number in numbers]))

    assert [Decimal(row["n"]) for row in again] == numbers


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_no_json_either_way(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        loads(f'{{"a": {text}}}')
    for number in (Decimal(text), float(text)):
        with pytest.raises(ValueError, match=r".*"):
            dumps({"a": number})


@pytest.mark.defect("O4")
def test_money_goes_over_the_wire_and_back_to_the_last_digit(server: Server) -> None:
    body = {"a": Decimal("0.10"), "b": Decimal("12345678901234567890.12345678"), "text": "0.10 İı 👩‍👩‍👧"}

    answer = server.call("POST", body=body)

    assert answer == body
    assert str(answer["a"]) == "0.10"
    assert isinstance(answer["b"], Decimal)


def test_a_body_says_that_it_is_json(server: Server) -> None:
    assert server.call("POST", "headers", body={})["content-type"] == "application/json"


# What errors say -----------------------------------------------------------------------------------------------------


def chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


@pytest.mark.parametrize("status", [200, 302, 400, 401, 403, 404, 406, 429, 500])
def test_no_error_shows_a_body_that_came_or_went(server: Server, status: int) -> None:
    server.fault("status", status=status, body=f"{SECRET} in an answer")

    with pytest.raises(IntegrationError) as caught:
        server.call("POST", body={"name": SECRET}, params={"page": 1})

    for error in chain(caught.value):
        assert SECRET not in f"{error} {error!r} {error.args}"
    assert caught.value.ids["path"] == "echo"


async def _nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 what? is this\r\n\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()


@pytest.mark.parametrize("listens", [True, False], ids=["malformed status line", "connection refused"])
def test_no_traceback_shows_what_was_asked_for(*, listens: bool) -> None:
    """A traceback prints all causes, and aiohttp's may name the whole URL."""

    async def story() -> None:
        port = closed_port()
        server = await asyncio.start_server(_nonsense, "127.0.0.1", port) if listens else None
        try:
            async with HttpSession(f"http://127.0.0.1:{port}/", limits=Limits(tries=2, first_wait=0.001)) as http:
                await http.get("customers/", {"email": EMAIL})
        finally:
            if server:
                server.close()

    with pytest.raises(RetriableError) as caught:
        asyncio.run(story())

    assert isinstance(caught.value, UnknownOutcomeError) is listens
    text = "".join(traceback.format_exception(caught.value))
    assert "customers/" in text
    assert EMAIL.split("@", maxsplit=1)[0] not in text
    assert [type(error).__module__ for error in chain(caught.value)] == ["order_integration.errors"]


def test_a_refusal_keeps_status_code_and_fields_for_whoever_needs_them(server: Server) -> None:
    body = {"email": [SECRET], "code": "customer_100_1", "non_field_errors": "hash_data:abc is there"}
    server.fault("status", status=406, body=body)

    with pytest.raises(RefusedError) as caught:
        server.call("POST", body={})

    error = caught.value
    assert (error.status, error.code, error.fields) == (406, "customer_100_1", ("email", "non_field_errors"))
    assert error.messages() == ["hash_data:abc is there"]
    assert SECRET not in f"{error} {error!r}"


@pytest.mark.parametrize(
    ("body", "messages"),
    [
        ({"non_field_errors": ["a", "b"], "detail": "c"}, ["a", "b", "c"]),
        ({"non_field_errors": "a"}, ["a"]),
        ({"detail": None}, []),
        (["a"], []),
        ("<html>", []),
        (None, []),
    ],
)
def test_messages_are_read_as_a_text_or_as_a_list(body: Any, messages: list[str]) -> None:
    error = RefusedError("refused", status=400, body=body)

    assert (error.messages(), error.code) == (messages, "")


@pytest.mark.defect("S3")
def test_refusals_are_understood_even_when_they_are_not_json(server: Server) -> None:
    server.fault("status", status=404, body="<html>not here</html>")

    with pytest.raises(RefusedError) as caught:
        server.call("GET")
    assert (caught.value.body, caught.value.code, caught.value.fields) == (None, "", ())


# Logging in again ----------------------------------------------------------------------------------------------------


@dataclass
class Renewing:
    """A key that changes when it is refused; `keys`: those still to come."""

    keys: list[str]

    async def headers(self) -> dict[str, str]:
        return {"X-Key": self.keys[0]}

    async def renew(self, stale: Any) -> bool:
        if len(self.keys) > 1:
            self.keys.pop(0)
        return bool(stale["X-Key"] != self.keys[0])


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_401_logs_in_once_and_repeats_even_a_write(server: Server, method: str) -> None:
    server.fault("status", status=401, times=1)

    assert server.call(method, auth=Renewing(["old", "new"])) == {"ok": True}
    assert server.statuses() == [401, 200]


def test_a_second_401_is_a_wrong_setting(server: Server) -> None:
    server.fault("status", status=401)

    with pytest.raises(ConfigurationError, match="does not accept our credentials"):
        server.call("GET", auth=Renewing(["old", "new", "newer"]))
    assert server.statuses() == [401, 401]


def test_no_more_calls_are_under_way_at_once_than_allowed() -> None:
    under_way: list[int] = [0]
    most: list[int] = [0]

    async def slow(_: Request) -> Response:
        under_way[0] += 1
        most[0] = max(most[0], under_way[0])
        await asyncio.sleep(0.01)
        under_way[0] -= 1
        return Response("1")

    async def story(url: str) -> None:
        async with HttpSession(f"{url}/", limits=Limits(in_flight=3, requests_per_second=10_000)) as http:
            await asyncio.gather(*(http.get("slow") for _ in range(12)))

    with running(Starlette(routes=[Route("/slow", slow)])) as url:
        asyncio.run(story(url))

    assert most == [3]
