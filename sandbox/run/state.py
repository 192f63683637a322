"""Where the main job keeps everything: one folder, which `make clean` forgets."""

import fcntl
import json
import os
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sandbox.run.errors import RunError

REPOSITORY = Path(__file__).resolve().parents[2]


def _token() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Secrets:
    """Made on this machine at the first run; a file that only its owner reads."""

    airflow_password: str = field(default_factory=_token)
    omnitron_password: str = field(default_factory=_token)
    marketplace_key: str = field(default_factory=_token)
    fernet_key: str = field(default_factory=lambda: urlsafe_b64encode(secrets.token_bytes(32)).decode())
    jwt_secret: str = field(default_factory=lambda: secrets.token_hex(32))
    api_secret: str = field(default_factory=lambda: secrets.token_hex(32))


@dataclass(frozen=True)
class State:
    """The folder's rooms. Omnitron and Airflow are shared; each channel has a folder of its own."""

    home: Path

    @property
    def airflow(self) -> Path:
        return self.home / "airflow"

    @property
    def airflow_database(self) -> Path:
        return self.airflow / "airflow.db"

    @property
    def staging(self) -> Path:
        return self.home / "staging"

    @property
    def logs(self) -> Path:
        """Logs and pid files of the services."""
        return self.home / "services"

    @property
    def omnitron_database(self) -> Path:
        return self.home / "omnitron" / "omnitron.sqlite"

    @property
    def world(self) -> Path:
        return self.home / "omnitron" / "world.json"

    def marketplace_database(self, channel: str = "marketplace") -> Path:
        return self.home / "marketplace" / f"{channel}.sqlite"

    @property
    def medusa(self) -> Path:
        return self.home / "medusa"

    @property
    def connections(self) -> Path:
        """Airflow's connections. A file, so that an Airflow that runs already learns of a server started later."""
        return self.home / "airflow" / "connections.json"

    @property
    def passwords(self) -> Path:
        return self.home / "airflow" / "passwords.json"

    def prepare(self) -> Secrets:
        """All folders, and the secrets."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.airflow, self.staging, self.logs, self.omnitron_database.parent, self.medusa):
            folder.mkdir(exist_ok=True)
        self.marketplace_database().parent.mkdir(exist_ok=True)
        file = self.home / "secrets.json"
        if not file.exists():
            write_private(file, asdict(Secrets()))
        return Secrets(**json.loads(file.read_text()))

    @contextmanager
    def alone(self) -> Iterator[None]:
        """One command at a time."""
        self.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunError(
                    "Another command of the main job is at work: wait for it, or end it with Ctrl-C."
                ) from None
            yield


def write_private(path: Path, content: Any) -> None:
    """JSON that only its owner reads; whoever reads it meanwhile sees the old or the new, never a half."""
    draft = path.with_suffix(f".{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, ensure_ascii=False, indent=1)
    draft.replace(path)
