"""Each call of a story meets each fault: once, for as long as the task's try lasts, and in all tries of the task.

All kinds are tried at writes; at reads, which transport repeats all in the same way, a few in turn.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Any

from tests.sweeps.driving import Driven
from tests.sweeps.engine import Case, Recorded, wanted
from tests.sweeps.home import configure
from tests.sweeps.stories import STORIES, clears, wrong
from tests.sweeps.wire import CHANNEL, TRIGGER, WIRE, Call
from tests.sweeps.world import World, here

TIMEOUT, LATENCY = 1.0, 1.3  # seconds
MOMENT = 0.05  # seconds
SOON = "0.02"  # what a server names that wants to be asked again
HTML = "<html><body><h1>Bad Gateway</h1></body></html>"
ONCE, A_TRY, ALL_TRIES = "once", "a try long", "in all tries"
REFUSED, TOKEN, LATE = "refused", "401", "time-out"
ACTIONS: dict[str, dict[str, Any]] = {
    REFUSED: {},
    "cut before": {"kind": "cut_before"},
    "cut after": {"kind": "cut_after"},
    "500": {"kind": "status", "status": 500, "body": {"detail": "Server error."}},
    "502": {"kind": "status", "status": 502, "body": HTML, "headers": {"Content-Type": "text/html"}},
    "429": {"kind": "status", "status": 429, "body": {"detail": "Throttled."}},
    "429 later": {"kind": "status", "status": 429, "body": {"detail": "Throttled."}, "headers": {"Retry-After": SOON}},
    TOKEN: {"kind": "status", "status": 401, "body": {"detail": "Invalid token."}},
    LATE: {"kind": "latency", "seconds": LATENCY},
    "truncated": {"kind": "truncate"},
}
AT_READS = 2  # kinds
AT_LAST_WRITES = ("cut after", "500")
LONG = [kind for kind in ACTIONS if kind not in {LATE, TOKEN}]  # a time-out a try takes seconds, a 401 ends it at once
OFTEN = 1000
A_TRIGGER_LONG = 6  # calls: it has no tries, and asks until it is answered


@dataclass(frozen=True)
class Fault:
    """What happens at which call, and for how long."""

    kind: str
    call: Call
    lasts: str

    def __str__(self) -> str:
        return f"{self.kind} {self.lasts} at {self.call}"


def cases(recorded: Recorded) -> list[Case]:
    """Generated from the calls that were made, so that a new one is covered by itself."""
    return [Case("faults", recorded.name, str(fault), fault) for fault in faults(recorded.calls)]


def faults(calls: Sequence[Call]) -> Iterator[Fault]:
    """Of many calls of a kind in a task, the first and the last; each call meets one that lasts."""
    firsts = {(call.kind, call.task): call for call in reversed(calls)}.values()
    lasts = {(call.kind, call.task): call for call in calls}.values()
    in_turn, long_in_turn = cycle(ACTIONS), cycle(LONG)
    for call in calls:
        if call in firsts and call.is_write:
            yield from (Fault(kind, call, ONCE) for kind in ACTIONS)
            yield from (Fault(kind, call, A_TRY) for kind in LONG)
            yield Fault(next(long_in_turn), call, ALL_TRIES)
            continue
        if call in firsts:
            kinds = (next(in_turn) for _ in range(AT_READS))
            yield from (Fault(kind, call, ONCE) for kind in kinds if not (kind == TOKEN and call.is_login))
        elif call in lasts and call.is_write:
            yield from (Fault(kind, call, ONCE) for kind in AT_LAST_WRITES)
        yield Fault(next(long_in_turn), call, A_TRY)


def run(case: Case) -> list[str]:
    """The story with the fault, and what a person does then."""
    world, story = here(), STORIES[case.story]
    story.begin(world)
    spoilt = Spoilt(world, case.data)
    spoilt.begin()
    try:
        told = story.tell(world, clears=clears(case.name))
    finally:
        spoilt.end()
    if not spoilt.fired and not case.data.call.nth:  # how many of a kind there are may be chance
        return ["the fault met no call"]
    return wrong(world, told, wanted(case.story), clears=clears(case.name))


class Spoilt:
    """A world in which one thing goes wrong."""

    def __init__(self, world: World, fault: Fault) -> None:
        self.world, self.fault = world, fault
        self.server = world.market if fault.call.side == CHANNEL else world.office
        self.fired = False
        self.is_over = False
        often = A_TRIGGER_LONG if fault.call.task == TRIGGER else OFTEN
        self.times = 1 if fault.lasts == ONCE else often

    def begin(self) -> None:
        """The fault waits for its call."""
        fault = self.fault
        Driven.tried = staticmethod(self._after_a_try)
        if fault.kind == LATE:
            configure(self.world.own, limits={"timeout": f"{TIMEOUT:.0f}s"})
        if fault.kind == REFUSED:
            WIRE.refused = self._is_meant
        elif fault.kind == TOKEN and fault.call.side != CHANNEL:
            WIRE.before = self._expire
        else:
            self._tell()

    def end(self) -> None:
        """All is as before."""
        self._look()
        Driven.tried = staticmethod(lambda ti, name: None)
        self.world.quiet()

    def _tell(self) -> None:
        call = self.fault.call
        rule = {"method": call.method, "path": call.path, "skip": call.nth, "times": self.times}
        self.server.post("/admin/faults", json={**rule, "action": ACTIONS[self.fault.kind]}).raise_for_status()

    def _is_meant(self, call: Call) -> bool:
        meant = self.fault.call
        is_it = call.kind == meant.kind and not self.is_over
        is_it &= call.nth in range(meant.nth, meant.nth + self.times)
        self.fired |= is_it
        return is_it

    def _expire(self, call: Call) -> None:
        if self._is_meant(call):
            self.world.office.post("/admin/tokens/expire").raise_for_status()

    def _until_nothing_is_under_way(self) -> None:
        """Airflow's own retry comes later than the late answer."""
        while any(row["fault"] == "latency" and row["status"] is None for row in self._received()):
            time.sleep(MOMENT)

    def _received(self) -> list[dict[str, Any]]:
        return list(self.server.get("/admin/requests").json())

    def _look(self) -> None:
        rules = self.server.get("/admin/faults").json()
        self.fired |= any(rule["fired"] for rule in rules)

    def _after_a_try(self, ti: Any, name: str) -> None:
        """A fault that lasts a try is over with it; one that lasts longer ends with the task's last try."""
        if self.is_over:
            return
        self._look()
        if not self.fired:
            return
        if self.fault.kind == LATE:
            self._until_nothing_is_under_way()
        if self.fault.lasts != ALL_TRIES or ti.state != "up_for_retry":
            self.is_over = True
            self.world.office.delete("/admin/faults")
            self.world.market.delete("/admin/faults")
