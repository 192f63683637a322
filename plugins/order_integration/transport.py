"""HTTP as both sides use it: one kept session, time-outs everywhere, and one table that says what an answer means."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import ip_address
from typing import Any, Protocol, Self
from urllib.parse import unquote

import aiohttp
import tenacity
from aiolimiter import AsyncLimiter

from order_integration.errors import (
    ConfigurationError,
    ContractError,
    RefusedError,
    RetriableError,
    UnknownOutcomeError,
)
from order_integration.exact_json import Json, dumps, loads

Params = Mapping[str, str | int | Sequence[str | int]]

# Waits that a server asks for and that are longer than this are left to Airflow's own retry, which frees the slot.
LONGEST_WAIT_IN_TASK = 60.0
PORTS = 2**16
NOT_FOUND = 404
# Only what every reader of addresses reads alike: no user, no query, no backslash, nothing after a bracket.
ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?:\[(?P<ip>[0-9a-f:]+)]|(?P<name>[\w.-]+))(?::(?P<port>[0-9]{1,5}))?(/[^\s?#\\]*)?",
    re.IGNORECASE,
)


class Meaning(Enum):
    """What the caller does next."""

    DONE = "the body is the answer"
    TRY_AGAIN = "the work may or may not have been done"
    WAIT = "the work was not done; come back later"
    LOG_IN = "the token is gone; log in once and repeat"
    REFUSED = "a definite no"
    STOP = "a person must look"


# First match wins. 408 and 425 are said before the work; any other 5xx may come after it.
MEANINGS: tuple[tuple[range, Meaning], ...] = (
    (range(200, 300), Meaning.DONE),
    (range(300, 400), Meaning.STOP),  # a redirect would carry the token to another host
    (range(401, 402), Meaning.LOG_IN),
    (range(403, 404), Meaning.STOP),
    (range(408, 409), Meaning.WAIT),
    (range(425, 426), Meaning.WAIT),
    (range(429, 430), Meaning.WAIT),
    (range(400, 500), Meaning.REFUSED),
    (range(500, 600), Meaning.TRY_AGAIN),
)


def meaning_of(status: int) -> Meaning:
    """The table's verdict; statuses outside of HTTP stop."""
    return next((meaning for statuses, meaning in MEANINGS if status in statuses), Meaning.STOP)


class Auth(Protocol):
    """Who we are, to one server."""

    async def headers(self) -> dict[str, str]:
        """The headers that prove it."""

    async def renew(self, stale: Mapping[str, str]) -> bool:
        """Called after a 401 to `stale` headers; True: there are newer ones, repeat."""


@dataclass(frozen=True)
class FixedHeaders:
    """An API key or the like: nothing to renew."""

    fixed: Mapping[str, str] = field(default_factory=dict, repr=False)

    async def headers(self) -> dict[str, str]:
        """The key as it was configured."""
        return dict(self.fixed)

    async def renew(self, stale: Mapping[str, str]) -> bool:  # noqa: ARG002
        """A refused key stays refused."""
        return False


@dataclass(frozen=True)
class Limits:
    """How hard one process may press one server."""

    in_flight: int = 16
    requests_per_second: float = 50.0
    tries: int = 4
    first_wait: float = 0.5  # seconds; doubles from try to try
    timeout: float = 30.0  # seconds for one answer, connecting included
    answer_bytes: int = 64 * 2**20  # unpacked; a page of a thousand large orders has a third of it


def checked_base_url(url: str, setting: str) -> str:
    """The URL with one slash at its end; plain http only to this machine.

    Raises ConfigurationError that names `setting`.
    """
    parts = ADDRESS.fullmatch(url)
    if not parts or not 0 < int(parts["port"] or 1) < PORTS:
        raise ConfigurationError(f"{setting}: a base URL like https://host is needed, without user name, ? and #")
    host = parts["ip"] or parts["name"]
    if parts["scheme"].lower() == "http" and not _is_this_machine(host):
        raise ConfigurationError(
            f"{setting}: http:// would send passwords and people's data in clear to {host}; use https://"
        )
    return url.rstrip("/") + "/"


def _is_this_machine(host: str) -> bool:
    """Said in so many words: `2130706433` and `127.1` are names of this machine only to some."""
    try:
        return host.lower() == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


class HttpSession:
    """One server, seen from one process. Use it as an async context manager.

    Every call raises RetriableError (UnknownOutcomeError for a write whose answer was lost), RefusedError for a
    definite 4xx, ConfigurationError for a refused log-in, ContractError for an answer that can't be understood.
    """

    def __init__(self, base_url: str, auth: Auth | None = None, limits: Limits | None = None) -> None:
        self.base_url = base_url
        self._auth = auth or FixedHeaders()
        self._limits = limits or Limits()
        self._session: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(self._limits.in_flight)
        rate = self._limits.requests_per_second
        self._rate = AsyncLimiter(max(rate, 1.0), max(1.0, 1.0 / rate))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=self._limits.timeout),
            connector=aiohttp.TCPConnector(limit=self._limits.in_flight, keepalive_timeout=4.0),
            raise_for_status=False,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def get(self, path: str, params: Params | None = None) -> Json:
        """Read; repeated by itself where that may help."""
        return await self.call("GET", path, params=params, repeatable=True)

    async def call(
        self, method: str, path: str, *, params: Params | None = None, body: Json = None, repeatable: bool = False
    ) -> Json:
        """One call. Only a `repeatable` one is sent again when its answer was lost or was a 5xx.

        What was surely not carried out (no connection, 429) is always tried again.
        """
        retrying = tenacity.AsyncRetrying(
            retry=tenacity.retry_if_exception(lambda error: _worth_another_try(error, repeatable=repeatable)),
            stop=tenacity.stop_after_attempt(self._limits.tries),
            wait=self._wait,
            reraise=True,
        )
        return await retrying(self._authorised, method, path, params, body)

    def _wait(self, state: tenacity.RetryCallState) -> float:
        asked = getattr(state.outcome.exception(), "retry_after", None) if state.outcome else None
        backoff = tenacity.wait_exponential_jitter(multiplier=self._limits.first_wait, max=10.0, jitter=0.25)(state)
        return max(asked or 0.0, backoff)

    async def _authorised(self, method: str, path: str, params: Params | None, body: Json) -> Json:
        headers = await self._auth.headers()
        status, answer = await self._once(method, path, params, body, headers)
        if meaning_of(status) is Meaning.LOG_IN and await self._auth.renew(headers):
            status, answer = await self._once(method, path, params, body, await self._auth.headers())
        if meaning_of(status) is Meaning.LOG_IN:
            raise ConfigurationError(f"{self.base_url} does not accept our credentials", status=status, path=path)
        return answer

    async def _once(
        self, method: str, path: str, params: Params | None, body: Json, headers: dict[str, str]
    ) -> tuple[int, Json]:
        if self._session is None:
            raise ContractError("the HTTP session is used outside of its context")
        if {".", ".."} & set(unquote(path).split("/")):  # a key of somebody's; it would be asked for elsewhere
            raise RefusedError("there is no such path", status=NOT_FOUND, method=method, path=path)
        data = None if body is None else dumps(body).encode()
        if data is not None:
            headers = {**headers, "Content-Type": "application/json"}
        async with self._slots, self._rate:
            try:
                async with self._session.request(
                    method,
                    self.base_url + path,
                    params=_pairs(params),
                    data=data,
                    headers=headers,
                    allow_redirects=False,
                ) as response:
                    text = await self._whole(response)
                    return response.status, self._understood(method, path, response, text)
            except aiohttp.ClientConnectorCertificateError as error:
                raise self._untrusted(error) from None
            # Not `from error`: aiohttp's own text may hold the whole URL, and a query may hold an e-mail.
            except aiohttp.ClientConnectorError as error:
                sentence = f"no connection to {self.base_url}: {type(error).__name__}"
                raise RetriableError(sentence, method=method, path=path) from None
            except (aiohttp.ClientError, TimeoutError) as error:
                sentence = f"the answer was lost: {type(error).__name__}"
                is_late = isinstance(error, TimeoutError)
                raise UnknownOutcomeError(sentence, timed_out=is_late, method=method, path=path) from None

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, unpacked; no server may fill the memory of a task."""
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > self._limits.answer_bytes:
                sentence = f"an answer of more than {self._limits.answer_bytes:,} bytes: ask for smaller pages"
                raise UnknownOutcomeError(sentence, path=response.url.path)
        return bytes(body)

    def _untrusted(self, error: aiohttp.ClientConnectorCertificateError) -> ConfigurationError:
        why = getattr(error.certificate_error, "verify_message", "") or "not valid"
        return ConfigurationError(
            f"{self.base_url} shows a certificate that is not trusted ({why.rstrip('.')}); nothing was sent: correct "
            "the connection's host, or have its authority trusted on this machine (SSL_CERT_FILE)"
        )

    def _understood(self, method: str, path: str, response: aiohttp.ClientResponse, text: bytes) -> Json:
        status = response.status
        ids: dict[str, Any] = {"method": method, "path": path}
        match meaning_of(status):
            case Meaning.DONE:
                return _parsed(text, method, path)
            case Meaning.LOG_IN:
                return None
            case Meaning.WAIT:
                raise RetriableError("asked to wait", retry_after=retry_after(response.headers), status=status, **ids)
            case Meaning.TRY_AGAIN:
                wait = retry_after(response.headers)
                raise UnknownOutcomeError("the server failed", retry_after=wait, status=status, **ids)
            case Meaning.REFUSED:
                raise RefusedError("refused", status=status, body=_body_or_none(text), **ids)
            case Meaning.STOP:
                raise ContractError("an answer that needs a person", status=status, **ids)


def _worth_another_try(error: BaseException, *, repeatable: bool) -> bool:
    if isinstance(error, UnknownOutcomeError) and not repeatable:
        return False
    return isinstance(error, RetriableError) and (error.retry_after or 0.0) <= LONGEST_WAIT_IN_TASK


def _pairs(params: Params | None) -> list[tuple[str, str]]:
    """A list as value repeats the parameter."""
    return [
        (name, str(one))
        for name, value in (params or {}).items()
        for one in (value if isinstance(value, Sequence) and not isinstance(value, str) else [value])
    ]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After header; its rare date form counts as not given."""
    value = headers.get("Retry-After", "")
    return float(value) if value.replace(".", "", 1).isdecimal() else None


def _parsed(text: bytes, method: str, path: str) -> Json:
    if not text.strip():
        return None
    try:
        return loads(text)
    except ValueError:  # its own text would quote the body
        raise UnknownOutcomeError("the answer is not JSON", method=method, path=path) from None


def _body_or_none(text: bytes) -> Json:
    try:
        return loads(text)
    except ValueError:
        return None
