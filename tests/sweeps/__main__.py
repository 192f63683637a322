"""`python -m tests.sweeps`: everything that may go wrong, at every call of every flow; one line a flow.

Exit 1 where something does not end as it should, or where a product that was broken on purpose looks whole.
"""
# ruff: noqa: T201

import argparse
import os
import signal
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from tests.sweeps import engine, mutations, scheduler
from tests.sweeps.engine import Case, Recorded, Tried
from tests.sweeps.stories import STORIES

MUTATIONS, SCHEDULER = "mutations", "scheduler"


def main() -> int:
    said = _arguments()
    if said.only == SCHEDULER:
        return 0 if scheduler.report() else 1
    stories = [story.name for story in STORIES.values() if not said.flows or story.flow in said.flows]
    began, whole = time.monotonic(), True
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # what was made for this goes, too
    with engine.pool(said.jobs) as executor:
        records = engine.recorded(executor, stories)
        if said.only != MUTATIONS:
            cases = _cases(records, said)
            calls = sum(len(one.calls) for one in records.values())
            print(f"{len(stories)} stories of {calls} calls: {len(cases)} cases", flush=True)
            whole = _report(records, _told(engine.tried(executor, cases), len(cases)))
        if said.only in {None, MUTATIONS} and not said.match:
            known = mutations.MUTATIONS[:1] if said.sample else mutations.MUTATIONS
            whole &= mutations.are_seen(executor, records, known)
    if not (said.only or said.flows or said.match or said.sample):
        whole &= scheduler.report()
    print(f"{time.monotonic() - began:.0f} s")
    return 0 if whole else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.sweeps", description=__doc__)
    parser.add_argument("--flows", nargs="+", choices=sorted({story.flow for story in STORIES.values()}))
    parser.add_argument("--only", choices=[*engine.SWEEPS, MUTATIONS, SCHEDULER])
    parser.add_argument("--match", default="", metavar="REGEX", help="only cases whose names have this in them")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--sample", action="store_true", help="a few cases of each story, for make test")
    return parser.parse_args()


def _cases(records: dict[str, Recorded], said: argparse.Namespace) -> list[Case]:
    found = []
    for name in [said.only] if said.only else engine.sweeps():
        for record in records.values():
            cases = engine.matching(engine.module(name).cases(record), said.match)
            found += engine.sample(cases) if said.sample else cases
    return found


def _told(tried: Iterable[Tried], number: int) -> list[Tried]:
    """Differences are told as they come; it takes long until all were tried."""
    found = []
    for one in tried:
        found.append(one)
        if one.differences:
            print(f"\n[{len(found)} of {number}] {one.case.sweep}, {one.case.story}: {one.case.name}")
            print("\n".join(f"  {line}" for line in one.differences), flush=True)
    return found


def _report(records: dict[str, Recorded], tried: Sequence[Tried]) -> bool:
    """A line a flow."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for one in tried:
        counts[records[one.case.story].flow].update({one.case.sweep: 1, "differences": bool(one.differences)})
    for flow in dict.fromkeys(record.flow for record in records.values()):
        numbers = "  ".join(f"{name} {counts[flow][name] or '–':>4}" for name in engine.SWEEPS)
        print(f"{flow:40} {numbers}  differences {counts[flow]['differences']}")
    for name in engine.SWEEPS:
        if spent := [one.seconds for one in tried if one.case.sweep == name]:
            print(f"{name}: {len(spent)} cases, {sum(spent) / len(spent):.2f} s each")
    return not any(one.differences for one in tried)


if __name__ == "__main__":
    sys.exit(main())
