"""The story of a channel's orders, from their arrival to the last return: people act, and Airflow runs the flows."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import zip_longest

from sandbox.run.facts import Answer, State, unit_id
from sandbox.run.flow_run import Call, FlowRun, Follower
from sandbox.run.merchant import Asked, Merchant, Sold, Unit
from sandbox.run.picks import Picks, choose, first_of_line
from sandbox.run.plan import Channel
from sandbox.run.rest import Json
from sandbox.run.scheduler_stack import Say
from sandbox.run.shoppers import Shop

SETTINGS = "update_channel_conf_schema"
FETCH, UPDATE, CHECK = "fetch_orders", "update_orders", "check_orders"
CANCEL, ITEMS = "fetch_and_create_cancel", "fetch_and_update_order_items"
ASK, ANSWER = "fetch_and_create_cancellation_requests", "update_cancellation_requests"
FLOWS = (SETTINGS, FETCH, UPDATE, CHECK, CANCEL, ITEMS, ASK, ANSWER)
READING = (CANCEL, ITEMS, ASK)  # they read a window, as FETCH does
SOON = timedelta(seconds=1)  # a window's end is not part of it


class BrokenOffError(Exception):
    """The story can't go on; the text says why."""


@dataclass
class Part:
    """One channel's part: who acts there, and what should have become of the units and requests they touched."""

    channel: Channel
    merchant: Merchant
    shop: Shop
    orders: tuple[datetime, datetime]  # the window in which all of its orders are
    modes: Sequence[Json] = ({},)  # what `update_orders` is told, a wave each
    gets_feeds: bool = False
    picks: Picks = field(default_factory=Picks)
    wanted: dict[str, State] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)

    def waves(self) -> list[tuple[Json, list[Sold]]]:
        """What is shipped at once."""
        shipped = [*self.picks.arriving, *self.picks.part]
        return [(mode, shipped[place :: len(self.modes)]) for place, mode in enumerate(self.modes)]

    def becomes(self, units: Iterable[Unit], state: State) -> None:
        self.wanted |= {unit_id(unit.line, unit.number): state for unit in units}


@dataclass
class Story:
    """`runs` grows while it is told."""

    parts: Sequence[Part]
    follower: Follower
    say: Say
    runs: list[FlowRun] = field(default_factory=list)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def arrive(self) -> None:
        """Omnitron knows what can be set, and the orders are in it."""
        self._chapter("0", "Omnitron's form gets the channels' settings", SETTINGS)
        self._chapter("1", "orders arrive", FETCH)
        for part in self.parts:
            part.picks = choose(part.merchant.sold(), refused=part.shop.refuses, asked=part.shop.cancels_on_request)
            if part.picks.is_short:
                self.say(
                    f"  {part.channel.name}: only {len(part.picks.all)} untouched orders are left, {part.picks.wanted} "
                    "were wanted: this story is shorter (`make clean` begins a new one)"
                )

    def go_on(self) -> None:
        """The rest, until each side has heard all that happened on the other."""
        self._ship()
        self._chapter("3", "the sweeper finds nothing that was left open", CHECK)
        self._cancel()
        self._offer_again()
        self._deliver()
        self._ask()
        self._decide()
        self._chapter("8", "what came of it is offered to the channel, which knows it already", UPDATE)

    def calls_of_a_round(self) -> list[Call]:
        """All flows once more."""
        return [self._call(flow, part) for flow in FLOWS for part in self.parts]

    def _ship(self) -> None:
        for number, wave in enumerate(zip_longest(*(part.waves() for part in self.parts)), start=1):
            calls = []
            for part, of_part in zip(self.parts, wave, strict=True):
                if of_part:
                    mode, orders = of_part
                    self._pack(part, orders, number)
                    calls.append(self._call(UPDATE, part, mode))
            self.say("2. the merchant ships some orders, and the channel is told" + " the other way" * (number > 1))
            self._run(calls)

    def _pack(self, part: Part, orders: Sequence[Sold], wave: int) -> None:
        for number, order in enumerate(orders, start=1):
            units = first_of_line(order) if order in part.picks.part else order.units
            part.merchant.ship(units, f"TRK-{part.channel.number}-{self.began:%H%M%S}-{wave}-{number}")
            part.becomes(units, State.SHIPPED)
            if order in part.picks.refused:
                part.shop.refuse_next(order.key)

    def _cancel(self) -> None:
        for part in self.parts:
            for order in part.picks.cancelled:
                part.shop.cancel(order.key)
                part.becomes(order.units, State.CANCELLED)
            for order in part.picks.less:
                last = order.longest_line()[-1]
                part.shop.take_back(order.key, last.line, 1)
                part.becomes([last], State.CANCELLED)
        self._chapter("4", "shoppers cancel orders and units", CANCEL)
        done = sum(part.merchant.carry_out_plans() for part in self.parts)
        self.say(f"  the merchant's OMS carries {done} cancellations out")

    def _offer_again(self) -> None:
        """What the channel refused at first has not left yet, for the channel."""
        self.say("   what was refused is offered again")
        self._run([self._call(UPDATE, part) for part in self.parts])

    def _deliver(self) -> None:
        for part in self.parts:
            for number, order in enumerate(part.picks.arriving, start=1):
                part.shop.deliver(order.key)
                part.becomes(order.units, State.DELIVERED)
                if part.shop.invoices and order not in part.picks.whole[-1:]:
                    part.shop.invoice(order.key, f"INV-{part.channel.number}-{self.began:%H%M%S}-{number}")
        self._chapter("5", "the channel reports deliveries and invoices", ITEMS)

    def _ask(self) -> None:
        for part in self.parts:
            for order in part.picks.pair:
                line = order.longest_line()
                part.shop.ask_for_return(order.key, {line[0].line: 2})
            for order in part.picks.mixed:
                part.shop.ask_for_return(order.key, dict.fromkeys(list(order.lines())[:2], 1))
            for order in part.picks.whole[:2]:
                part.shop.ask_for_return(order.key, {order.units[-1].line: 1})
            for order in part.picks.asked:
                part.shop.ask_for_cancel(order.key, order.longest_line()[-1].line)
        self._chapter("6", "shoppers want to return and to cancel", ASK)

    def _decide(self) -> None:
        for part in self.parts:
            for request in part.merchant.asked():
                self._answer(part, request)
        self._chapter("7", "the merchant approves some and rejects some, and the channel is told", ANSWER)

    def _answer(self, part: Part, request: Asked) -> None:
        answer = _answer_to(part.picks, request)
        part.answers[request.unit] = answer
        if answer is Answer.ACCEPTED:
            part.merchant.approve(request)
            part.wanted[request.unit] = State.RETURNED if request.kind == "refund" else State.CANCELLED
        elif answer is Answer.REJECTED:
            part.merchant.reject(request)
        else:
            part.merchant.begin(request)

    def _work(self, waiting: AbstractSet[str]) -> None:
        for part in self.parts:
            part.shop.work(awaited=Call(UPDATE, part.channel.name).dag_id in waiting)

    def _chapter(self, number: str, what: str, flow: str) -> None:
        self.say(f"{number}. {what}")
        self._run([self._call(flow, part) for part in self.parts])

    def _call(self, flow: str, part: Part, conf: Json | None = None) -> Call:
        """Orders since the first one, everything else since the story began."""
        if flow == FETCH:
            start, end = part.orders
            conf = _window(start, max(end, datetime.now(UTC) + SOON))
        elif flow in READING:
            conf = _window(self.began, datetime.now(UTC) + SOON)
        return Call(flow, part.channel.name, conf or {})

    def _run(self, calls: Sequence[Call]) -> None:
        """Raises BrokenOffError where one of them is red: what would follow builds on it."""
        done = self.follower.run(calls, self._work)
        self.runs += done
        if red := [run.call.dag_id for run in done if not run.is_green]:
            raise BrokenOffError(f"{', '.join(red)}: red, so the story ends here")


def _window(start: datetime, end: datetime) -> Json:
    return {"window_start": start.isoformat(), "window_end": end.isoformat()}


def _answer_to(picks: Picks, request: Asked) -> Answer:
    """By the order's role."""
    accepted = [*picks.pair, *picks.asked[:1]]
    rejected = [*picks.whole[:1], *picks.asked[1:]]
    if request.order in {order.key for order in accepted}:
        return Answer.ACCEPTED
    if request.order in {order.key for order in rejected}:
        return Answer.REJECTED
    for order in picks.mixed:
        if order.key == request.order:
            return Answer.ACCEPTED if request.line == next(iter(order.lines())) else Answer.REJECTED
    return Answer.WAITING
