"""One story for all channels at once: each is disturbed in its own way, at one call of each flow."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sandbox.run import plan
from sandbox.run.flow_run import Call, FlowRun
from sandbox.run.plan import Channel
from sandbox.run.story import CANCEL, CHECK, FETCH, ITEMS, UPDATE, ASK, ANSWER, Part, Story, _window
from tests.sweeps import state
from tests.sweeps.scheduler import kinds
from tests.sweeps.scheduler.comparing import state_of
from tests.sweeps.scheduler.deployment import Deployment, kill_task
from tests.sweeps.scheduler.kinds import KINDS, PLAIN, Killed, Point
from tests.sweeps.scheduler.stand import Stand

SYNC, FEED = {"is_sync": True}, {"is_sync": False}
NEXT_RUNS = 3  # that may be needed until all is told
LATER = timedelta(hours=1)  # of orders that arrive while the scheduler dies
Json = dict[str, Any]


@dataclass
class Sweep(Story):
    """`cases` and `differences` by flow."""

    deployment: Deployment = field(kw_only=True)
    cases: dict[str, int] = field(default_factory=dict)
    differences: dict[str, list[str]] = field(default_factory=dict)
    _points: dict[str, deque[Point | None]] = field(default_factory=dict)
    _point: Point | None = None
    _killed: set[str] = field(default_factory=set)
    _meanwhile: Callable[[AbstractSet[str]], None] | None = None
    _known: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._points = {
            FETCH: deque([kinds.ORDER_CREATED]),
            UPDATE: deque([kinds.PARCEL_TOLD, kinds.FEED_SENT, kinds.FEED_ASKED]),
            CHECK: deque([kinds.BATCH_SWEPT]),
            CANCEL: deque([kinds.CANCELLED]),
            ITEMS: deque([kinds.ITEM_CHANGED]),
            ASK: deque([kinds.ASKED]),
            ANSWER: deque([kinds.ANSWERED]),
        }

    def tell(self) -> None:
        """All of it."""
        self.arrive()
        self.go_on()

    def _call(self, flow: str, part: Part, conf: Json | None = None) -> Call:
        """Nothing is bought besides what the window says."""
        if flow == FETCH:
            return Call(flow, part.channel.name, _window(*part.orders))
        return super()._call(flow, part, conf)

    def _run(self, calls: Sequence[Call]) -> None:
        """With the flow's next point disturbed; what is red then is run again."""
        flow = calls[0].flow
        points = self._points.get(flow)
        self._point = points.popleft() if points else None
        self._arm()
        done = self.follower.run(calls, self._work)
        self._disarm()
        self.runs += done
        for _ in range(NEXT_RUNS):
            red = [run for run in done if not run.is_green]
            if not red:
                break
            done = self.follower.run([run.call for run in red], self._work)
        self._judge(self._point.flow if self._point else flow, done)

    def _work(self, waiting: AbstractSet[str]) -> None:
        super()._work(waiting)
        for stand in self.deployment.stands:
            self._kill(stand)
        if self._meanwhile:
            self._meanwhile(waiting)

    def _kill(self, stand: Stand) -> None:
        """As soon as its call is in the air."""
        kind, point = KINDS.get(stand.name), self._point
        if not isinstance(kind, Killed) or point is None or stand.name in self._killed:
            return
        if kind.is_held(stand, point):
            for _, task in self.deployment.api.running(f"{self._dag_of(point)}__{stand.name}"):
                if task["pid"]:
                    kill_task(int(task["pid"]), supervisor=kind.supervisor, task=kind.task)
                    self._killed.add(stand.name)
                    self.say(f"  {stand.name}: killed {task['task_id']}")

    def _dag_of(self, point: Point) -> str:
        return UPDATE if point is kinds.FEED_ASKED else point.flow

    def _arm(self) -> None:
        self._killed.clear()
        for stand in self.deployment.stands:
            kind = KINDS.get(stand.name)
            stand.omnitron.gate.calls = stand.market.gate.calls = 0
            if kind and self._point:
                kind.arm(stand, self._point)

    def _disarm(self) -> None:
        for stand in self.deployment.stands:
            kind, point = KINDS.get(stand.name), self._point
            if kind and point:
                self.cases[point.flow] = self.cases.get(point.flow, 0) + 1
                if not kind.met(stand, point):
                    self._differs(point.flow, f"{stand.name}: {point.call.method} {point.call.path} was not met")
            for side in (stand.omnitron, stand.market):
                side.gate.open()
                side.http.delete("/admin/faults")

    def _judge(self, flow: str, runs: Sequence[FlowRun]) -> None:
        for run in runs:
            if not run.is_green:
                self._differs(flow, f"{run.call.channel}: {run.call.flow} is red")
        self._compare(flow)

    def _compare(self, flow: str) -> None:
        """With the channel to which nothing happened; what differs is told once."""
        states = {stand.name: self._state(stand) for stand in self.deployment.stands}
        for name, found in states.items():
            if name != PLAIN:
                now = set(state.differences(states[PLAIN], found))
                for sentence in sorted(now - self._known.get(name, set())):
                    self._differs(flow, f"{name}: {sentence}")
                self._known[name] = now

    def _state(self, stand: Stand) -> Json:
        shared = self.deployment.stack
        return state_of(stand, shared.secrets, shared.state.staging)

    def _differs(self, flow: str, sentence: str) -> None:
        self.say(f"  DIFFERENCE {flow}: {sentence[:1000]}")
        self.differences.setdefault(flow, []).append(sentence)


def parts(stands: Sequence[Stand]) -> Iterator[Part]:
    """Each channel is an account of its own at the same marketplace on the same day: what differs was done to it."""
    for stand in stands:
        channel = Channel(stand.name, 1, plan.SEED)
        yield Part(channel, stand.merchant, stand.shop, stand.orders, modes=(SYNC, FEED, FEED, FEED), gets_feeds=True)
