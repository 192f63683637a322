"""Whether both sides say the same of every order, unit, parcel, invoice, cancel and request."""

from collections.abc import Iterator

from sandbox.run.facts import Answer, Facts, Line, Order, unit_id


def differences(channel: Facts, omnitron: Facts) -> list[str]:
    """A sentence each; nothing when they agree."""
    return [*_orders(channel, omnitron), *_cancels(channel, omnitron), *_requests(channel, omnitron)]


def _orders(channel: Facts, omnitron: Facts) -> Iterator[str]:
    for key in sorted(set(channel.orders) | set(omnitron.orders)):
        there, here = channel.orders.get(key), omnitron.orders.get(key)
        if there is None:
            yield f"order {key} is in Omnitron, but not at the channel"
        elif here is None:
            yield f"order {key} is at the channel, but not in Omnitron"
        else:
            yield from (f"order {key}: {text}" for text in _order(there, here))


def _order(there: Order, here: Order) -> Iterator[str]:
    if there.is_cancelled != here.is_cancelled:
        said = {True: "cancelled", False: "not cancelled"}
        yield f"is {said[here.is_cancelled]} in Omnitron, {said[there.is_cancelled]} at the channel"
    if there.invoices != here.invoices:
        yield f"its invoice is {_some(here.invoices)} in Omnitron, {_some(there.invoices)} at the channel"
    for line in sorted(set(there.lines) | set(here.lines)):
        if line not in there.lines or line not in here.lines:
            yield f"line {line} is {'not at the channel' if line in here.lines else 'not in Omnitron'}"
        else:
            yield from _line(line, there.lines[line], here.lines[line])


def _line(name: str, there: Line, here: Line) -> Iterator[str]:
    if len(there.units) != len(here.units):
        yield f"line {name} has {len(here.units)} units in Omnitron, {len(there.units)} at the channel"
        return
    for number, (at_channel, in_omnitron) in enumerate(zip(there.units, here.units, strict=True), start=1):
        if at_channel is not in_omnitron:
            yield f"unit {unit_id(name, number)} is {in_omnitron} in Omnitron, {at_channel} at the channel"
    if there.parcels != here.parcels:
        yield f"line {name} travels in {_some(here.parcels)} in Omnitron, in {_some(there.parcels)} at the channel"


def _cancels(channel: Facts, omnitron: Facts) -> Iterator[str]:
    """What a request made of a unit is told there, not here."""
    asked = {unit for facts in (channel, omnitron) for _, unit in facts.requests}
    for unit in sorted(set(channel.cancels) | set(omnitron.cancels)):
        there, here = channel.cancels.get(unit), omnitron.cancels.get(unit)
        if unit in channel.cancels and unit in omnitron.cancels and there != here:
            yield f"unit {unit} was cancelled for reason {here} in Omnitron, for {there} at the channel"
        elif unit not in channel.cancels:
            yield f"unit {unit} has a cancellation plan in Omnitron, but was not cancelled at the channel"
        elif unit not in omnitron.cancels and unit not in asked:
            yield f"unit {unit} was cancelled at the channel, but has no cancellation plan in Omnitron"


def _requests(channel: Facts, omnitron: Facts) -> Iterator[str]:
    for key in sorted(set(channel.requests) | set(omnitron.requests)):
        name = f"request {key[0]} for unit {key[1]}"
        there, here = channel.requests.get(key), omnitron.requests.get(key)
        if there is None or here is None:
            yield f"{name} is not {'at the channel' if there is None else 'in Omnitron'}"
            continue
        for what, has, wants in (
            ("kind", here.kind, there.kind),
            ("answer", here.answer, there.answer),
            ("reason", here.reason, there.reason),
        ):
            if has != wants:
                yield f"{name}: its {what} is {has} in Omnitron, {wants} at the channel"


def summary(facts: Facts) -> dict[str, int]:
    """How much was compared; what the story did must be among it."""
    units = [unit for order in facts.orders.values() for line in order.lines.values() for unit in line.units]
    answers = [request.answer for request in facts.requests.values()]
    return {
        "orders": len(facts.orders),
        "units": len(units),
        **{state.value: units.count(state) for state in dict.fromkeys(units)},
        "invoices": sum(len(order.invoices) for order in facts.orders.values()),
        "requests": len(answers),
        **{f"requests_{answer}": answers.count(answer) for answer in Answer},
    }


def _some(names: frozenset[str]) -> str:
    return ", ".join(sorted(names)) or "nothing"
