"""Processes that outlive the command that starts them, and are ended by exactly the one who started them.

A pid alone is not an identity: after a crash it may belong to somebody else. The pid file therefore keeps the time at
which the process started, and a process that doesn't match it is never touched.
"""

import contextlib
import json
import os
import pwd
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.medusa.errors import PortTakenError, StandError

LOOPBACK = "127.0.0.1"
STOP_SECONDS = 20.0


@dataclass(frozen=True)
class Daemon:
    """One process of the stand; `name` names its pid file and its log."""

    home: Path
    name: str
    port: int
    port_option: str
    polite: signal.Signals = signal.SIGTERM  # how it is asked to end

    @property
    def log(self) -> Path:
        return self.home / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.home / f"{self.name}.pid"

    def pid(self) -> int | None:
        """The pid while it runs, and nothing when it ended or the number went to another process."""
        try:
            kept = json.loads(self.pid_file.read_text())
        except (FileNotFoundError, ValueError):
            return None
        return int(kept["pid"]) if started_at(kept["pid"]) == kept["started"] else None

    def claim_port(self) -> None:
        """Say at once that the port can't be had, before anything long begins."""
        if self.pid() is not None:
            port = json.loads(self.pid_file.read_text())["port"]
            if port != self.port:
                raise PortTakenError(
                    f"{self.name} already runs on port {port}: say {self.port_option} {port}, or end it with --stop."
                )
        elif _somebody_listens(self.port):
            raise PortTakenError(f"Port {self.port} for {self.name} is taken: choose another with {self.port_option}.")

    def start(
        self, command: Sequence[str], *, cwd: Path, env: Mapping[str, str], user: pwd.struct_passwd | None
    ) -> None:
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(env),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(user),
            )
        kept = {"pid": process.pid, "started": started_at(process.pid), "port": self.port}
        self.pid_file.write_text(json.dumps(kept))
        process.returncode = 0  # it is meant to outlive us; without this Python warns that it does

    def stop(self) -> bool:
        """End it, politely first; False when there was nothing to end."""
        pid = self.pid()
        for sign, patience in ((self.polite, STOP_SECONDS), (signal.SIGKILL, 5.0)):
            if self.pid() is not None:
                _send(pid or 0, sign)
                _wait_until(lambda: self.pid() is None, patience)
        self.pid_file.unlink(missing_ok=True)
        return pid is not None

    def fail(self, what: str) -> StandError:
        """What a person sees when it doesn't come up: the end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return StandError("\n".join([f"{self.name} {what}. The end of {self.log}:", *lines]))


def as_user(user: pwd.struct_passwd | None) -> dict[str, Any]:
    """`subprocess` arguments that run a command as somebody else."""
    if user is None:
        return {}
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}


def started_at(pid: int) -> str | None:
    """A string that no other process with the same pid has; nothing when no such process lives."""
    stat = Path(f"/proc/{pid}/stat")
    if Path("/proc/self/stat").exists():
        try:
            # After the name, which may hold anything between its brackets: state is field 3, start time field 22.
            fields = stat.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            return None
        return None if fields[0] == "Z" else fields[19]
    answer = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return answer.stdout.strip() or None


def _send(pid: int, sign: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, sign)


def _wait_until(done: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)


def _somebody_listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0
