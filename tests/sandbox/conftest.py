from collections.abc import Iterator

import pytest

from sandbox.faults import running
from sandbox.omnitron import create_app
from tests.sandbox.omnitron_client import WORLD, Omnitron


@pytest.fixture(scope="session")
def omnitron_url() -> Iterator[str]:
    with running(create_app(":memory:", WORLD)) as url:
        yield url


@pytest.fixture
def omnitron(omnitron_url: str) -> Iterator[Omnitron]:
    with Omnitron(base_url=omnitron_url, timeout=10) as client:
        client.post("/admin/reset")
        client.delete("/admin/faults")
        client.delete("/admin/requests")
        client.log_in()
        yield client
