"""Faults and kills in a real Airflow: each kind once for each flow, all of them at the same time.

`kinds` says what is done and where, `gate` does what a stand-in can't do to itself, `stand` is a channel with its two
servers, `deployment` Airflow, `sweep` the story, `comparing` what counts as the same state.
"""
# ruff: noqa: T201 - what it has to say is for a person

from collections.abc import Callable

Lines = list[tuple[str, int, list[str]]]


def run(say: Callable[[str], None] | None = None) -> Lines:
    """Flow, how many cases were tried, and what differed. `say` is told what happens meanwhile."""
    from sandbox.run.errors import RunError  # noqa: PLC0415
    from sandbox.run.story import BrokenOffError  # noqa: PLC0415
    from tests.sweeps.scheduler.deployment import deployed  # noqa: PLC0415 - sets up nothing before it is asked to
    from tests.sweeps.scheduler.kinds import KINDS, PLAIN  # noqa: PLC0415
    from tests.sweeps.scheduler.sweep import Sweep, parts  # noqa: PLC0415

    with deployed([PLAIN, *KINDS], say or _silent, doors=["refused"]) as deployment:
        sweep = Sweep(list(parts(deployment.stands)), deployment.follower, say or _silent, deployment=deployment)
        try:
            sweep.arrive()
            sweep.go_on()
        except (RunError, BrokenOffError) as error:
            sweep.broke_off(error)
    flows = dict.fromkeys([*sweep.cases, *sweep.differences])
    return [(flow, sweep.cases.get(flow, 0), sweep.differences.get(flow, [])) for flow in flows]


def report(say: Callable[[str], None] | None = None) -> bool:
    """A line a flow; whether nothing differed."""
    found = run(say)
    for flow, cases, differences in found:
        print(f"{flow:40} scheduler {cases:>4}  differences {len(differences)}")
    for flow, _, differences in found:
        print("".join(f"\nscheduler, {flow}: {line}" for line in differences), end="")
    return not any(differences for _, _, differences in found)


def _silent(_: str) -> None:
    """Nobody wants to know."""
