"""Clients for the back offices of servers that refuse connections now and then, and reset those that were waiting."""

import asyncio
import time

import httpx

RETRIES = 20
WAIT = 0.1  # seconds; a server refuses for less
# A connection a call: an idle one may be closed just when it is used. Then nothing that was lost was carried out.
ONE_CALL_EACH = httpx.Limits(max_keepalive_connections=0)
NOT_CONNECTED = (httpx.ConnectError, httpx.ReadError, httpx.RemoteProtocolError)


class Patient(httpx.HTTPTransport):
    """Tries again."""

    def __init__(self) -> None:
        super().__init__(limits=ONE_CALL_EACH)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(RETRIES):
            try:
                return super().handle_request(request)
            except NOT_CONNECTED:
                time.sleep(WAIT)
        return super().handle_request(request)


class AsyncPatient(httpx.AsyncHTTPTransport):
    """Tries again."""

    def __init__(self) -> None:
        super().__init__(limits=ONE_CALL_EACH)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        for _ in range(RETRIES):
            try:
                return await super().handle_async_request(request)
            except NOT_CONNECTED:
                await asyncio.sleep(WAIT)
        return await super().handle_async_request(request)
