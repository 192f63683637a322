"""Omnitron as one task sees it, and twenty of them."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import pytest

from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.shared_token import SharedToken
from order_integration.transport import HttpSession, Limits
from tests.conftest import PASSWORD, USER, BackOffice
from tests.flows.steps import Steps


class Ask(Protocol):
    def __call__(self, work: Callable[[Omnitron], Awaitable[Any]], *, channel: int = 1, tries: int = 4) -> Any: ...


@pytest.fixture
def ask(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Ask:
    """Do some work with a session of its own, as a task does."""

    def run(work: Callable[[Omnitron], Awaitable[Any]], *, channel: int = 1, tries: int = 4) -> Any:
        address = f"{omnitron_url}/api/v1/"

        async def story() -> Any:
            token = SharedToken(address, USER, PASSWORD, tmp_path / "state")
            limits = Limits(tries=tries, requests_per_second=10_000, first_wait=0.001)
            async with HttpSession(address, token, limits) as http:
                return await work(Omnitron(http, channel))

        return asyncio.run(story())

    return run


# Twenty processes that are forked from one, and that go off together.
AT_ONCE = """
import asyncio, json, multiprocessing, sys
from pathlib import Path
from order_integration.omnitron.shared_token import SharedToken
from order_integration.transport import HttpSession, Limits

def one(number, ready, said, url, user, password, folder):
    async def story():
        async with HttpSession(url, SharedToken(url, user, password, Path(folder)), Limits(tries=1)) as http:
            return await http.get("active_user/")
    ready.wait()
    try:
        said.put((number, asyncio.run(story())["username"]))
    except Exception as error:
        said.put((number, type(error).__name__))

if __name__ == "__main__":
    count, *rest = json.loads(sys.argv[1])
    fork = multiprocessing.get_context("fork")
    ready, said = fork.Barrier(count), fork.Queue()
    workers = [fork.Process(target=one, args=(number, ready, said, *rest)) for number in range(count)]
    for worker in workers:
        worker.start()
    print(json.dumps([said.get(timeout=60)[1] for _ in workers]))
    for worker in workers:
        worker.join()
"""


@pytest.fixture
def processes(omnitron_url: str, tmp_path: Path) -> Callable[..., list[str]]:
    """What so many processes say when they call Omnitron at once: the user's name, or the error's."""

    def run(count: int = 20, password: str = PASSWORD, user: str = USER) -> list[str]:
        order = json.dumps([count, f"{omnitron_url}/api/v1/", user, password, str(tmp_path / "state")])
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", AT_ONCE, order],
            capture_output=True, text=True, timeout=120, check=False, env={"PYTHONPATH": "plugins"},
            cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return run


@pytest.fixture
def steps(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> Steps:
    return Steps(omnitron_url, tmp_path)
