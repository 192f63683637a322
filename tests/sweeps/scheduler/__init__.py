"""Faults and kills in a real Airflow: each kind once for each flow, all of them at the same time.

`kinds` says what is done and where, `gate` does what a stand-in can't do to itself, `stand` is a channel with its two
servers, `deployment` Airflow, `sweep` the story, `comparing` what counts as the same state.
"""

from collections.abc import Callable

Lines = list[tuple[str, int, list[str]]]


def run(say: Callable[[str], None] | None = None) -> Lines:
    """Flow, how many cases were tried, and what differed. `say` is told what happens meanwhile."""
    from tests.sweeps.scheduler.deployment import deployed  # noqa: PLC0415 - sets up nothing before it is asked to
    from tests.sweeps.scheduler.kinds import KINDS, PLAIN  # noqa: PLC0415
    from tests.sweeps.scheduler.sweep import Sweep, parts  # noqa: PLC0415

    with deployed([PLAIN, *KINDS], say or _silent, doors=["refused"]) as deployment:
        sweep = Sweep(list(parts(deployment.stands)), deployment.follower, say or _silent, deployment=deployment)
        sweep.arrive()
        sweep.go_on()
    return [(flow, cases, sweep.differences.get(flow, [])) for flow, cases in sweep.cases.items()]


def _silent(_: str) -> None:
    """Nobody wants to know."""
