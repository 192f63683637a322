"""Passwords and keys of one stand: made once, kept in its home, readable by its owner alone."""

import json
import os
import secrets
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Self


def _random() -> str:
    return secrets.token_urlsafe(24)


@dataclass(frozen=True)
class Secrets:
    database_password: str = field(default_factory=_random)
    admin_email: str = "admin@example.com"
    admin_password: str = field(default_factory=_random)
    shopper_password: str = field(default_factory=_random)
    jwt_secret: str = field(default_factory=_random)
    cookie_secret: str = field(default_factory=_random)
    api_key: str = ""  # Medusa shows a secret key once, when it is made

    @classmethod
    def read(cls, home: Path) -> Self | None:
        try:
            return cls(**json.loads((home / "secrets.json").read_text()))
        except FileNotFoundError:
            return None

    def write(self, home: Path) -> Self:
        """Whole or not at all: a cut-off write must not lock us out of our own database."""
        draft = home / "secrets.json.new"
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(asdict(self), file, indent=1)
        draft.replace(home / "secrets.json")
        return self

    def with_api_key(self, key: str) -> Self:
        return replace(self, api_key=key)
