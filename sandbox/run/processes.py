"""Processes that may outlive the command that starts them, and are ended by nobody but us.

A pid is no identity: after a crash the number may belong to somebody else. So the pid file keeps the time at which the
process started; and every process carries a mark in its environment, which its children inherit: what is left of a
service whose first process died is found by it. Nothing without the mark is ever ended.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from sandbox.medusa.daemons import started_at
from sandbox.run.errors import RunError

MARK = "SANDBOX_RUN_SERVICE"
STOP_SECONDS = 15.0
KILL_SECONDS = 5.0
LOG_LINES = 15


@dataclass(frozen=True)
class _Kept:
    pid: int
    started: str
    port: int


@dataclass(frozen=True)
class Service:
    """One long-running process and its descendants; `name` names its log and its pid file."""

    name: str
    folder: Path
    port: int = 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.folder / f"{self.name}.pid"

    @property
    def mark(self) -> str:
        return f"{self.folder.resolve()}/{self.name}"

    def pid(self) -> int | None:
        """The pid while the process runs, and nothing when it ended or the number went to another process."""
        kept = self._kept()
        return kept.pid if kept and started_at(kept.pid) == kept.started else None

    def running_port(self) -> int | None:
        """Where it listens, if it runs."""
        kept = self._kept()
        return kept.port if kept and self.pid() else None

    def start(self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        """In a session of its own, so that Ctrl-C reaches us alone and we end things in order."""
        self.stop()  # whatever a crash left behind
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                # SPT_NOENV: Airflow renames its processes, which would wipe the mark out.
                env={**env, MARK: self.mark, "SPT_NOENV": "1"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        kept = _Kept(process.pid, started_at(process.pid) or "", self.port)
        self.pid_file.write_text(json.dumps(asdict(kept)))
        process.returncode = 0  # it may outlive us; without this Python warns that it does

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Raises RunError with the end of the log when it dies or takes too long."""
        deadline = time.monotonic() + seconds
        while not (self._listens() and ready()):
            if self.pid() is None or time.monotonic() > deadline:
                raise self.failure("did not come up")
            time.sleep(0.2)

    def stop(self) -> bool:
        """End it with all its descendants, politely first; False when there was nothing to end."""
        return bool(stop_all([self]))

    def members(self) -> list[int]:
        """The process and its descendants, wherever they moved to."""
        marked = {pid for pid in psutil.pids() if _mark_of(pid) == self.mark}
        first = self.pid()
        return sorted(marked | ({first} if first else set()))

    def failure(self, what: str) -> RunError:
        """The sentence, with the end of the log."""
        return RunError("\n".join([f"{self.name} {what}. The end of {self.log}:", *last_lines(self.log)]))

    def _kept(self) -> "_Kept | None":
        try:
            return _Kept(**json.loads(self.pid_file.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None

    def _listens(self) -> bool:
        """Whether it is ours that answers there: another server may have been quicker to take the port."""
        return not self.port or any(self.port in _listening_ports(pid) for pid in self.members())


def stop_all(services: Sequence[Service]) -> list[Service]:
    """End them together, politely first; returns those that ran."""
    found = [service for service in services if service.members()]
    for sign, patience in ((signal.SIGTERM, STOP_SECONDS), (signal.SIGKILL, KILL_SECONDS)):
        _signal(_all_members(found), sign)
        deadline = time.monotonic() + patience
        while _all_members(found) and time.monotonic() < deadline:
            time.sleep(0.1)
    for service in services:
        service.pid_file.unlink(missing_ok=True)
    return found


def last_lines(path: Path, count: int = LOG_LINES) -> list[str]:
    """The end of a log; nothing where there is none."""
    return path.read_text(errors="replace").splitlines()[-count:] if path.exists() else []


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """No Ctrl-C in here: ending things takes seconds, and half of it would leave the other half running."""
    kept = {sign: signal.signal(sign, signal.SIG_IGN) for sign in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for sign, handler in kept.items():
            signal.signal(sign, handler)


def _all_members(services: Sequence[Service]) -> list[int]:
    return [pid for service in services for pid in service.members()]


def _listening_ports(pid: int) -> set[int]:
    try:
        found = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError):
        return set()
    return {one.laddr.port for one in found if one.status == psutil.CONN_LISTEN}


def _mark_of(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        return str(process.environ().get(MARK))
    except (psutil.Error, OSError):  # gone, or not ours to look into
        return None


def _signal(pids: Sequence[int], sign: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, sign)
