"""A flow's scheduled windows, in any order, twice, and with what happens while one is being read: once, all of it.

Of orders the windows lie in the past; of all that happens at the channel now, one is read too early for it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count, pairwise
from unittest.mock import patch

from tests.dags import runs
from tests.sweeps.driving import Driven
from tests.sweeps.engine import Case, Recorded, wanted
from tests.sweeps.home import DAGS, configure
from tests.sweeps.servers import BEGIN, BETWEEN, END
from tests.sweeps.state import differences, state_of
from tests.sweeps.stories import ASK, CANCEL, FETCH, ITEMS, arrive, asked, cancelled, delivered, nothing
from tests.sweeps.world import World, here

OVERLAP = timedelta(minutes=10)
SOON = timedelta(minutes=5)  # until the window ends that is read before anything happens in it: within the overlap
TICKS = count(1)  # no two runs of a DAG have one logical date
COMES_BACK = timedelta(hours=22, minutes=47, seconds=30.25)  # a buyer, with another phone number
BORDERS = (BETWEEN, *(BEGIN + after for after in (timedelta(hours=4.5), timedelta(hours=12), COMES_BACK)), END)
SLOTS = tuple(pairwise(BORDERS))
ORDERS: dict[str, Sequence[int]] = {
    "one after the other": (0, 1, 2, 3),
    "backwards": (3, 2, 1, 0),
    "one missed and backfilled": (0, 2, 3, 1),
    "each twice": (0, 0, 1, 1, 2, 2, 3, 3),
    "all of them again": (0, 1, 2, 3, 0, 1, 2, 3),
}
HAPPENS: dict[str, Callable[[World], None]] = {CANCEL: cancelled, ITEMS: delivered, ASK: asked}
LATE, EARLY = "what comes late is in the next window", "what came in time is read twice"


@dataclass(frozen=True)
class Windows:
    """How the windows are run, and how many rows a page has."""

    how: str
    page_size: int

    def __str__(self) -> str:
        return f"windows of pages of {self.page_size}: {self.how}"


def cases(recorded: Recorded) -> list[Case]:
    """Of the flows that read windows."""
    return [Case("windows", recorded.name, str(one), one) for one in _windows(recorded.flow)]


def _windows(flow: str) -> Iterator[Windows]:
    hows = ORDERS if flow == FETCH else (LATE, EARLY) if flow in HAPPENS else ()
    yield from (Windows(how, size) for how in hows for size in (1, 3, 100))


def run(case: Case) -> list[str]:
    """The windows, and how it ends."""
    world, how = here(), case.data
    own = {"page_size": how.page_size, "overlap": f"{OVERLAP.seconds}s", "lag": "0s"}
    if case.story == FETCH:
        nothing(world)
        configure(world.own, **{**own, "overlap": "0s"})  # a buyer's two orders come in two windows
        red = [said for number in ORDERS[how.how] for said in scheduled(FETCH, *SLOTS[number])]
        world.quiet()
        return red + differences(wanted(case.story), state_of(world))
    arrive(world)
    configure(world.own, **own)
    border = datetime.now(UTC) + SOON
    first, second = (border - timedelta(minutes=15), border), (border, border + timedelta(minutes=15))
    red = scheduled(case.story, *first) if how.how == LATE else []
    _happens(world, case.story)
    configure(world.own, **own)
    red += scheduled(case.story, *first) if how.how == EARLY else []
    red += scheduled(case.story, *second)
    world.quiet()
    return red + differences(wanted(case.story), state_of(world))


def _happens(world: World, flow: str) -> None:
    """Without the situation in which it all begins, which is there."""
    kept, world.put_back = world.put_back, lambda name: None  # type: ignore[method-assign]
    try:
        HAPPENS[flow](world)
    finally:
        world.put_back = kept  # type: ignore[method-assign]


def scheduled(flow: str, start: datetime, end: datetime) -> list[str]:
    """A run of a data interval, when that is over; why it is red."""
    own = start + timedelta(microseconds=next(TICKS))
    made = runs.create(DAGS[flow], "scheduled", logical_date=own, window=(start, end))
    with patch("order_integration.operators.inbound.now", lambda: end):
        run = Driven(made.dag, made.run_id).to_the_end()
    return [] if run.is_green else [f"the run is {run.state}: {run.states()}"]
