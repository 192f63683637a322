"""Whether a story left what it was to leave, on both sides: what happened, and that both say the same of everything."""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path

from sandbox.run import agree, facts_omnitron
from sandbox.run.facts import Answer, Facts, State, unit_id


def differences(
    channel: Facts,
    database: Path,
    number: int,
    *,
    states: Mapping[str, State],
    answers: Mapping[str, Answer],
    refused: AbstractSet[str],
) -> list[str]:
    """`states` and `answers`, by unit, and the orders that were `refused` once are what people did in the story."""
    return [
        *_happened(channel, states, answers),
        *agree.differences(channel, facts_omnitron.read(database, number)),
        *facts_omnitron.unfinished(database, number),
        *_refused(facts_omnitron.refused(database, number), refused),
    ]


def _happened(channel: Facts, states: Mapping[str, State], answers: Mapping[str, Answer]) -> Iterator[str]:
    """Two sides that both missed something would agree."""
    found = {
        unit_id(name, number): state
        for order in channel.orders.values()
        for name, line in order.lines.items()
        for number, state in enumerate(line.units, start=1)
    }
    for unit, state in states.items():
        if found.get(unit) is not state:
            yield f"unit {unit} is {found.get(unit, 'not there')} at the channel, but was to be {state}"
    told = {unit: request.answer for (_, unit), request in channel.requests.items()}
    for unit, answer in answers.items():
        if told.get(unit) is not answer:
            yield f"the request for unit {unit} is {told.get(unit, 'not there')} at the channel, but was to be {answer}"


def _refused(found: Mapping[str, AbstractSet[str]], wanted: AbstractSet[str]) -> Iterator[str]:
    """A channel's no stands in Omnitron with its kind, and the order was offered again."""
    for key in sorted(wanted):
        if "remote" not in found.get(key, ()):
            yield f"order {key} was refused by the channel, but Omnitron has no such failure"
