"""Finds the programs that the stand needs, and says how to get the ones that are missing."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sandbox.medusa.errors import MissingToolError

NODE_AT_LEAST = (20, 19)
POSTGRES_AT_LEAST = 14
# Distributions keep the server programs off the PATH.
POSTGRES_FOLDERS = (
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
)


@dataclass(frozen=True)
class Tools:
    node: str
    npm: str
    initdb: str
    postgres: str


def find_tools() -> Tools:
    """All programs, or one `MissingToolError` that names every missing one."""
    missing = []
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None or _version(node)[:2] < NODE_AT_LEAST:
        missing.append("Node.js 20.19 or newer with npm (apt install nodejs npm, brew install node, or nvm install 22)")
    folder = _postgres_folder()
    if folder is None:
        missing.append("PostgreSQL's server programs (apt install postgresql, or brew install postgresql@17)")
    if node is None or npm is None or folder is None or missing:
        raise MissingToolError(f"The Medusa stand needs {' and '.join(missing)}.")
    return Tools(node, npm, str(folder / "initdb"), str(folder / "postgres"))


def find_postgres() -> Tools:
    """PostgreSQL's programs alone, for who needs no Medusa."""
    folder = _postgres_folder()
    if folder is None:
        raise MissingToolError(
            "PostgreSQL's server programs are needed (apt install postgresql, or brew install postgresql@17)."
        )
    return Tools("", "", str(folder / "initdb"), str(folder / "postgres"))


def _postgres_folder() -> Path | None:
    """The newest installation that has both programs."""
    complete = [path for path in _candidates() if (path / "initdb").exists() and (path / "postgres").exists()]
    versions = [(_version(str(path / "postgres")), path) for path in complete]
    fitting = [(version, path) for version, path in versions if version[:1] >= (POSTGRES_AT_LEAST,)]
    return max(fitting)[1] if fitting else None


def _candidates() -> Iterable[Path]:
    on_path = shutil.which("initdb")
    if on_path:
        yield Path(on_path).resolve().parent
    for pattern in POSTGRES_FOLDERS:
        yield from Path("/").glob(pattern.lstrip("/"))


def _version(program: str) -> tuple[int, ...]:
    """`v20.20.2` or `postgres (PostgreSQL) 15.18 (Debian …)` as numbers; nothing where it can't be asked."""
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    found = re.search(r"\d+(\.\d+)*", answer)
    return tuple(int(part) for part in found.group().split(".")) if found else ()
