# ruff: noqa: T201
"""The product is broken on purpose, in one way at a time: the cases that are there for it have to see that.

A mutation is a context manager of this module, which changes the product in the process that tries the cases.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from tests.sweeps import engine
from tests.sweeps.engine import Recorded

ENOUGH = 3  # cases of a mutation: one that is seen is seen by one of these


@dataclass(frozen=True)
class Mutation:
    """Its name here, and which cases see it: a sweep, a story, and what is in the cases' names."""

    name: str
    sweep: str
    story: str
    cases: str


@contextmanager
def batches_not_registered() -> Iterator[Any]:
    """Nobody knows which batch requests a killed task leaves open."""
    with patch("order_integration.staging.notes.OpenBatches.register", lambda *_: None) as changed:
        yield changed


MUTATIONS = (
    Mutation("batches_not_registered", "kills", "fetch_orders", r"killed after settle: .*PATCH .*batch_requests"),
)


def are_seen(
    executor: ProcessPoolExecutor, records: Mapping[str, Recorded], mutations: Sequence[Mutation] = MUTATIONS
) -> bool:
    """A line each; one that no case sees is a hole in the sweeps."""
    unseen = 0
    for mutation in mutations:
        if mutation.story not in records:
            continue
        cases = engine.module(mutation.sweep).cases(records[mutation.story])
        chosen = engine.matching(cases, mutation.cases, mutation=mutation.name)[:ENOUGH]
        seen = sum(bool(one.differences) for one in engine.tried(executor, chosen))
        unseen += not seen
        print(f"{mutation.name:40} seen by {seen} of {len(chosen)} {mutation.sweep}", flush=True)
    return not unseen
