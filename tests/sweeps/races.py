"""A run stands still at a call while another process runs a flow, and goes on when that is done or has to wait for it.

Both orders in which the two could have run one after the other are tried first: it has to end as one of them. Tasks
that succeeded are cleared, too: that changes nothing.
"""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.conftest import PASSWORD, USER
from tests.sweeps.driving import Driven
from tests.sweeps.engine import Case, Recorded, wanted
from tests.sweeps.home import DAGS
from tests.sweeps.other import BLOCKED, in_turns, other, waiting
from tests.sweeps.servers import BEGIN, BETWEEN, END
from tests.sweeps.state import differences, state_of
from tests.sweeps.stories import (
    ANSWER,
    ASK,
    CANCEL,
    CHECK,
    FETCH,
    ITEMS,
    STORIES,
    UPDATE,
    arrive,
    asked,
    cancelled,
    decided,
    delivered,
    forgotten,
    nothing,
    parcels,
    refused_parcel,
    waited,
)
from tests.sweeps.wire import WIRE, Call
from tests.sweeps.world import World, here, lately, window

Conf = Callable[[], dict[str, Any]]
FEED = f"{UPDATE} (feed)"
ENOUGH_LOG_INS = 2  # the first, and one more after the token expired; or one an address
WHILE_FEED = "while the channel works"


@dataclass(frozen=True)
class Pair:
    """The story's run, and what the other process runs meanwhile."""

    name: str
    story: str
    before: Callable[[World], None]
    flow: str = ""
    conf: Conf = dict
    act: Callable[[World], None] | None = None  # instead of a flow: what a person does meanwhile

    def begin(self, world: World) -> None:
        """The situation of both."""
        if not world.knows(self.name):
            self.before(world)
            world.quiet()
            world.keep(self.name)
        world.put_back(self.name)


def new() -> dict[str, Any]:
    return window(BETWEEN, END)


def all_of_it() -> dict[str, Any]:
    return window(BEGIN, END)


def moved(world: World) -> None:
    """Cancels, and news of other units."""
    arrive(world)
    whole, second, third, part = world.sold()
    world.shop.cancel(whole.key)
    world.shop.take_back(part.key, part.longest_line()[0].line, 1)
    world.parcel(second)
    world.shop.invoice(third.key, "INV-1")
    world.parcel(third)


def asked_again(world: World) -> None:
    """Some requests are decided on, and one more comes."""
    decided(world)
    sold = world.sold()
    returned = next(one for one in sold[2:] if len(one.longest_line()) > 1)
    kept = next(one for one in sold if one.key != returned.key)
    order = next(one for one in reversed(sold) if one.key not in {returned.key, kept.key})
    world.shop.ask_for_cancel(order.key, order.longest_line()[0].line)


def forgotten_parcel(world: World) -> None:
    """One more parcel after a run that died."""
    forgotten(world)
    world.ship(world.sold()[3])


def ship_the_rest(world: World) -> None:
    """Of the order that is shipped in part."""
    second = world.sold()[1]
    world.ship(second, second.units[1:])


PAIRS = {
    pair.name: pair
    for pair in (
        Pair("the same window twice", FETCH, nothing, FETCH, new),
        Pair("a window and a backfill over it", FETCH, nothing, FETCH, all_of_it),
        Pair("orders come, parcels go", FETCH, parcels, UPDATE),
        Pair("parcels go, orders come", UPDATE, parcels, FETCH, new),
        Pair("parcels go as a feed, orders come", FEED, refused_parcel, FETCH, new),
        Pair("parcels go, and more of the same order", UPDATE, parcels, act=ship_the_rest),
        Pair("parcels go, forgotten ones are looked for", UPDATE, forgotten_parcel, CHECK),
        Pair("forgotten parcels are looked for, others go", CHECK, forgotten_parcel, UPDATE),
        Pair("the same cancels twice", CANCEL, cancelled, CANCEL, lately),
        Pair("cancels, and news of items", CANCEL, moved, ITEMS, lately),
        Pair("the same news twice", ITEMS, delivered, ITEMS, lately),
        Pair("news of items, and cancels", ITEMS, moved, CANCEL, lately),
        Pair("the same requests twice", ASK, asked, ASK, lately),
        Pair("requests, and answers to others", ASK, asked_again, ANSWER),
        Pair("answers, and requests", ANSWER, asked_again, ASK, lately),
    )
}


@dataclass(frozen=True)
class Race:
    """Of a pair, where the first one stands still; or a task that is cleared."""

    pair: str = ""
    at: Call | None = None  # None: while the channel works on a feed
    clear: str = ""
    log_in: bool = False  # both need a new token at that moment
    hosts: bool = False  # two addresses of Omnitron, in turn

    def __str__(self) -> str:
        if self.clear or self.hosts:
            return f"{self.clear} is cleared" if self.clear else "two addresses of Omnitron"
        return f"{self.pair}{', the token expires' * self.log_in}, at {self.at or WHILE_FEED}"


def cases(recorded: Recorded) -> list[Case]:
    """Generated from the calls that were made, and from the tasks that there are."""
    return [Case("races", recorded.name, str(race), race) for race in _races(recorded)]


def _races(recorded: Recorded) -> Iterator[Race]:
    for pair in (one for one in PAIRS.values() if one.story == recorded.name):
        points = list(_points(recorded))
        yield from (Race(pair.name, call) for call in points)
        if pair.flow:
            yield Race(pair.name, points[len(points) // 2], log_in=True)
        if recorded.name == FEED:
            yield Race(pair.name)
    if recorded.name == CHECK:
        yield Race(hosts=True)
    yield from (Race(clear=task.task_id) for task in DAGS[recorded.flow].tasks)


def _points(recorded: Recorded) -> Iterator[Call]:
    """Each task's first call, and the first write of a kind."""
    calls = [call for call in recorded.calls if not call.is_login and call.task in DAGS[recorded.flow].task_ids]
    begins = {call.task: call for call in reversed(calls)}.values()
    firsts = {(call.kind, call.task): call for call in reversed(calls)}.values()
    yield from (call for call in calls if call in begins or (call.is_write and call in firsts))


def run(case: Case) -> list[str]:
    """What differs from both orders, from the nearer one."""
    race: Race = case.data
    if race.clear or race.hosts:
        return _cleared(case.story, race.clear) if race.clear else _two_hosts()
    world, pair = here(), PAIRS[race.pair]
    pair.begin(world)
    racing = Racing(world, pair, race, case.mutation)
    found = racing.run()
    world.quiet()
    if not racing.met:  # in another situation than the story's own, not all of its calls are made
        return found + ["nobody stood still"] * (pair.before is STORIES[pair.story].before)
    log_ins = len(world.office.calls("POST", "/auth/login/"))
    if race.log_in and log_ins > ENOUGH_LOG_INS:
        found.append(f"{log_ins} log-ins")
    state = _linked(state_of(world))
    return found + min((differences(one, state) for one in _in_series(pair.name)), key=len)


def _linked(state: dict[str, Any]) -> dict[str, Any]:
    """A link that was written beside an open job has no status, and is a link like the others."""
    links = [{**row, "status": row["status"] or "success"} for row in state["all links"]]
    return {**state, "links": [], "all links": links}


class Racing:
    """One run of two processes."""

    def __init__(self, world: World, pair: Pair, race: Race, mutation: str) -> None:
        self.world, self.pair, self.race, self.mutation = world, pair, race, mutation
        self.met = False
        self.blocked = False
        self.wrong: list[str] = []

    def run(self) -> list[str]:
        """What went wrong, besides how it ends."""
        other()  # is forked here, not in the middle of a call
        feeds = waited(self.world) if STORIES[self.pair.story].is_patient else None
        if self.race.at:
            WIRE.before = self._stand_still
        with in_turns(self.world, lambda: None):
            story = STORIES[self.pair.story]
            mine = Driven.begun(story.flow, story.conf()).to_the_end(waiting(lambda: None, self._while_feed(feeds)))
            if self.blocked:
                self.wrong += other().end()
            if self.pair.act:
                self.wrong += _ran(story.flow, story.conf())  # what changed meanwhile is told by now
        return self.wrong + _red(mine)

    def _stand_still(self, call: Call) -> None:
        at = self.race.at
        if not self.met and at and (call.kind, call.nth, call.task) == (at.kind, at.nth, at.task):
            self._other_runs()

    def _while_feed(self, feeds: Any) -> Any:
        def looked(message: Any) -> Any:
            if not self.race.at and not self.met:
                self._other_runs()
            return feeds(message)

        return looked

    def _other_runs(self) -> None:
        self.met = True
        if self.race.log_in:
            self.world.office.post("/admin/tokens/expire").raise_for_status()
        if self.pair.act:
            self.pair.act(self.world)
            return
        said = other().begin(self.pair.flow, self.pair.conf(), self.mutation)
        self.blocked = said == BLOCKED
        if not self.blocked and said != "done":
            self.wrong.append(said)


@cache
def _in_series(name: str) -> tuple[dict[str, Any], ...]:
    """How it ends when one waits for the other, and the other way round."""
    world, pair = here(), PAIRS[name]
    story = STORIES[pair.story]
    feeds = waited(world) if story.is_patient else None
    ends = []
    for mine_first in (True, False):
        pair.begin(world)
        for mine in (mine_first, not mine_first, *[True] * bool(pair.act)):
            if pair.act and not mine:
                pair.act(world)
                continue
            flow, conf = (story.flow, story.conf) if mine else (pair.flow, pair.conf)
            assert not (wrong := _ran(flow, conf(), feeds if mine else None)), wrong
        world.quiet()
        ends.append(_linked(state_of(world)))
    return tuple(ends)


def _cleared(name: str, task: str) -> list[str]:
    """The story, and a person who clears a task that had succeeded."""
    world, story = here(), STORIES[name]
    story.begin(world)
    [run] = story.tell(world)
    feeds = waited(world) if story.is_patient else None
    run.clear(task)
    red = _red(Driven(run.dag, run.run_id).to_the_end(feeds))
    world.quiet()
    return red + differences(wanted(name), state_of(world))


def _two_hosts() -> list[str]:
    """Each address has a token of its own, which lasts while the other one is used."""
    from order_integration.omnitron.shared_token import SharedToken  # noqa: PLC0415
    from order_integration.transport import HttpSession  # noqa: PLC0415

    world = here()
    world.put_back("empty")
    address = f"{world.servers.omnitron}/api/v1/"

    async def look(url: str) -> None:
        async with HttpSession(url, SharedToken(url, USER, PASSWORD, world.own / "state")) as http:
            await http.get("active_user/")

    for url in (address, address.replace("127.0.0.1", "localhost")) * 2:
        asyncio.run(look(url))
    log_ins = len(world.office.calls("POST", "/auth/login/"))
    return [] if log_ins == ENOUGH_LOG_INS else [f"{log_ins} log-ins at two addresses"]


def _ran(flow: str, conf: dict[str, Any], feeds: Any = None) -> list[str]:
    return _red(Driven.begun(flow, conf).to_the_end(feeds))


def _red(run: Driven) -> list[str]:
    return [] if run.is_green else [f"the run is {run.state}: {run.states()}"]
