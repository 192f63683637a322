"""The smallest stories in which each flow makes all kinds of its calls. Each begins with a situation that is kept."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from zlib import crc32

from tests.conftest import PASSWORD, USER
from tests.sweeps.driving import Driven, drive, woken
from tests.sweeps.home import CHANNEL
from tests.sweeps.servers import BEGIN, BETWEEN, END
from tests.sweeps.state import differences, rows, state_of
from tests.sweeps.world import World, lately, later, window

ARRIVED = "arrived"
FETCH, UPDATE, CHECK = "fetch_orders", "update_orders", "check_orders"
CANCEL, ITEMS = "fetch_and_create_cancel", "fetch_and_update_order_items"
ASK, ANSWER = "fetch_and_create_cancellation_requests", "update_cancellation_requests"
CUTS = "-cut-"  # in the code of a report
REFUSED = "SELECT count(DISTINCT order_id) AS orders FROM feed_lines WHERE result = 'FAILED'"
MENDS = 3  # at most; a story that is still red then has no end
Conf = Callable[[], dict[str, Any]]


@dataclass(frozen=True)
class Story:
    """`before` brings the situation about, `conf` is what the run is told, `again` what the next one is."""

    name: str
    flow: str
    before: Callable[[World], None]
    conf: Conf = dict
    again: Conf = dict
    is_patient: bool = False  # a feed is waited for

    def begin(self, world: World) -> None:
        """The situation, as it was when it was first brought about."""
        if not world.knows(self.name):
            self.before(world)
            world.quiet()
            world.keep(self.name)
        world.put_back(self.name)

    def tell(self, world: World, *, clears: bool = True) -> list[Driven]:
        """The run; and where it is red, what its documentation says to do. `clears`: a person does not wait."""
        waiting = waited(world) if self.is_patient else None
        told = [drive(self.flow, self.conf(), waiting)]
        while (not told[-1].is_green or self._is_owing(world, told[-1])) and len(told) <= MENDS:
            told.append(self._mended(world, told[-1], waiting, clears=clears))
        return told

    def _is_owing(self, world: World, run: Driven) -> bool:
        """What single failures leave turns no run red that tells a channel, or asks it: the next one looks again."""
        table, swept = run.said("settle"), run.said("sweep")
        owing = table["failed"] + table["waiting"] + table["left_out"] if "due" in table else 0
        [refused] = rows(world.servers.channel_database, REFUSED)  # would be so again
        return bool(owing > refused["orders"] or swept.get("running"))

    def _mended(self, world: World, run: Driven, waiting: Any, *, clears: bool) -> Driven:
        """What is parked, or still due, is the next run's; what never came so far is cleared, or read again."""
        if run.has_table or run.is_green:
            decide(world)
            drive(CHECK, {})
            return drive(self.flow, self.again(), waiting)
        if clears:
            return Driven(run.clear(run.red()[0]).dag, run.run_id).to_the_end(waiting)
        decide(world)
        drive(CHECK, {})
        return drive(self.flow, self.conf(), waiting)


def clears(name: str) -> bool:
    """Whether a person clears what is red in this case, or leaves it to the next run: about half of them do."""
    return bool(crc32(name.encode()) % 2)


def wrong(world: World, told: list[Driven], wanted: dict[str, Any], *, clears: bool) -> list[str]:
    """What differs from the end that is wanted; red for good is a difference, too.

    Cuts are told by the run that created the order: by no other one, where its settle failed for good.
    """
    red = [] if told[-1].is_green else [f"the last of {len(told)} runs is red: {told[-1].states()}"]
    return red + differences(wanted, state_of(world), untold="" if clears else CUTS)


def decide(world: World) -> None:
    """The channel works its feeds off; its clerk refuses the largest order, however often it comes."""
    for order in world.sold()[-1:]:
        world.clerks[False].refuse_next(order.key)
    world.clerks[False].work(awaited=True)


def waited(world: World) -> Callable[[Any], dict[str, Any]]:
    """What is waited for is decided at once, and the trigger says so."""

    def decided(message: Any) -> dict[str, Any]:
        decide(world)
        return woken(message)

    return decided


def as_feed() -> dict[str, Any]:
    return {"is_sync": False}


def arrive(world: World) -> None:
    """Four orders are in Omnitron."""
    if not world.knows(ARRIVED):
        world.put_back("empty")
        run = drive(FETCH, window(BEGIN, BETWEEN))
        assert run.is_green, run.states()
        world.quiet()
        world.keep(ARRIVED)
    world.put_back(ARRIVED)


def nothing(world: World) -> None:
    world.put_back("empty")


def parcels(world: World) -> None:
    """One order is shipped, one is shipped in part, one has arrived."""
    arrive(world)
    first, second, third, _ = world.sold()
    world.ship(first)
    world.ship(second, second.units[:1])
    world.ship(third)
    for unit in third.units:
        world.office.patch(f"/admin/order_items/{unit.pk}", json={"status": "550"}).raise_for_status()


def refused_parcel(world: World) -> None:
    """The same, and one that the channel will refuse."""
    parcels(world)
    world.ship(world.sold()[3])


def forgotten(world: World) -> None:
    """A run died while the channel worked on its feed, which is decided now; another one before it sent anything."""
    parcels(world)
    run = Driven.begun(UPDATE, {"is_sync": False})
    run.go_on(stop_before="check_orders")
    run.is_lost()
    world.clerks[False].work(awaited=True)
    answer = world.office.post("/api/v1/auth/login/", json={"username": USER, "password": PASSWORD})
    world.office.headers["Authorization"] = f"Token {answer.json()['key']}"
    made = world.office.post("/api/v1/channel/1/batch_requests/", json={"channel": 1}).json()
    folder = world.staging / "batches" / CHANNEL / CANCEL
    folder.mkdir(parents=True)
    owner = {"dag": f"{CANCEL}__{CHANNEL}", "run": f"{CANCEL}__{CHANNEL}/manual__gone", "task": "settle"}
    (folder / f"{made['pk']}.json").write_text(json.dumps({**owner, "map_index": -1, "try": 1, "pk": made["pk"]}))


def cancelled(world: World) -> None:
    """A whole order, and a unit of another one."""
    arrive(world)
    whole, _, _, part = world.sold()
    world.shop.cancel(whole.key)
    world.shop.take_back(part.key, part.longest_line()[0].line, 1)


def delivered(world: World) -> None:
    """A parcel with a tracking number, an invoice, and a parcel that arrived."""
    arrive(world)
    first, second, third, _ = world.sold()
    world.parcel(first)
    world.shop.invoice(second.key, "INV-1")
    world.parcel(third, invoiceNo="INV-2")
    world.shop.deliver(third.key)


def asked(world: World) -> None:
    """One unit shall be cancelled, two shall come back."""
    arrive(world)
    _, _, third, fourth = world.sold()
    both = [order for order in (third, fourth) if len(order.longest_line()) > 1]
    returned, kept = both[0], next(order for order in world.sold() if order.key != both[0].key)
    world.ship(returned)
    world.parcel(returned)
    world.shop.deliver(returned.key)
    world.shop.ask_for_return(returned.key, {returned.longest_line()[0].line: 2})
    world.shop.ask_for_cancel(kept.key, kept.longest_line()[0].line)


def decided(world: World) -> None:
    """What comes back is accepted, what shall be cancelled is not."""
    asked(world)
    run = drive(ASK, lately())
    assert run.is_green, run.states()
    for request in world.merchant.asked():
        (world.merchant.approve if request.kind == "refund" else world.merchant.reject)(request)


STORIES = {
    story.name: story
    for story in (
        Story(FETCH, FETCH, nothing, lambda: window(BETWEEN, END), later),
        Story(UPDATE, UPDATE, parcels),
        Story(f"{UPDATE} (feed)", UPDATE, refused_parcel, as_feed, as_feed, is_patient=True),
        Story(CHECK, CHECK, forgotten),
        Story(CANCEL, CANCEL, cancelled, lately, later),
        Story(ITEMS, ITEMS, delivered, lately, later),
        Story(ASK, ASK, asked, lately, later),
        Story(ANSWER, ANSWER, decided),
    )
}
