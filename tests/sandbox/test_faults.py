import re
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from sandbox.faults import FaultMiddleware, Faults, running
from sandbox.storms import WAYS, storm

WORK = {"done": 0}


async def work(request: Request) -> Response:
    await request.body()
    WORK["done"] += 1
    return JSONResponse({"done": WORK["done"], "padding": "x" * 1000})


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    app = Starlette(routes=[Route("/do/{name}", work, methods=["GET", "POST"])])
    app.add_middleware(FaultMiddleware)
    with running(app) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[httpx.Client]:
    WORK["done"] = 0
    with httpx.Client(base_url=base_url, timeout=5) as client:
        client.delete("/admin/faults")
        client.delete("/admin/requests")
        client.put("/admin/rate_limit", json={"per_second": None})
        yield client


def rule(client: httpx.Client, **parts: object) -> httpx.Response:
    answer = client.post("/admin/faults", json=parts)
    assert answer.status_code == 201, answer.text
    return answer


def test_a_call_is_recorded_with_its_query_and_status(client):
    client.get("/do/a", params={"page": 2})
    client.post("/nowhere")

    calls = client.get("/admin/requests").json()

    assert [(call["method"], call["path"], call["query"], call["status"], call["fault"]) for call in calls] == [
        ("GET", "/do/a", "page=2", 200, None),
        ("POST", "/nowhere", "", 404, None),
    ]
    assert client.get("/admin/requests", params={"since": calls[0]["id"]}).json() == calls[1:]


def test_the_record_can_be_emptied(client):
    client.get("/do/a")

    client.delete("/admin/requests")

    assert client.get("/admin/requests").json() == []


def test_a_status_fault_answers_instead_of_the_work(client):
    rule(client, action={"kind": "status", "status": 503, "body": "busy", "headers": {"Retry-After": "7"}})

    answer = client.get("/do/a")

    assert (answer.status_code, answer.text, answer.headers["retry-after"]) == (503, "busy", "7")
    assert WORK["done"] == 0


def test_cut_before_closes_the_connection_before_the_work(client):
    rule(client, times=1, action={"kind": "cut_before"})

    with pytest.raises(httpx.TransportError):
        client.post("/do/a", json={})

    assert WORK["done"] == 0
    assert client.post("/do/a", json={}).status_code == 200
    assert client.get("/admin/requests").json()[0]["fault"] == "cut_before"


def test_cut_after_closes_the_connection_after_the_work(client):
    rule(client, times=1, action={"kind": "cut_after"})

    with pytest.raises(httpx.TransportError):
        client.post("/do/a", json={})

    assert WORK["done"] == 1
    call = client.get("/admin/requests").json()[0]
    assert (call["fault"], call["status"]) == ("cut_after", 200)


def test_truncate_sends_half_of_the_body_after_the_work(client):
    rule(client, action={"kind": "truncate"})

    received: list[bytes] = []
    with client.stream("GET", "/do/a") as answer, pytest.raises(httpx.RemoteProtocolError):
        received.extend(answer.iter_raw())

    assert int(answer.headers["content-length"]) > 1000
    assert len(b"".join(received)) == int(answer.headers["content-length"]) // 2
    assert WORK["done"] == 1


def test_latency_delays_the_work(client):
    rule(client, action={"kind": "latency", "seconds": 0.3})

    started = time.monotonic()
    answer = client.get("/do/a")

    assert answer.status_code == 200
    assert time.monotonic() - started >= 0.3


def test_nobody_can_connect_for_a_while_and_connections_that_are_there_go_on(client, base_url):
    client.get("/do/a")
    rule(client, times=1, path="/do/b", action={"kind": "refuse", "seconds": 2})

    with httpx.Client(base_url=base_url) as other:
        with pytest.raises(httpx.RemoteProtocolError):
            other.post("/do/b")
        with pytest.raises(httpx.ConnectError):
            other.post("/do/a")
        assert client.get("/do/a").status_code == 200
    with httpx.Client(base_url=base_url, transport=httpx.HTTPTransport(retries=8)) as patient:
        assert patient.post("/do/a").status_code == 200
    assert WORK["done"] == 3


def test_a_storm_spoils_its_share_of_calls_in_all_ways_equally_often():
    faults = Faults()
    faults.add(storm(0.55, seconds=2))

    fired = [rule.name for rule in (faults.pick("GET", "/do/a") for _ in range(10_000)) if rule]

    assert set(fired) == set(WAYS)
    assert 5200 < len(fired) < 5800
    assert all(400 < fired.count(name) < 600 for name in WAYS)


def test_a_log_in_is_neither_refused_nor_told_to_wait_for_no_time():
    rules = {rule["name"]: rule["path"] for rule in storm(1.0, seconds=1)}

    for name in ("401", "429", "200 with HTML"):
        assert not re.search(rules[name], "/api/v1/auth/login/")
        assert re.search(rules[name], "/api/v1/channel/1/orders/")


def test_an_answer_may_come_late_though_the_work_was_done_at_once(client):
    rule(client, times=1, action={"kind": "latency", "seconds": 1.0, "done_first": True})

    with pytest.raises(httpx.ReadTimeout):
        client.post("/do/a", timeout=0.3)

    assert WORK["done"] == 1


def test_a_rule_is_for_its_method_and_path_only(client):
    rule(client, method="POST", path="^/do/a$", action={"kind": "status", "status": 500})

    assert client.get("/do/a").status_code == 200
    assert client.post("/do/ab").status_code == 200
    assert client.post("/do/a").status_code == 500


def test_skip_and_times_choose_which_calls_are_spoilt(client):
    rule(client, skip=1, times=2, action={"kind": "status", "status": 500})

    assert [client.get("/do/a").status_code for _ in range(4)] == [200, 500, 500, 200]


def test_the_first_rule_that_fires_wins(client):
    rule(client, times=1, action={"kind": "status", "status": 500})
    rule(client, action={"kind": "status", "status": 502})

    assert [client.get("/do/a").status_code for _ in range(2)] == [500, 502]


def test_probability_spoils_a_part_of_the_calls(client):
    rule(client, probability=0.5, action={"kind": "status", "status": 500})

    failed = sum(client.get("/do/a").status_code == 500 for _ in range(60))

    assert 10 < failed < 50


def test_admin_paths_are_neither_spoilt_nor_recorded(client):
    rule(client, action={"kind": "status", "status": 500})

    assert client.get("/admin/faults").status_code == 200
    assert client.get("/admin/requests").json() == []


@pytest.mark.parametrize(
    "raw",
    [
        5,
        {},
        {"action": {"kind": "explode"}},
        {"action": {"kind": "status", "status": "500"}},
        {"action": {"kind": "status", "status": 500, "headers": {"a": "b\r\nc"}}},
        {"action": {"kind": "latency"}},
        {"action": {"kind": "refuse"}},
        {"action": {"kind": "cut_before"}, "name": 5},
        {"action": {"kind": "cut_before"}, "path": "("},
        {"action": {"kind": "cut_before"}, "probability": 2},
        {"action": {"kind": "cut_before"}, "tmes": 1},
    ],
)
def test_a_rule_that_makes_no_sense_is_refused(client, raw):
    answer = client.post("/admin/faults", json=raw)

    assert answer.status_code == 400
    assert answer.json()["detail"]
    assert client.get("/admin/faults").json() == []


def test_calls_above_the_rate_limit_are_throttled(client):
    client.put("/admin/rate_limit", json={"per_second": 5})

    answers = [client.get("/do/a") for _ in range(10)]

    throttled = [answer for answer in answers if answer.status_code == 429]
    assert 4 <= len(throttled) <= 5
    assert int(throttled[0].headers["retry-after"]) >= 1


def test_a_rate_limit_that_makes_no_sense_is_refused(client):
    assert client.put("/admin/rate_limit", json={"per_second": 0}).status_code == 400
    assert client.put("/admin/rate_limit", json={"per_second": "5"}).status_code == 400
    assert client.get("/admin/rate_limit").json() == {"per_second": None}
