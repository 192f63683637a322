"""Medusa's HTTP API, as far as the stand needs it."""

import base64
from typing import Any

import httpx

from sandbox.medusa.errors import StandError

Json = dict[str, Any]


class Api:
    """One signed-in caller: the admin, a shop front, or a shopper in it. Safe to use from several threads."""

    def __init__(self, base_url: str, headers: dict[str, str] | None = None) -> None:
        # The server closes idle connections after 5 s; proxies of the environment have no business on loopback.
        limits = httpx.Limits(keepalive_expiry=3)
        self._http = httpx.Client(
            base_url=base_url, headers=headers, timeout=60, limits=limits, trust_env=False
        )  # fmt: skip
        self._base_url = base_url

    def with_headers(self, headers: dict[str, str]) -> "Api":
        return Api(self._base_url, {**dict(self._http.headers), **headers})

    def close(self) -> None:
        self._http.close()

    def get(self, path: str, **params: Any) -> Json:
        return self._answer(self._http.get(path, params=params))

    def post(self, path: str, body: Json | None = None) -> Json:
        return self._answer(self._http.post(path, json=body or {}))

    def ensure(self, path: str, kind: str, key: str, body: Json) -> Json:
        """The one whose `key` is as in `body`; made when there is none. `kind` is what the list calls them."""
        for found in self.get(path, limit=1000)[kind]:
            if found[key] == body[key]:
                return dict(found)
        made = self.post(path, body)
        return dict(next(value for value in made.values() if isinstance(value, dict)))

    def _answer(self, response: httpx.Response) -> Json:
        if response.is_error:
            request = response.request
            raise StandError(
                f"Medusa answered {response.status_code} to {request.method} {request.url.path}: {response.text[:500]}"
            )
        return dict(response.json())


def token(api: Api, actor: str, email: str, password: str) -> str:
    """A token for the admin (`user`) or a shopper (`customer`)."""
    return str(api.post(f"/auth/{actor}/emailpass", {"email": email, "password": password})["token"])


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def basic(key: str) -> dict[str, str]:
    """A secret key stands where a user name would, with an empty password."""
    return {"Authorization": f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"}
