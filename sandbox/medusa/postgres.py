"""A PostgreSQL of the stand's own: its data, its port, nobody else's."""

import hashlib
import os
import pwd
import shutil
import signal
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg

from sandbox.medusa.daemons import LOOPBACK, Daemon, as_user
from sandbox.medusa.errors import StandError
from sandbox.medusa.tools import Tools

OWNER = "medusa"
DATABASE = "medusa"
READY_SECONDS = 30.0
# The data is made again in minutes, so that a write need not reach the disk; no Unix socket, because its path may
# be 107 characters long at most and a home's often is longer.
SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "max_connections": "100",
}


class Postgres:
    """The server under `home`; `folder` holds its data, and lies elsewhere only where its user can't reach home."""

    def __init__(self, home: Path, port: int, tools: Tools) -> None:
        self.daemon = Daemon(home, "postgres", port, "--postgres-port", polite=signal.SIGINT)
        self.user = server_user()
        self.folder = data_folder(home, self.user)
        self._tools = tools

    @property
    def is_whole(self) -> bool:
        """Whether making the cluster was ever finished; half a cluster is made again."""
        return self._stamp.exists()

    def create(self, password: str) -> None:
        """An empty cluster in place of whatever is there."""
        self.daemon.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True)
        secret = self.folder / "password"
        secret.touch(mode=0o600)
        secret.write_text(password)
        if self.user:
            for path in (self.folder, secret):
                os.chown(path, self.user.pw_uid, self.user.pw_gid)
        command = [self._tools.initdb, "-D", str(self._data), "-U", OWNER, f"--pwfile={secret}", "-N"]
        command += ["-A", "scram-sha-256", "-E", "UTF8", "--locale=C"]
        env, user = _plain_environment(), as_user(self.user)
        done = subprocess.run(command, cwd="/", env=env, capture_output=True, text=True, check=False, **user)
        secret.unlink()
        if done.returncode != 0:
            raise StandError(f"initdb failed:\n{done.stderr.strip()}")

    def start(self, password: str) -> None:
        """Up, and with the database in it."""
        if self.daemon.pid() is None:
            options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = [self._tools.postgres, "-D", str(self._data), "-p", str(self.daemon.port), *options]
            self.daemon.start(command, cwd=Path("/"), env=_plain_environment(), user=self.user)
        with closing(self._connect(password)) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(f'CREATE DATABASE "{DATABASE}"')
        self._stamp.touch()

    def url(self, password: str) -> str:
        return f"postgres://{OWNER}:{password}@{LOOPBACK}:{self.daemon.port}/{DATABASE}"

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _stamp(self) -> Path:
        return self.folder / "whole"

    def _connect(self, password: str) -> psycopg.Connection[tuple[object, ...]]:
        deadline = time.monotonic() + READY_SECONDS
        while True:
            try:
                return psycopg.connect(
                    host=LOOPBACK, port=self.daemon.port, user=OWNER, password=password, dbname="postgres",
                    autocommit=True, connect_timeout=5,
                )  # fmt: skip
            except psycopg.OperationalError as error:
                if self.daemon.pid() is None or time.monotonic() > deadline:
                    raise self.daemon.fail("did not come up") from error
                time.sleep(0.2)


def data_folder(home: Path, user: pwd.struct_passwd | None) -> Path:
    """`home/database`, or a folder outside where the server's user may not walk through home's parents."""
    if user is None or all(path.stat().st_mode & 0o001 for path in (home, *home.parents)):
        return home / "database"
    key = hashlib.sha256(str(home).encode()).hexdigest()[:12]
    return Path("/var/tmp") / f"medusa-stand-{key}"  # noqa: S108  # its own, 0700, made anew by `create`


def server_user() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; anybody else runs it as themselves."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise StandError("PostgreSQL can't run as root, and there is no user postgres or nobody: run the stand as a user.")


def _plain_environment() -> dict[str, str]:
    """Without PGDATA, PGPORT and their like, which would win over what is asked here."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
