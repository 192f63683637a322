"""What all tests share: a sandbox Omnitron over HTTP, and a flow that is run step by step without Airflow."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import settings

from sandbox.faults import running
from sandbox.omnitron import create_app
from tests import real_medusa
from tests.shelf import Shelf

# No test is a matter of speed: a loaded machine is no failure.
settings.register_profile("house", deadline=None, max_examples=60)
settings.load_profile("house")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest first, where one process runs them all; several take the files with most tests first."""
    items.sort(key=lambda item: item.get_closest_marker("e2e") is None)


USER, PASSWORD = "integration", "secret"
WORLD: dict[str, Any] = {
    "users": [{"username": USER, "password": PASSWORD}],
    "catalogs": [{"id": 1, "name": "default", "price_list": 1, "stock_list": 1}],
    "channels": [
        {"id": 1, "name": "shelf", "catalog": 1, "conf": {}},
        {"id": 2, "name": "other", "catalog": 1, "conf": {}},
        {"id": 3, "name": "asleep", "catalog": 1, "conf": {}, "is_active": False},
    ],
    "cargos": [{"erp_code": "yurtici", "name": "Yurtiçi Kargo", "shipping_company": "yurtici"}],
    "cancellation_reasons": [{"id": 1, "subject": "Vazgeçtim", "cancellation_type": "cancel"}],
    "retail_stores": [{"erp_code": "S1", "name": "Kadıköy", "city": "İstanbul"}],
    "mappings": [{"level": "city", "channel": 1, "code": "Stamboul", "name": "İstanbul"}],
    "products": [
        {"channel": 1, "remote_id": "SKU-1", "sku": "SKU-1"},
        {"channel": 1, "remote_id": "SKU-2", "sku": "SKU-2"},
    ],
}


class BackOffice(httpx.Client):
    """The sandbox Omnitron as its merchant and its operator see it."""

    def rows(self, path: str, channel: int = 1, **query: Any) -> list[dict[str, Any]]:
        if "Authorization" not in self.headers:
            key = self.post("/api/v1/auth/login/", json={"username": USER, "password": PASSWORD}).json()["key"]
            self.headers["Authorization"] = f"Token {key}"
        found: list[dict[str, Any]] = []
        page: int | None = 1
        while page:
            params = {"limit": 500, "sort": "id", "page": page, **query}
            answer = self.get(f"/api/v1/channel/{channel}/{path}/", params=params)
            answer.raise_for_status()
            found += answer.json()["results"]
            page = page + 1 if answer.json()["next"] else None
        return found

    def fault(self, method: str, path: str, kind: str, **rule: Any) -> None:
        action = {
            "kind": kind,
            **{name: rule.pop(name) for name in ("status", "body", "headers", "seconds", "goes_on") if name in rule},
        }
        body = {"method": method, "path": path, "times": 1, **rule, "action": action}
        self.post("/admin/faults", json=body).raise_for_status()

    def calls(self, method: str, path: str) -> list[dict[str, Any]]:
        seen = self.get("/admin/requests").json()
        rows = seen["requests"] if isinstance(seen, dict) else seen
        return [row for row in rows if row["method"] == method and row["path"].endswith(path)]

    def start_again(self, **switches: Any) -> None:
        """As after a start: nothing of what was done, no faults, no calls."""
        self.post("/admin/reset").raise_for_status()
        self.delete("/admin/faults")
        self.delete("/admin/requests")
        self.put("/admin/rate_limit", json={"per_second": None})
        self.headers.pop("Authorization", None)
        self.switch(**switches)

    def switch(self, **switches: Any) -> None:
        self.put("/admin/switches", json=switches).raise_for_status()

    def told(self, **world: Any) -> None:
        self.post("/admin/world", json=world).raise_for_status()

    def linked(self, content_type: str) -> dict[str, int]:
        """Successful links, by the channel's id."""
        rows = self.rows("integration_actions", content_type_name=content_type, status="success")
        return {row["remote_id"]: int(row["object_id"]) for row in rows}


@pytest.fixture(scope="session")
def omnitron_url() -> Iterator[str]:
    with running(create_app(":memory:", WORLD)) as url:
        yield url


@pytest.fixture(scope="session")
def medusa() -> Iterator[Callable[[int], real_medusa.Said]]:
    """A real Medusa server, for the tests of one file at a time."""
    with real_medusa.started() as more_orders:
        yield more_orders


@pytest.fixture
def back_office(omnitron_url: str) -> Iterator[BackOffice]:
    """A fresh Omnitron."""
    with BackOffice(base_url=omnitron_url, timeout=30) as client:
        client.start_again()
        yield client
        client.delete("/admin/faults")


@pytest.fixture
def shelf() -> Iterator[Callable[..., None]]:
    """Put orders on the shelf; it is empty before and after."""

    def put(*orders: dict[str, Any]) -> None:
        Shelf.orders[:] = orders

    Shelf.orders.clear()
    yield put
    Shelf.orders.clear()
