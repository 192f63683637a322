"""What a hostile server, record or file may send: it is bounded, it stays text, and it leads nowhere else."""

import asyncio
import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from order_integration.channels.registry import BrokenChannel, load_channels
from order_integration.dto import CancelOrderDto, ChannelCreateOrderDto, record_error
from order_integration.errors import (
    ConfigurationError,
    ContractError,
    IntegrationError,
    Reason,
    RecordError,
    RefusedError,
    UnknownOutcomeError,
)
from order_integration.flows.reconciliation import Finding, Kind, as_table
from order_integration.quarantine.__main__ import main
from order_integration.staging import Staging, Waiting, key_digest
from order_integration.transport import HttpSession, Limits
from sandbox.faults import running
from tests.shelf import order

MEGABYTE = 2**20
BOMB = gzip.compress(b"[" + b" " * 64 * MEGABYTE + b"]", 9)
ANSI = "\x1b[2J\x1b]0;owned\x07"
FORGED = f"1\n2026-01-05 ERROR all is lost\r{ANSI}\u2028\u202e"


async def _endless(_: Request) -> Response:
    async def chunks() -> Any:
        for _ in range(1024):
            yield b" " * MEGABYTE

    return StreamingResponse(chunks(), media_type="application/json")


async def _bomb(_: Request) -> Response:
    return Response(BOMB, headers={"Content-Encoding": "gzip"}, media_type="application/json")


async def _promised(_: Request) -> Response:
    return Response(b"[]", headers={"Content-Length": str(10**12)})


async def _text(request: Request) -> Response:
    return Response(HOSTILE[request.path_params["name"]], media_type="application/json")


HOSTILE = {
    "deep lists": b"[" * 200_000,
    "deep objects": b'{"a":' * 100_000,
    "a number of many digits": b"[" + b"9" * 10_000 + b"]",
    "an exponent": b"[1e99999999999999999999]",
    "a small exponent": b"[1e-99999999999999999999]",
    "not a number": b"[NaN]",
    "without end": b"[Infinity]",
    "broken letters": b'["\xff\xfe"]',
}


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    routes = [Route("/endless", _endless), Route("/bomb", _bomb), Route("/promised", _promised)]
    with running(
        Starlette(routes=[*routes, Route("/text/{name}", _text), Route("/{rest:path}", _promised)])
    ) as address:
        yield f"{address}/"


def ask(url: str, path: str, **limits: Any) -> Any:
    async def story() -> Any:
        async with HttpSession(url, limits=Limits(**{"tries": 1, "answer_bytes": 4 * MEGABYTE, **limits})) as http:
            return await http.get(path)

    return asyncio.run(story())


@pytest.mark.parametrize("path", ["endless", "bomb"])
def test_an_answer_that_would_fill_the_memory_is_read_no_further(url: str, path: str) -> None:
    with pytest.raises(UnknownOutcomeError, match="more than 4,194,304 bytes"):
        ask(url, path)


def test_an_answer_of_the_largest_size_is_read(url: str) -> None:
    assert ask(url, "bomb", answer_bytes=65 * MEGABYTE) == []


@pytest.mark.parametrize("name", HOSTILE)
def test_json_that_only_somebody_hostile_writes_is_no_json(url: str, name: str) -> None:
    with pytest.raises(UnknownOutcomeError, match="not JSON"):
        ask(url, f"text/{name}")


@pytest.mark.parametrize("path", ["orders/../admin", "orders/%2e%2e/admin", "orders/.", "..", "orders/%2E./x"])
def test_a_key_asks_for_nothing_that_is_elsewhere(url: str, path: str) -> None:
    with pytest.raises(RefusedError, match="no such path") as caught:
        ask(url, path)
    assert caught.value.status == 404


# Records -------------------------------------------------------------------------------------------------------------


NUMBERS = [
    "1e999999999",
    "0e999999999",
    "9" * 100_000,
    "1e-999999999",
    "0e-999999999",
    "NaN",
    "sNaN",
    "1_0",
    "-Infinity",
]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:20])
@pytest.mark.parametrize("field", ["amount", "discount_amount", "shipping_tax_rate"])
def test_a_number_that_only_somebody_hostile_writes_is_a_bad_record(field: str, number: str) -> None:
    with pytest.raises(ValidationError) as caught:
        ChannelCreateOrderDto.model_validate(order("1", **{field: number})["dto"])
    assert record_error(caught.value).reason is Reason.MONEY_MALFORMED


def test_what_a_record_names_is_no_part_of_a_sentence() -> None:
    with pytest.raises(ValidationError) as caught:
        CancelOrderDto.model_validate(
            {"order": "1", "cancel_items": ["1"], "reasons": {FORGED: 7, "ayse@example.com": 7}}
        )

    error = record_error(caught.value)

    assert "ayse" not in f"{error.field} {error}"
    assert "ERROR" not in f"{error.field} {error}"


@pytest.mark.parametrize("kind", [ContractError, ConfigurationError, UnknownOutcomeError])
def test_no_error_forges_a_line_of_a_log_or_talks_to_a_terminal(kind: Callable[..., IntegrationError]) -> None:
    said = [f"{kind(FORGED, key=FORGED)}", f"{RecordError(Reason.REFUSED, 'order', FORGED)}", kind(FORGED).sentence]

    assert {letter for text in said for letter in text if not letter.isprintable()} == set()


@pytest.mark.parametrize(
    "key", ["../../etc/passwd", "..", "/", "a/b", "\x00", "\ud83d", "x" * 10_000, "{{ 7 * 7 }}", FORGED]
)
def test_no_key_is_a_path(tmp_path: Path, key: str) -> None:
    box = Waiting.quarantine(Staging(f"file://{tmp_path}/staging"), "shelf", "fetch_orders")

    row = box.put(key, {"reason": "refused"}, run="run", now="2026-01-05T12:00:00+00:00")

    assert box.open_keys() == {row["key"]: row}
    [path] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert path == tmp_path / "staging" / "quarantine" / "shelf" / "fetch_orders" / f"{key_digest(key)}.json"


def test_the_command_line_and_the_report_do_not_talk_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("ORDER_INTEGRATION_STAGING", f"file://{tmp_path}/staging")
    box = Waiting.quarantine(Staging(f"file://{tmp_path}/staging"), "shelf", "fetch_orders")
    moment = datetime.now(UTC).isoformat()
    box.put(
        FORGED,
        {"reason": "refused", "field": FORGED, "sentence": FORGED, "record": {"id": FORGED}},
        run="r",
        now=moment,
    )

    for arguments in (["list"], ["show", key_digest(FORGED)], ["counts"]):
        assert main(arguments) == 0
    said = "".join(capsys.readouterr()) + as_table({"missing": 1}, [Finding(FORGED, Kind.MISSING, FORGED)])

    assert "ERROR all is lost" in said
    assert {letter for letter in said if not letter.isprintable()} == {"\n"}
    assert not [line for line in said.split("\n") if line.startswith("2026-01-05 ERROR")]


# The channel file ----------------------------------------------------------------------------------------------------

LAUGHS = "\n".join(
    [
        "channels:",
        "  good: {a: &l0 [lol]}",
        *(f"  l{n}: {{a: &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]}}" for n in range(1, 12)),
    ]
)


@pytest.mark.timeout(60)
def test_aliases_that_multiply_are_read_once(tmp_path: Path) -> None:
    (tmp_path / "channels.yaml").write_text(LAUGHS)

    assert all(isinstance(channel, BrokenChannel) for channel in load_channels(tmp_path / "channels.yaml").values())


@pytest.mark.parametrize(
    "text",
    [
        "channels: " + "[" * 1500,
        "channels: {x: !!python/object/apply:os.system ['touch owned']}",
        "channels: {x: !!python/name:os.system }",
        "channels: " + "{a: " * 1500,
    ],
)
def test_a_channel_file_that_does_something_is_refused(
    tmp_path: Path, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "channels.yaml").write_text(text)

    with pytest.raises(ConfigurationError):
        load_channels(tmp_path / "channels.yaml")
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize("name", ["../x", "a/b", "A B", "x" * 100, "{{ 7 * 7 }}", "a\nb", "ü"])
def test_a_channel_s_name_is_no_path_and_no_template(tmp_path: Path, name: str) -> None:
    (tmp_path / "channels.yaml").write_text(json.dumps({"channels": {name: {}}}))

    [channel] = load_channels(tmp_path / "channels.yaml").values()

    assert isinstance(channel, BrokenChannel)
    assert channel.name.replace("_", "").isalnum()
    assert channel.name.isascii()
