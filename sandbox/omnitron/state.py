"""What one running stand-in holds: its database, its switches, who tried to log in, and what it ignored."""

import math
import secrets
import time
from collections import Counter, defaultdict, deque
from typing import Any

from sandbox.omnitron.database import Database, Row
from sandbox.omnitron.errors import ApiError
from sandbox.omnitron.switches import Switches

LOGIN_WINDOW = 60.0


class Sandbox:
    """The state behind one application."""

    def __init__(self, database: str, world: dict[str, Any] | None) -> None:
        self.db = Database(database)
        self.switches = Switches()
        self.world = world
        self.ignored_filters: Counter[tuple[str, str]] = Counter()
        self._logins: dict[str, deque[float]] = defaultdict(deque)

    def forget(self) -> None:
        """Everything that is not in the database, as after a start."""
        self.switches = Switches()
        self.ignored_filters.clear()
        self._logins.clear()

    def note_ignored_filter(self, url: str, name: str) -> None:
        if len(self.ignored_filters) < 1000:
            self.ignored_filters[url.split("/", 3)[3], name] += 1

    def throttle_login(self, username: str) -> None:
        """Assumption: so many tries a minute and user, good or bad; the documents name the 429 but no number."""
        limit = self.switches.login_limit_per_minute
        now, tries = time.monotonic(), self._logins[username]
        while tries and tries[0] <= now - LOGIN_WINDOW:
            tries.popleft()
        if limit is not None and len(tries) >= limit:
            seconds = max(1, math.ceil(tries[0] + LOGIN_WINDOW - now))
            detail = f"Request was throttled. Expected available in {seconds} seconds."
            raise ApiError(429, {"detail": detail, "code": "throttled"}, {"Retry-After": str(seconds)})
        tries.append(now)

    def log_in(self, username: str, password: str) -> str:
        """The user's token, the same one until it is expired."""
        user = self.db.one("users", "username = ?", username)
        if user is None or not secrets.compare_digest(str(user["password"]).encode(), password.encode()):
            text = "Unable to log in with provided credentials."
            raise ApiError(400, {"non_field_errors": [text], "code": "authorization"})
        token = user["token"] or secrets.token_hex(20)
        if user["token"] is None:
            self.db.update("users", user["pk"], {"token": token})
        return str(token)

    def authenticate(self, header: str | None) -> Row:
        if not header:
            raise _unauthorized("Authentication credentials were not provided.", "not_authenticated")
        word, _, token = header.partition(" ")
        user = self.db.one("users", "token = ?", token) if word == "Token" and token else None
        if user is None:
            raise _unauthorized("Invalid token.", "authentication_failed")
        return user


def _unauthorized(detail: str, code: str) -> ApiError:
    return ApiError(401, {"detail": detail, "code": code}, {"WWW-Authenticate": "Token"})
