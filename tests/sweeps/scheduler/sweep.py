"""One story for all channels at once: each is disturbed in its own way, at one call of each flow."""

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sandbox.run import plan
from sandbox.run.flow_run import Call, FlowRun, counts
from sandbox.run.picks import choose
from sandbox.run.plan import Channel
from sandbox.run.rest import Json
from sandbox.run.story import ANSWER, ASK, CANCEL, CHECK, FETCH, ITEMS, UPDATE, Part, Story
from tests.sweeps import state
from tests.sweeps.scheduler import kinds
from tests.sweeps.scheduler.comparing import state_of
from tests.sweeps.scheduler.deployment import Deployment, kill_task
from tests.sweeps.scheduler.kinds import KINDS, PLAIN, Killed, Point, Spoilt
from tests.sweeps.scheduler.stand import Stand

SYNC, FEED = {"is_sync": True}, {"is_sync": False}
NEXT_RUNS = 2  # that may be needed until all is told
LATE = timedelta(hours=1)  # of orders: they arrive while the scheduler dies
POINTS = {
    FETCH: kinds.ORDER_CREATED,
    CHECK: kinds.BATCH_SWEPT,
    CANCEL: kinds.CANCELLED,
    ITEMS: kinds.ITEM_CHANGED,
    ASK: kinds.ASKED,
    ANSWER: kinds.ANSWERED,
}
SHIPPED = (kinds.PARCEL_TOLD, kinds.FEED_SENT, kinds.FEED_ASKED)  # a wave each
MODES = (SYNC, FEED, FEED, FEED, FEED)  # in the last two nothing is disturbed but Airflow, or given up
Waiting = AbstractSet[str]
Meanwhile = Callable[[Waiting], None]


@dataclass
class Sweep(Story):
    """`cases` and `differences` by flow."""

    deployment: Deployment = field(kw_only=True)
    cases: dict[str, int] = field(default_factory=dict)
    differences: dict[str, list[str]] = field(default_factory=dict)
    _point: Point | None = None
    _since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _killed: set[str] = field(default_factory=set)
    _known: dict[str, set[str]] = field(default_factory=dict)

    def arrive(self) -> None:
        """Most orders under faults, a few more while the scheduler dies with all that it runs."""
        self.say("1. orders arrive")
        self._run([self._call(FETCH, part) for part in self.parts])
        for part in self.parts:
            part.orders = (part.orders[1], part.orders[1] + LATE)
        self.say("   more of them, and the scheduler is killed with all its workers and tasks")
        self._dying([self._call(FETCH, part) for part in self.parts], _AllTasks(self.deployment, "push"))
        for part in self.parts:
            part.picks = choose(part.merchant.sold(), refused=False, asked=True)

    def go_on(self) -> None:
        """The rest. What is shipped last is given up, and left to the sweeper."""
        self._ship()
        self._chapter("3", "the sweeper ends what was given up", CHECK)
        self._cancel()
        self._deliver()
        self._ask()
        self._decide()

    def _ship(self) -> None:
        for number, wave in enumerate(zip(*(part.waves() for part in self.parts), strict=True), start=1):
            calls = []
            for part, (mode, orders) in zip(self.parts, wave, strict=True):
                self._pack(part, orders, number)
                calls.append(self._call(UPDATE, part, mode))
            self.say(f"2. the merchant ships some orders, and the channel is told: wave {number}")
            if number <= len(SHIPPED):
                self._run(calls, SHIPPED[number - 1])
            elif number < len(MODES):
                self.say("   the scheduler is killed, its workers live on; and the triggerer, while all wait")
                self._dying(calls, _SchedulerAndTriggerer(self.deployment, super()._work), (UPDATE, CHECK))
            else:
                self.say("   the runs are given up while they wait")
                self.follower.run(calls, _GivenUp(self.deployment))
                super()._work({call.dag_id for call in calls})  # the channel goes on

    def _call(self, flow: str, part: Part, conf: Json | None = None) -> Call:
        """Nothing is bought besides what the window says."""
        if flow == FETCH:
            start, end = part.orders
            return Call(flow, part.channel.name, {"window_start": start.isoformat(), "window_end": end.isoformat()})
        return super()._call(flow, part, conf)

    def _run(self, calls: Sequence[Call], point: Point | None = None) -> None:
        """With the flow's call disturbed; what is red then is run once more."""
        self._point = point or POINTS.get(calls[0].flow)
        self._arm()
        done = self.follower.run(calls, self._work)
        self._disarm()
        self._judge(self._point.flow if self._point else calls[0].flow, self._green_at_last(done))

    def _dying(self, calls: Sequence[Call], meanwhile: "_Deaths", flows: Sequence[str] = (FETCH,)) -> None:
        """While a part of Airflow dies; nothing else is disturbed."""
        self._point = None
        done = self._green_at_last(self.follower.run(calls, meanwhile))
        for flow, deaths in zip(flows, meanwhile.counted(), strict=True):
            self.cases[flow] = self.cases.get(flow, 0) + len(calls)
            if not deaths:
                self._differs(flow, "nothing was killed")
        self._judge(flows[0], done)

    def _green_at_last(self, done: Sequence[FlowRun]) -> Sequence[FlowRun]:
        """What a person would do: nothing, but wait for the next run, and for the sweeper's before it."""
        for _ in range(NEXT_RUNS):
            self.runs += done
            if not (left := [run.call for run in done if not run.is_green or counts(run.row).get("failed")]):
                break
            if sweep := [Call(CHECK, call.channel) for call in left if call.flow == UPDATE]:
                super()._work({call.dag_id for call in left})  # meanwhile the channel goes on with what it has
                self.runs += self.follower.run(sweep, self._work)
            done = self.follower.run(left, self._work)
        return done

    def _work(self, waiting: Waiting) -> None:
        super()._work(waiting)
        failed = self.deployment.api.failed_since(self._since) if self._point else set()
        for stand in self.deployment.stands:
            self._kill(stand)
            self._relieve(stand, failed)

    def _relieve(self, stand: Stand, failed: Waiting) -> None:
        """As soon as a task has failed of it: then Airflow's own retry meets a server that works again."""
        kind, point = KINDS.get(stand.name), self._point
        if isinstance(kind, Spoilt) and point and f"{point.dag}__{stand.name}" in failed:
            kind.relieve(stand, point)

    def _kill(self, stand: Stand) -> None:
        """As soon as its call is in the air."""
        kind, point = KINDS.get(stand.name), self._point
        if not (isinstance(kind, Killed) and point and kind.is_held(stand, point)) or stand.name in self._killed:
            return
        for task in self.deployment.api.running(f"{point.dag}__{stand.name}"):
            self.say(f"  {stand.name}: kill -9 in the middle of {task['task_id']}")
            kill_task(int(task["pid"]), supervisor=kind.supervisor, task=kind.task)
            self._killed.add(stand.name)

    def _arm(self) -> None:
        self._killed.clear()
        self._since = datetime.now(UTC)
        for stand in self.deployment.stands:
            stand.omnitron.gate.calls = stand.market.gate.calls = 0
            if (kind := KINDS.get(stand.name)) and self._point:
                kind.arm(stand, self._point)

    def _disarm(self) -> None:
        for stand in self.deployment.stands:
            kind, point = KINDS.get(stand.name), self._point
            if kind and point:
                self.cases[point.flow] = self.cases.get(point.flow, 0) + 1
                if not kind.met(stand, point) or (isinstance(kind, Killed) and stand.name not in self._killed):
                    self._differs(point.flow, f"{stand.name}: nothing was done to {point}")
            for side in (stand.omnitron, stand.market):
                side.gate.open()
                side.http.delete("/admin/faults")

    def _judge(self, flow: str, runs: Sequence[FlowRun]) -> None:
        """With the channel to which nothing was done as the measure; what differs is told once."""
        for run in runs:
            if not run.is_green:
                self._differs(flow, f"{run.call.channel}: {run.call.flow} stays red")
        stack = self.deployment.stack
        states = {one.name: state_of(one, stack.secrets, stack.state.staging) for one in self.deployment.stands}
        for name, found in states.items():
            now = set(state.differences(states[PLAIN], found))
            for sentence in sorted(now - self._known.get(name, set())):
                self._differs(flow, f"{name}: {sentence}")
            self._known[name] = now

    def broke_off(self, why: Exception) -> None:
        """What differs already is told nevertheless."""
        self._differs(list(self.cases)[-1] if self.cases else FETCH, f"the story ends here: {why}")

    def _differs(self, flow: str, sentence: str) -> None:
        self.say(f"  DIFFERENCE in {flow}: {sentence}")
        self.differences.setdefault(flow, []).append(sentence)


@dataclass
class _Deaths:
    """What is killed while runs are under way; called again and again."""

    deployment: Deployment

    def __call__(self, waiting: Waiting) -> None:
        """Kill, as soon as it hurts."""

    def counted(self) -> Sequence[bool]:
        """Whether it came to it, by flow."""
        return ()


@dataclass
class _AllTasks(_Deaths):
    """The scheduler and all that it started, as a machine that goes down."""

    task: str
    done: bool = False

    def __call__(self, waiting: Waiting) -> None:
        """While some are at this task."""
        if not self.done and self.task in {row["task_id"] for row in self.deployment.api.running()}:
            self.deployment.kill("scheduler")
            self.done = True

    def counted(self) -> Sequence[bool]:
        return (self.done,)


@dataclass
class _SchedulerAndTriggerer(_Deaths):
    """First the scheduler alone, while some send; then the triggerer, while all wait that still go on."""

    work: Meanwhile  # what the channels do
    scheduler: bool = False
    triggerer: bool = False

    def __call__(self, waiting: Waiting) -> None:
        """Feeds are decided after both."""
        if not self.scheduler and "send" in {row["task_id"] for row in self.deployment.api.running()}:
            self.deployment.kill("scheduler", whole=False)
            self.scheduler = True
        if not self.triggerer and waiting and self.deployment.api.under_way(UPDATE) <= waiting:
            self.deployment.kill("triggerer")
            self.triggerer = True
        if self.triggerer:
            self.work(waiting)

    def counted(self) -> Sequence[bool]:
        return (self.scheduler, self.triggerer)


@dataclass
class _GivenUp(_Deaths):
    """Nothing is killed, but a person marks each run as failed while it waits."""

    told: set[str] = field(default_factory=set)

    def __call__(self, waiting: Waiting) -> None:
        for dag_id in waiting - self.told:
            self.deployment.api.give_up(dag_id)
            self.told.add(dag_id)


def parts(stands: Sequence[Stand]) -> Iterator[Part]:
    """Each channel is an account of its own at the same marketplace on the same day: what differs was done to it."""
    for stand in stands:
        channel = Channel(stand.name, 1, plan.SEED)
        yield Part(channel, stand.merchant, stand.shop, stand.orders, modes=MODES, gets_feeds=True)
