"""A story with its checks: after the orders arrived, at its end, and over two more rounds."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sandbox.run import agree, check_airflow, check_story, compare, facts_omnitron, quiet
from sandbox.run.flow_run import FlowRun
from sandbox.run.ports import Ports
from sandbox.run.quiet import Calls, Content
from sandbox.run.stands import Stand
from sandbox.run.state import State
from sandbox.run.story import CHECK, FETCH, FLOWS, UPDATE, BrokenOffError, Story

ROUNDS = 2
SENSOR = CHECK  # the task has the name of the DAG that sweeps

TOLD = "the story was told to its end"
ARRIVED = "the orders are in Omnitron as they are at the channel"
AGREES = "both sides agree on every order, unit, parcel, invoice, cancel and request"
WAITED = "what a channel accepted as a feed was waited for, without a slot, and ended"
QUIET = "two more rounds of all flows write nothing on either side"
AIRFLOW = "every DAG was run by the scheduler; XCom is small and holds nobody's data"


@dataclass
class Telling:
    """`rounds` are the runs after the story, `compared` what there was to agree on."""

    story: Story
    stands: Sequence[Stand]
    state: State
    ports: Ports
    rounds: list[FlowRun] = field(default_factory=list)
    compared: dict[str, dict[str, int]] = field(default_factory=dict)

    def tell(self) -> dict[str, list[str]]:
        """All of it: the differences that each check found, by what it says when there are none."""
        verdicts: dict[str, list[str]] = {}
        try:
            self.story.arrive()
            verdicts[ARRIVED] = list(self._arrived())
            self.story.go_on()
        except BrokenOffError as error:
            return {**verdicts, TOLD: [str(error)]}
        verdicts[AGREES] = list(self._agrees())
        verdicts[WAITED] = list(self._waited())
        self.story.say("9. two more rounds of all flows")
        verdicts[QUIET] = [sentence for _ in range(ROUNDS) for sentence in self._round()]
        dags = [f"{flow}__{stand.channel.name}" for flow in FLOWS for stand in self.stands]
        verdicts[AIRFLOW] = check_airflow.differences(
            self.state.airflow_database, self.state.omnitron_database, dags, self.story.began
        )
        return verdicts

    def _arrived(self) -> Iterator[str]:
        for stand in self.stands:
            found = compare.differences(self.state.omnitron_database, stand.channel.number, stand.expected)
            row = next(
                run.row for run in self.story.runs if (run.call.flow, run.call.channel) == (FETCH, stand.channel.name)
            )
            found += compare.table_differences(row, stand.expected) if row else ["the run left no table"]
            yield from (f"{stand.channel.name}: {sentence}" for sentence in found)

    def _agrees(self) -> Iterator[str]:
        for stand in self.stands:
            part, facts = stand.part, stand.facts()
            self.compared[stand.channel.name] = agree.summary(facts)
            found = check_story.differences(
                facts,
                self.state.omnitron_database,
                stand.channel.number,
                states=part.wanted,
                answers=part.answers,
                refused={order.key for order in part.picks.refused},
            )
            yield from (f"{stand.channel.name}: {sentence}" for sentence in found)

    def _waited(self) -> Iterator[str]:
        """A channel that may be quicker than we look is not asked to be seen."""
        seen = {run.call.channel for run in self.story.runs if run.call.flow == UPDATE and SENSOR in run.deferred}
        for part in self.story.parts:
            name = part.channel.name
            if part.gets_feeds and not facts_omnitron.ended_feeds(self.state.omnitron_database, part.channel.number):
                yield f"{name}: no feed is among the batch requests that were done"
            if part.shop.takes_its_time and name not in seen:
                yield f"{name}: no run of {UPDATE} was seen waiting in its task {SENSOR}"

    def _round(self) -> list[str]:
        calls = [Calls("Omnitron", self.ports.omnitron.url), *(stand.calls for stand in self.stands if stand.calls)]
        for one in calls:
            one.skip()
        before = self._content()
        self.rounds += self.story.follower.run(self.story.calls_of_a_round())
        after = self._content()
        return [
            *(sentence for name in before for sentence in quiet.changes(name, before[name], after[name])),
            *(sentence for one in calls for sentence in one.writing()),
        ]

    def _content(self) -> Mapping[str, Content]:
        channels = {stand.channel.name: stand.content() for stand in self.stands}
        return {"Omnitron": quiet.of_sqlite(self.state.omnitron_database), **channels}
