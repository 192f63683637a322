import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from sandbox.medusa.daemons import started_at
from sandbox.run.errors import RunError
from sandbox.run.processes import Service, stop_all

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
# It waits for a child in a session of its own.
PARENT = [
    sys.executable,
    "-c",
    "import subprocess, sys; subprocess.run(sys.argv[1:], start_new_session=True)",
    *SLEEPER,
]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)",
]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    one = Service("sleeper", tmp_path)
    yield one
    one.stop()


@pytest.fixture
def stranger() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(SLEEPER)
    yield process
    process.kill()
    process.wait()


def start(service: Service, command: list[str]) -> None:
    service.start(command, cwd=service.folder, env=dict(os.environ))


def eventually(done: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_what_was_started_is_known_and_ended(service: Service) -> None:
    start(service, SLEEPER)
    pid = service.pid()
    assert pid
    assert service.stop()
    assert service.pid() is None
    assert started_at(pid) is None
    assert not service.pid_file.exists()
    assert not service.stop()


def test_children_are_ended_too_even_those_in_a_session_of_their_own(service: Service) -> None:
    start(service, PARENT)
    eventually(lambda: len(service.members()) == 2)
    everyone = service.members()
    service.stop()
    assert [started_at(pid) for pid in everyone] == [None, None]


def test_children_are_found_after_their_parent_crashed(service: Service) -> None:
    start(service, PARENT)
    eventually(lambda: len(service.members()) == 2)
    parent = service.pid()
    assert parent
    os.kill(parent, signal.SIGKILL)
    eventually(lambda: service.pid() is None)
    assert len(service.members()) == 1
    assert service.stop()
    assert service.members() == []


def test_a_foreign_process_with_the_number_of_ours_is_left_alone(
    service: Service, stranger: subprocess.Popen[bytes]
) -> None:
    kept = {"pid": stranger.pid, "started": "long ago", "port": 1}
    service.pid_file.write_text(json.dumps(kept))
    assert service.pid() is None
    assert service.running_port() is None
    assert not service.stop()
    assert stranger.poll() is None


@pytest.mark.parametrize("content", ["", "{", "[]", '{"pid": 1}', '{"pid": "x", "started": null}'])
def test_a_broken_pid_file_is_no_pid(service: Service, content: str) -> None:
    service.pid_file.write_text(content)
    assert service.pid() is None
    assert not service.stop()


def test_another_folder_of_the_same_name_is_left_alone(service: Service, tmp_path: Path) -> None:
    other = Service(service.name, tmp_path / "other")
    start(other, SLEEPER)
    assert not service.stop()
    assert other.pid()
    assert other.stop()


def test_who_does_not_listen_is_killed(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sandbox.run.processes.STOP_SECONDS", 0.5)
    start(service, STUBBORN)
    eventually(lambda: service.log.read_text() == "up\n")
    assert stop_all([service]) == [service]
    assert service.members() == []


def test_who_dies_at_once_is_shown_with_the_end_of_its_log(service: Service) -> None:
    start(service, [sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(RunError, match=r"(?s)sleeper did not come up.*no such thing"):
        service.wait_until(lambda: False, 10)


def test_a_foreign_server_on_our_port_is_not_taken_for_ours(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as foreign:
        service = Service("late", tmp_path, foreign.getsockname()[1])
        start(service, SLEEPER)
        with pytest.raises(RunError, match="late did not come up"):
            service.wait_until(lambda: True, 1)
        service.stop()


def test_a_second_start_replaces_the_first(service: Service) -> None:
    start(service, SLEEPER)
    first = service.pid()
    start(service, SLEEPER)
    assert service.pid() != first
    assert first
    assert not psutil.pid_exists(first) or started_at(first) is None
