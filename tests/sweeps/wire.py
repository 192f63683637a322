"""Between our processes and the servers: every HTTP call is seen here, and may meet a fault that has no server.

A call is known as (side, method, path as a pattern), and by how many of its kind came before.
"""

import copy
import ctypes
import os
import re
import signal
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from order_integration.omnitron import shared_token
from order_integration.transport import HttpSession

LONGEST_PAUSE = 0.02  # seconds between two tries of a call; the waits themselves are tested with the transport
NOBODY = "http://127.0.0.1:9/"  # the discard port, which nobody listens on
OMNITRON, CHANNEL = "omnitron", "channel"
PR_SET_PDEATHSIG = 1  # of prctl(2)
TRIGGER = "trigger"  # as a task's name


@dataclass(frozen=True)
class Call:
    """One call of a run: `nth` counts those of its kind, `task` made it."""

    side: str
    method: str
    path: str
    nth: int
    task: str

    @property
    def kind(self) -> tuple[str, str, str]:
        return self.side, self.method, self.path

    @property
    def is_write(self) -> bool:
        return self.method != "GET" and not self.is_login

    @property
    def is_login(self) -> bool:
        return self.path.endswith("auth/login/$")

    def __str__(self) -> str:
        return f"{self.task}: {self.side} {self.method} {self.path} [{self.nth}]"


@dataclass
class Wire:
    """What went over it since `start_again`, and who meddles with it."""

    calls: list[Call] = field(default_factory=list)
    seen: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    task: str = ""
    before: Callable[[Call], None] = lambda call: None
    after: Callable[[Call], None] = lambda call: None
    refused: Callable[[Call], bool] = lambda call: False
    channel: str = ""

    def start_again(self, channel: str) -> None:
        """Nothing was called, nobody meddles; `channel`: its address."""
        vars(self).update(vars(Wire(channel=channel)))

    def note(self, session: HttpSession, method: str, path: str) -> Call:
        side = CHANNEL if session.base_url.startswith(self.channel) else OMNITRON
        whole = "/" + session.base_url.split("/", 3)[3] + path
        kind = (side, method, pattern(whole))
        call = Call(*kind, self.seen[kind], self.task)
        self.seen[kind] += 1
        self.calls.append(call)
        return call


WIRE = Wire()


def pattern(path: str) -> str:
    """As a fault rule names it: any number is as good as another."""
    return "^" + re.sub(r"(?<=/)\d+(?=/|$)", r"\\d+", re.escape(path).replace("\\-", "-")) + "$"


def tap() -> None:
    """From now on all sessions of this process go over the wire, and wait less between two tries."""
    once, wait = HttpSession._once, HttpSession._wait

    async def watched(self: HttpSession, method: str, path: str, *more: Any) -> Any:
        call = WIRE.note(self, method, path)
        WIRE.before(call)
        session = self
        if WIRE.refused(call):
            session = copy.copy(self)
            session.base_url = NOBODY
        try:
            return await once(session, method, path, *more)
        finally:
            WIRE.after(call)

    HttpSession._once = watched  # type: ignore[method-assign]
    HttpSession._wait = lambda self, state: min(wait(self, state), LONGEST_PAUSE)  # type: ignore[method-assign]
    shared_token.THROTTLED_FOR = LONGEST_PAUSE


def die() -> None:
    """As `kill -9` does: nothing is cleaned up."""
    os.kill(os.getpid(), signal.SIGKILL)


def end_with_parent() -> None:
    """However that ends. Elsewhere than on Linux, what was forked would wait for ever."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
