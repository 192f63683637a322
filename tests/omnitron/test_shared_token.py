"""One token a machine: twenty processes log in at most once, whether the password is right or wrong."""

import asyncio
import json
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import ConfigurationError, ContractError, RetriableError
from order_integration.omnitron.shared_token import THROTTLED_AT_MOST, SharedToken
from order_integration.transport import HttpSession, Limits
from tests.conftest import PASSWORD, USER, BackOffice

Processes = Callable[..., list[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def url(omnitron_url: str) -> str:
    return f"{omnitron_url}/api/v1/"


def who(url: str, state: Path, *, user: str = USER, password: str = PASSWORD, sessions: int = 1) -> list[str]:
    """Ask for the user's name, in so many sessions at once, each as of a process of its own."""

    async def one() -> str:
        async with HttpSession(url, SharedToken(url, user, password, state), Limits(tries=1)) as http:
            return str((await http.get("active_user/"))["username"])

    async def story() -> list[str]:
        return list(await asyncio.gather(*(one() for _ in range(sessions))))

    return asyncio.run(story())


def logins(back_office: BackOffice) -> list[int]:
    return [call["status"] for call in back_office.calls("POST", "/auth/login/")]


def files(state: Path) -> Iterator[dict[str, Any]]:
    for path in state.glob("*.json"):
        yield json.loads(path.read_text())


@pytest.mark.defect("L1", "L4")
def test_twenty_processes_log_in_once(back_office: BackOffice, processes: Processes) -> None:
    assert processes() == [USER] * 20
    assert logins(back_office) == [200]


@pytest.mark.defect("L1")
def test_twenty_processes_with_a_wrong_password_try_it_once(back_office: BackOffice, processes: Processes) -> None:
    assert processes(password="wrong") == ["ConfigurationError"] * 20
    assert logins(back_office) == [400]


def test_a_corrected_password_works_at_once(back_office: BackOffice, url: str, state: Path) -> None:
    with pytest.raises(ConfigurationError, match="correct the connection"):
        who(url, state, password="wrong")

    assert who(url, state) == [USER]
    assert logins(back_office) == [400, 200]


def test_a_second_wrong_password_is_tried_too(back_office: BackOffice, url: str, state: Path) -> None:
    for password in ("wrong", "wrong", "wronger"):
        with pytest.raises(ConfigurationError):
            who(url, state, password=password)

    assert logins(back_office) == [400, 400]


@pytest.mark.parametrize("status", [400, 401])
def test_however_a_wrong_password_is_refused_it_is_tried_once(
    back_office: BackOffice, url: str, state: Path, status: int
) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=status, times=5)

    for _ in range(3):
        with pytest.raises(ConfigurationError, match="user name or password"):
            who(url, state)
    assert logins(back_office) == [status]


def test_a_firewall_that_forbids_the_log_in_is_no_wrong_password(
    back_office: BackOffice, url: str, state: Path
) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=403, times=1)

    with pytest.raises(RetriableError, match="firewall"):
        who(url, state)
    assert who(url, state) == [USER]
    assert logins(back_office) == [403, 200]


def test_a_log_in_that_is_not_where_it_should_be_is_no_wrong_password(
    back_office: BackOffice, url: str, state: Path
) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=404, times=1)

    with pytest.raises(ConfigurationError, match="no log-in"):
        who(url, state)
    assert who(url, state) == [USER]


def test_neither_the_error_nor_the_file_knows_the_password(back_office: BackOffice, url: str, state: Path) -> None:
    with pytest.raises(ConfigurationError) as caught:
        who(url, state, password="hunter2-and-more")

    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.__cause__!r}"
    assert "hunter2" not in repr(SharedToken(url, USER, "hunter2-and-more", state))
    for path in state.iterdir():
        assert b"hunter2" not in path.read_bytes()


@pytest.mark.defect("L5")
def test_the_file_is_its_owner_s_alone(back_office: BackOffice, url: str, state: Path) -> None:
    who(url, state)

    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in state.iterdir()} == {0o600}
    [content] = files(state)
    assert set(content) == {"token"}


@pytest.mark.defect("L2")
def test_an_expired_token_costs_one_log_in_for_all(back_office: BackOffice, url: str, state: Path) -> None:
    who(url, state)
    back_office.post("/admin/tokens/expire")

    assert who(url, state, sessions=5) == [USER] * 5
    assert logins(back_office) == [200, 200]


@pytest.mark.defect("L2")
def test_twenty_processes_whose_token_expired_log_in_once(
    back_office: BackOffice, url: str, state: Path, processes: Processes
) -> None:
    who(url, state)
    back_office.post("/admin/tokens/expire")

    assert processes() == [USER] * 20
    assert logins(back_office) == [200, 200]


def test_many_calls_of_one_session_share_one_new_log_in(back_office: BackOffice, url: str, state: Path) -> None:
    async def story() -> list[Any]:
        async with HttpSession(url, SharedToken(url, USER, PASSWORD, state), Limits(tries=1)) as http:
            await http.get("active_user/")
            back_office.post("/admin/tokens/expire")
            return await asyncio.gather(*(http.get("active_user/") for _ in range(10)))

    assert len(asyncio.run(story())) == 10
    assert logins(back_office) == [200, 200]


@pytest.mark.defect("L3", "L7")
def test_users_and_hosts_never_share_a_token(back_office: BackOffice, url: str, state: Path) -> None:
    back_office.told(users=[{"username": "second", "password": "secret"}])

    assert who(url, state) == [USER]
    assert who(url, state, user="second") == ["second"]
    assert who(url.replace("/api/v1/", "/api/i1/"), state) == [USER]

    assert len(logins(back_office)) == 3
    assert len(list(files(state))) == 3


def test_a_throttled_log_in_is_not_hammered(back_office: BackOffice, url: str, state: Path) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=429, headers={"Retry-After": "3600"}, times=9)

    for _ in range(4):
        with pytest.raises(RetriableError) as caught:
            who(url, state)
        assert caught.value.retry_after is not None
        assert caught.value.retry_after >= THROTTLED_AT_MOST - 100
    assert logins(back_office) == [429]


def test_a_throttled_log_in_that_names_no_time_is_not_hammered_either(
    back_office: BackOffice, url: str, state: Path
) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=429, times=9)

    for _ in range(3):
        with pytest.raises(RetriableError):
            who(url, state)
    assert logins(back_office) == [429]


@pytest.mark.defect("L6")
def test_a_log_in_server_that_fails_is_no_wrong_password(back_office: BackOffice, url: str, state: Path) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=503, times=1)

    with pytest.raises(RetriableError):
        who(url, state)
    assert who(url, state) == [USER]


@pytest.mark.defect("L6")
@pytest.mark.parametrize("body", [{}, {"key": ""}, {"key": None}, ["key"]])
def test_a_log_in_without_a_key_is_a_broken_contract(back_office: BackOffice, url: str, state: Path, body: Any) -> None:
    back_office.fault("POST", "/auth/login/", "status", status=200, body=body)

    with pytest.raises(ContractError, match="without a key"):
        who(url, state)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[1]", b"null", b'{"token": null}', b'"text"', b"\xff", b'{"token": 5}']
)
def test_a_file_that_makes_no_sense_is_written_anew(
    back_office: BackOffice, url: str, state: Path, content: bytes
) -> None:
    who(url, state)
    [path] = state.glob("*.json")
    path.write_bytes(content)

    assert who(url, state) == [USER]
    assert set(next(files(state))) == {"token"}


def test_a_token_that_stays_refused_is_a_wrong_setting(back_office: BackOffice, url: str, state: Path) -> None:
    back_office.fault("GET", "/active_user/", "status", status=401, times=9)

    with pytest.raises(ConfigurationError, match="does not accept our credentials"):
        who(url, state)
    assert len(back_office.calls("GET", "/active_user/")) == 2


def test_a_token_that_is_refused_by_mistake_costs_one_log_in_however_many_calls_were_refused(
    back_office: BackOffice, url: str, state: Path
) -> None:
    """Omnitron answers a log-in with the token that is still good."""
    token = SharedToken(url, USER, PASSWORD, state)

    async def story() -> list[bool]:
        stale = await token.headers()
        return list(await asyncio.gather(*(token.renew(stale) for _ in range(10))))

    assert asyncio.run(story()) == [True] * 10
    assert logins(back_office) == [200, 200]
