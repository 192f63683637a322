"""The stand's own promises, as far as they need no server."""

import os
import pwd
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sandbox.medusa import tools
from sandbox.medusa.daemons import Daemon
from sandbox.medusa.errors import MissingToolError, PortTakenError
from sandbox.medusa.keys import Secrets
from sandbox.medusa.orders import order
from sandbox.medusa.postgres import data_folder
from sandbox.medusa.shoppers import shopper

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]


@pytest.fixture
def daemon(tmp_path):
    made = Daemon(tmp_path, "medusa", 1, "--port")
    yield made
    made.stop()


def test_a_started_process_is_known_to_the_next_command_and_is_ended_by_it(daemon, tmp_path):
    daemon.start(SLEEPER, cwd=tmp_path, env=os.environ, user=None)
    pid = Daemon(tmp_path, "medusa", 1, "--port").pid()
    assert pid is not None
    assert Daemon(tmp_path, "medusa", 0, "").stop() is True
    assert daemon.pid() is None
    assert not daemon.pid_file.exists()


def test_a_process_that_took_over_the_pid_is_never_ended(daemon):
    with subprocess.Popen(SLEEPER) as stranger:
        daemon.pid_file.write_text(f'{{"pid": {stranger.pid}, "started": "another time", "port": 1}}')
        assert daemon.stop() is False
        assert stranger.poll() is None
        stranger.send_signal(signal.SIGKILL)


def test_a_process_that_ignores_the_polite_signal_is_ended_anyway(tmp_path, monkeypatch):
    monkeypatch.setattr("sandbox.medusa.daemons.STOP_SECONDS", 0.3)
    stubborn = Daemon(tmp_path, "medusa", 1, "--port")
    ready = tmp_path / "ready"
    code = (
        "import pathlib, signal, time; signal.signal(15, signal.SIG_IGN); pathlib.Path('ready').touch(); time.sleep(60)"
    )
    stubborn.start([sys.executable, "-c", code], cwd=tmp_path, env=os.environ, user=None)
    while not ready.exists():
        time.sleep(0.01)
    assert stubborn.stop() is True
    assert stubborn.pid() is None


def test_a_taken_port_is_said_with_the_option_that_changes_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"{port}.*--postgres-port"):
            Daemon(tmp_path, "postgres", port, "--postgres-port").claim_port()


def test_missing_programs_are_all_named_in_one_sentence(monkeypatch):
    monkeypatch.setattr(tools.shutil, "which", lambda _: None)
    monkeypatch.setattr(tools, "POSTGRES_FOLDERS", ())
    with pytest.raises(MissingToolError, match=r"Node\.js 20\.19.*PostgreSQL") as error:
        tools.find_tools()
    assert error.value.exit_code == 3


def test_secrets_are_readable_by_their_owner_alone_and_survive(tmp_path):
    kept = Secrets().with_api_key("sk_1").write(tmp_path)
    assert Secrets.read(tmp_path) == kept
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_the_data_lies_in_the_home_unless_another_user_must_reach_it_and_can_not(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    assert data_folder(home, None) == home / "database"
    assert data_folder(home, pwd.getpwuid(os.getuid())).parent == Path("/var/tmp")


def test_an_order_number_always_means_the_same_order():
    again = [order(number, 16, 2) for number in range(40)]
    assert again == [order(number, 16, 2) for number in range(40)]
    assert {one.tax_inclusive for one in again} == {True, False}
    assert {one.buyer.is_registered for one in again} == {True, False}
    assert {one.promotion for one in again} == {None, "BAHAR", "HOSGELDIN"}
    assert any(not one.is_first_of_buyer for one in again)
    assert any(one.buyer.company for one in again)


def test_nobody_who_buys_can_be_reached():
    for number in range(50):
        assert shopper(number).email.rsplit("@")[1] in {"example.com", "example.org"}
        assert shopper(number).phone.startswith("+90 555 000 ")
