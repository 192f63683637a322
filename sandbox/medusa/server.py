"""Medusa itself: installed with npm, migrated, started."""

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

import httpx

from sandbox.medusa.daemons import LOOPBACK, Daemon
from sandbox.medusa.keys import Secrets
from sandbox.medusa.tools import Tools

PROJECT = Path(__file__).parent / "project"
CLI = "node_modules/@medusajs/cli/cli.js"
READY_SECONDS = 90.0


class Medusa:
    """The project folder under `home` and the one Node process that runs from it."""

    def __init__(self, home: Path, port: int, tools: Tools, database_folder: Path) -> None:
        self.daemon = Daemon(home, "medusa", port, "--port")
        self.base_url = f"http://{LOOPBACK}:{port}"
        self._project = home / "project"
        self._tools = tools
        self._migrated = database_folder / "migrated"  # beside the data, so that the two never disagree

    def install(self) -> bool:
        """The pinned packages; False when they are there already. An install that was cut off is done again."""
        shutil.rmtree(self._project / "src", ignore_errors=True)
        shutil.copytree(PROJECT, self._project, dirs_exist_ok=True)  # our own code may be newer than the packages
        stamp = self._project / "node_modules" / ".whole"
        if stamp.exists() and stamp.read_text() == _version():
            return False
        shutil.rmtree(self._project / "node_modules", ignore_errors=True)
        options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--prefer-offline"]
        self._run([self._tools.npm, "install", *options], dict(os.environ), "npm install")
        stamp.write_text(_version())
        return True

    def migrate(self, database_url: str, keys: Secrets) -> bool:
        if self._migrated.exists() and self._migrated.read_text() == _version():
            return False
        self._cli(["db:migrate", "--execute-safe-links"], database_url, keys)
        self._migrated.write_text(_version())
        return True

    def create_admin(self, database_url: str, keys: Secrets) -> None:
        self._cli(["user", "-e", keys.admin_email, "-p", keys.admin_password], database_url, keys)

    def start(self, database_url: str, keys: Secrets) -> None:
        """Returns when it answers; does nothing more than that when it runs already."""
        if self.daemon.pid() is None:
            command = [self._tools.node, CLI, "start", "-H", LOOPBACK, "-p", str(self.daemon.port)]
            env = self._environment(database_url, keys)
            self.daemon.start(command, cwd=self._project, env=env, user=None)
        deadline = time.monotonic() + READY_SECONDS
        while not self._is_healthy():
            if self.daemon.pid() is None or time.monotonic() > deadline:
                raise self.daemon.fail("did not come up")
            time.sleep(0.3)

    def _is_healthy(self) -> bool:
        try:
            return httpx.get(f"{self.base_url}/health", timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False

    def _cli(self, arguments: list[str], database_url: str, keys: Secrets) -> None:
        env = self._environment(database_url, keys)
        self._run([self._tools.node, CLI, *arguments], env, f"medusa {arguments[0]}")

    def _run(self, command: list[str], env: dict[str, str], what: str) -> None:
        with self.daemon.log.open("ab") as log:
            done = subprocess.run(
                command, cwd=self._project, env=env, stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            )
        if done.returncode != 0:
            raise self.daemon.fail(f"could not be set up: {what} ended with {done.returncode}")

    def _environment(self, database_url: str, keys: Secrets) -> dict[str, str]:
        return {
            **os.environ,
            "DATABASE_URL": database_url,
            "JWT_SECRET": keys.jwt_secret,
            "COOKIE_SECRET": keys.cookie_secret,
            "STAND_ORIGIN": self.base_url,
            "NODE_ENV": "production",
            "MEDUSA_DISABLE_TELEMETRY": "true",
            "MEDUSA_WORKER_MODE": "shared",
        }


def _version() -> str:
    """Changes when a pin does, of our own or of anything they pull in."""
    return hashlib.sha256((PROJECT / "package-lock.json").read_bytes()).hexdigest()
