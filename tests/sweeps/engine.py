"""Stories are recorded, cases are made from the records, and worker processes try them.

A sweep is a module of this folder with `cases(recorded) -> list[Case]`, called for each story, and `run(case) ->
list[str]`, called in a worker process: the differences from how it should end. It runs by being there.
"""

import os
import pickle
import random
import re
import shutil
import signal
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from tests.sweeps import home as airflow
from tests.sweeps.wire import WIRE, Call, end_with_parent

SWEEPS = ("faults", "kills", "races", "windows")
SAMPLE = {"faults": 3, "kills": 2}  # cases of each story
MEMORY = Path("/dev/shm")
_STATES: dict[str, Any] = {}  # how a story ends, in a worker


@dataclass(frozen=True)
class Case:
    """One thing that goes wrong, once. `mutation`: how the product is broken on purpose meanwhile."""

    sweep: str
    story: str
    name: str
    data: Any = None
    mutation: str = ""


@dataclass(frozen=True)
class Recorded:
    """A story as it goes when nothing goes wrong."""

    name: str
    flow: str
    calls: Sequence[Call]
    state: dict[str, Any] = field(repr=False)
    seconds: float


@dataclass(frozen=True)
class Tried:
    """What came of a case."""

    case: Case
    differences: Sequence[str]
    seconds: float


def sweeps() -> list[str]:
    """Those that are there."""
    return [name for name in SWEEPS if find_spec(f"tests.sweeps.{name}")]


def module(sweep: str) -> Any:
    return import_module(f"tests.sweeps.{sweep}")


@contextmanager
def pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes, each with a world of its own, forked from this one, which has Airflow loaded."""
    shared = Path(tempfile.mkdtemp(prefix="sweeps-", dir=MEMORY if MEMORY.is_dir() else None))
    context = get_context("fork")
    try:
        with _silent(shared / "load.log"):
            airflow.load(shared / "loaded")
        numbers = context.Queue()
        for number in range(jobs):
            numbers.put(number)
        with ProcessPoolExecutor(jobs, context, _enter, (shared, numbers)) as executor:
            try:
                yield executor
            except BaseException:
                executor.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(shared, ignore_errors=True)


def recorded(executor: ProcessPoolExecutor, stories: Sequence[str]) -> dict[str, Recorded]:
    """Each story once, as it goes when nothing goes wrong."""
    return dict(zip(stories, executor.map(_record, stories), strict=True))


def tried(executor: ProcessPoolExecutor, cases: Sequence[Case]) -> Iterator[Tried]:
    """As they come."""
    in_any_order = random.Random(1).sample(cases, len(cases))  # the same one each time; each flow is met early
    waiting: list[Future[Tried]] = [executor.submit(_try, case) for case in in_any_order]
    for future in as_completed(waiting):
        yield future.result()


def wanted(story: str) -> dict[str, Any]:
    """How a story ends when nothing goes wrong, in a worker."""
    if story not in _STATES:
        from tests.sweeps.world import here  # noqa: PLC0415

        _STATES[story] = pickle.loads((here().shared / f"{story}.state").read_bytes())
    return dict(_STATES[story])


def _enter(shared: Path, numbers: Any) -> None:
    from tests.sweeps import world  # noqa: PLC0415

    end_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    number = numbers.get()
    log = os.open(shared / f"log-{number}", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    world.enter(shared, number)


def _record(name: str) -> Recorded:
    from tests.sweeps.state import differences, state_of  # noqa: PLC0415
    from tests.sweeps.stories import STORIES  # noqa: PLC0415
    from tests.sweeps.world import here  # noqa: PLC0415

    story, world = STORIES[name], here()
    ends = []
    for _ in range(2):  # what differs between two of them is not to be compared
        story.begin(world)
        began = time.monotonic()
        [run] = story.tell(world)
        assert run.is_green, run.states()
        calls, seconds = list(WIRE.calls), time.monotonic() - began
        world.quiet()
        ends.append(state_of(world))
    assert not (wrong := differences(*ends)), wrong
    (world.shared / f"{name}.state").write_bytes(pickle.dumps(ends[0]))
    return Recorded(name, story.flow, calls, ends[0], seconds)


def broken(mutation: str) -> AbstractContextManager[Any]:
    """The product with this mutation; without a name, as it is."""
    return getattr(module("mutations"), mutation)() if mutation else nullcontext()  # type: ignore[no-any-return]


def _try(case: Case) -> Tried:
    began = time.monotonic()
    try:
        with broken(case.mutation):
            found = module(case.sweep).run(case)
    except Exception:  # noqa: BLE001 - a case that stumbles is a difference, and the others go on
        found = [traceback.format_exc(limit=-6)]
    return Tried(case, found, time.monotonic() - began)


@contextmanager
def _silent(log: Path) -> Iterator[None]:
    """What Airflow says while it loads."""
    kept = os.dup(1), os.dup(2)
    file = os.open(log, os.O_CREAT | os.O_WRONLY)
    os.dup2(file, 1)
    os.dup2(file, 2)
    try:
        yield
    finally:
        for number, old in enumerate(kept, start=1):
            os.dup2(old, number)
            os.close(old)
        os.close(file)


def sample(cases: Sequence[Case]) -> list[Case]:
    """A few, evenly spread: the same ones each time."""
    if not cases or not (size := SAMPLE.get(cases[0].sweep, 0)):
        return []
    step = max(1, len(cases) // size)
    return list(cases[step // 2 :: step])[:size]


def matching(cases: Sequence[Case], pattern: str, **own: Any) -> list[Case]:
    """Those whose names have the pattern in them; own: what is changed in each."""
    return [replace(case, **own) for case in cases if re.search(pattern, case.name)]
