"""One token per (base URL, user) and machine, shared by all task processes through a file.

A log-in is limited (Omnitron throttles it) and every task is a new process, so the first process logs in under a lock
and the others read what it left. A refused password is remembered too: twenty processes with a wrong password cost
one log-in, not twenty, and the account is not locked out. The file is 0600 and holds no password.
"""

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import scrypt, sha256
from pathlib import Path
from typing import Any

from filelock import AsyncFileLock, Timeout

from order_integration.errors import ConfigurationError, ContractError, RefusedError, RetriableError
from order_integration.staging.private import own_folder, write_own
from order_integration.transport import HttpSession, Limits

REFUSED_FOR = 900.0  # seconds that a refused password is not tried again; a changed one is tried at once
THROTTLED_FOR = 60.0  # seconds to wait after a 429 that names no time
THROTTLED_AT_MOST = 900.0  # seconds, whatever time a 429 names: then it is asked again
WRONG_PASSWORD = frozenset({400, 401})  # Omnitron says 400; what stands before it may say 401
FORBIDDEN = 403  # said by a firewall, of where we come from or how often, not of the password
LOCK_PATIENCE = 90.0  # seconds; longer than a log-in's own time-out


@dataclass
class SharedToken:
    """`Authorization: Token …` for an HttpSession.

    Raises ConfigurationError for a refused password, RetriableError while log-ins are throttled or forbidden.
    """

    base_url: str
    username: str
    password: str = field(repr=False)
    folder: Path
    _token: str = field(default="", repr=False)
    _confirmed: str = field(default="", repr=False)  # a refused token that a log-in answered with once more

    async def headers(self) -> dict[str, str]:
        """The header, logging in where nobody on this machine has yet."""
        if not self._token:
            await self._obtain(stale="")
        return {"Authorization": f"Token {self._token}"}

    async def renew(self, stale: Mapping[str, str]) -> bool:
        """Another process may have logged in meanwhile; else log in.

        Omnitron may answer with the same token, which one of its servers did not know yet: worth one more try, but
        no further log-in.
        """
        refused = stale.get("Authorization", "").removeprefix("Token ")
        if self._token == refused:
            await self._obtain(stale=refused)
        return True

    async def _obtain(self, stale: str) -> None:
        own_folder(self.folder)
        try:
            async with AsyncFileLock(str(self._path) + ".lock", timeout=LOCK_PATIENCE, mode=0o600):
                known = self._read()
                if known.get("token", stale) != stale:
                    self._token = known["token"]
                    return
                if stale and stale == self._confirmed:
                    return
                self._refuse_what_failed_before(known)
                await self._log_in()
                self._confirmed = self._token if self._token == stale else ""
        except Timeout as error:
            raise RetriableError("another process has been logging in to Omnitron for too long") from error

    def _refuse_what_failed_before(self, known: dict[str, Any]) -> None:
        now = time.time()
        if known.get("throttled_until", 0) > now:
            wait = known["throttled_until"] - now
            raise RetriableError("Omnitron throttles log-ins", retry_after=wait)
        if known.get("refused_until", 0) > now and known.get("refused") == self._digest(known["salt"]):
            raise self._wrong_password()

    async def _log_in(self) -> None:
        body = {"username": self.username, "password": self.password}
        try:
            async with HttpSession(self.base_url, limits=Limits(tries=1)) as http:
                answer = await http.call("POST", "auth/login/", body=body)
        except (RefusedError, ConfigurationError, ContractError) as error:
            if error.ids.get("status") not in WRONG_PASSWORD:
                if isinstance(error, RefusedError):
                    sentence = f"there is no log-in of Omnitron at {self.base_url}: correct the connection's host"
                    raise ConfigurationError(sentence, status=error.status) from error
                if error.ids.get("status") == FORBIDDEN:
                    sentence = f"something before Omnitron (a firewall?) forbids the log-in at {self.base_url}"
                    raise RetriableError(sentence, status=FORBIDDEN) from error
                raise
            salt = os.urandom(16).hex()
            self._write({"salt": salt, "refused": self._digest(salt), "refused_until": time.time() + REFUSED_FOR})
            raise self._wrong_password() from error
        except RetriableError as error:
            if error.ids.get("status") == 429:  # noqa: PLR2004
                wait = min(error.retry_after or THROTTLED_FOR, THROTTLED_AT_MOST)
                self._write({"throttled_until": time.time() + wait})
            raise
        if not isinstance(answer, dict) or not answer.get("key"):
            raise ContractError("Omnitron's log-in answered without a key")
        self._token = str(answer["key"])
        self._write({"token": self._token})

    def _wrong_password(self) -> ConfigurationError:
        return ConfigurationError(
            f"Omnitron refuses user name or password of its Airflow connection (user {self.username!r} at "
            f"{self.base_url}): correct the connection; the same password is not tried again for "
            f"{REFUSED_FOR / 60:.0f} minutes"
        )

    @property
    def _path(self) -> Path:
        name = sha256(f"{self.base_url}\n{self.username}".encode()).hexdigest()[:24]
        return self.folder / f"{name}.json"

    def _digest(self, salt: str) -> str:
        return scrypt(self.password.encode(), salt=bytes.fromhex(salt), n=2**12, r=8, p=1).hex()

    def _read(self) -> dict[str, Any]:
        try:
            content = json.loads(self._path.read_text())
        except (OSError, ValueError):
            return {}
        is_ours = isinstance(content, dict) and isinstance(content.get("token", "-"), str)
        return content if is_ours else {}

    def _write(self, content: dict[str, Any]) -> None:
        """Through a second file: a reader sees the old or the new, never a half."""
        write_own(self.folder, self._path.name, json.dumps(content).encode())
