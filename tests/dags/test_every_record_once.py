"""Whatever the schedule, the delays, the order of runs and the pages that shift: every record arrives, and once."""

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from order_integration.errors import RetriableError
from order_integration.flows.inbound import CHUNK, fetch, transform
from order_integration.flows.windows import scheduled
from tests.conftest import BackOffice
from tests.dags.slots import DAYS, SCHEDULES, ZONES, intervals, whole
from tests.flows.state import linked, no_batch_is_open
from tests.flows.steps import Steps, config
from tests.shelf_clock import ClockShelf, Version, breaks

SECONDS = st.one_of(st.just(0), st.integers(0, 2400)).map(lambda seconds: timedelta(seconds=seconds))
SHARES = st.one_of(st.floats(0, 1, exclude_max=True), st.sampled_from([0.5, 0.51, 0.52, 0.53]))
Interval = tuple[datetime, datetime]


@dataclass
class Story:
    """Some windows one after the other, what happens in them, and when each is run."""

    channel: Any
    slots: list[Interval]  # all that there are
    many: int  # of them are lived through; what follows only reads what is left
    versions: list[Version]
    nows: list[tuple[datetime, int]]  # when which slot is run, in the order of time
    while_read: list[Any]
    stutters: bool
    twice: set[int] = field(default_factory=set)  # slots of which two runs go on at the same time

    def start(self) -> None:
        ClockShelf.start_again(self.slots[0][0], *self.versions)
        ClockShelf.stutters = self.stutters
        ClockShelf.while_read[:] = self.while_read

    def wanted(self) -> dict[str, datetime]:
        """The latest version of every order."""
        return {one.key: one.time for one in sorted(ClockShelf.versions, key=lambda one: one.time)}

    def rest(self) -> list[int]:
        """The windows after those of the story, until everything must have been read."""
        until = max((one.shown for one in ClockShelf.versions), default=self.slots[0][0])
        until = max(until, ClockShelf.now) + self.channel.overlap + self.channel.lag
        for number in range(self.many, len(self.slots)):
            yield number
            if self.slots[number][1] > until:
                return
        raise AssertionError("more slots are needed")

    def reading(self, number: int) -> Any:
        return scheduled(self.channel, *self.slots[number], ClockShelf.now)


@st.composite
def stories(draw: Any, most: int) -> Story:
    """Delays up to the overlap: later than `lag` is what the overlap is for."""
    schedule, zone = draw(SCHEDULES), draw(st.sampled_from(ZONES))
    lag, more = draw(SECONDS), draw(SECONDS)
    channel = config(
        connector="tests.shelf_clock:ClockShelf", schedule=schedule, timezone=zone, lag=whole(lag),
        overlap=whole(lag + more), page_size=draw(st.integers(1, 3)), limits={"chunk_size": 2},
    )  # fmt: skip
    slots = intervals(schedule, zone, DAYS[draw(st.sampled_from(sorted(DAYS)))], many=60)
    first, many = draw(st.integers(0, len(slots) // 4)), draw(st.integers(1, most))
    slots = slots[first:]
    begin, length = slots[0][0], slots[many - 1][1] - slots[0][0]
    delays = st.integers(0, int((lag + more).total_seconds())).map(lambda seconds: timedelta(seconds=seconds))
    versions = [
        Version(str(key), time, time + draw(delays))
        for key, shares in enumerate(draw(st.lists(st.lists(SHARES, min_size=1, max_size=3), max_size=8)))
        for time in (begin + length * share for share in shares)
    ]
    keys = sorted({one.key for one in versions}) or ["none"]
    while_read = draw(
        st.lists(st.one_of(st.just(breaks), st.builds(ClockShelf.change, st.sampled_from(keys), delays)), max_size=6)
    )
    missed = st.one_of(st.just(0), st.integers(0, 4))  # it is run when so many more windows are over
    nows = sorted((slots[number + draw(missed)][1] + draw(SECONDS), number) for number in range(many))
    return Story(
        channel, slots, many, versions, nows, while_read, draw(st.booleans()), draw(st.sets(st.integers(0, 3)))
    )


def told(schedule: str, zone: str, day: str, *times: str, **own: Any) -> Story:
    """One story in particular: orders that show at once, no overlap."""
    settings = {"schedule": schedule, "timezone": zone, "lag": "0s", "overlap": "0s", "page_size": 1}
    channel = config(connector="tests.shelf_clock:ClockShelf", **settings)
    slots = intervals(schedule, zone, DAYS[day], many=60)
    moments = [datetime.fromisoformat(time) for time in times]
    versions = [Version(str(key), moment, moment) for key, moment in enumerate(moments)]
    many = sum(end <= moments[-1] for _, end in slots) + 1
    nows = [(end, number) for number, (_, end) in enumerate(slots[:many])]
    return Story(channel, slots, many, versions, nows, own.pop("while_read", []), stutters=False)


def untruncated(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat()


@given(story=stories(most=8))
def test_every_record_of_any_schedule_is_read_as_it_is_in_the_end(story: Story) -> None:
    everything_is_read(story)


def test_an_order_that_changes_while_pages_are_read_hides_no_other() -> None:
    """It leaves the window, and those behind it move up."""
    times = [f"2026-03-28T13:0{minute}:00Z" for minute in range(1, 6)]
    changes = [ClockShelf.change(key, timedelta()) for key in ("0", "1")]

    everything_is_read(told("0 * * * *", "UTC", "Berlin goes forward", *times, while_read=changes))


@pytest.mark.parametrize("minute", range(5, 60, 10))
def test_an_order_of_the_hour_that_the_schedule_leaves_out_is_read(minute: int) -> None:
    everything_is_read(
        told(
            "*/15 2 * * *",
            "Europe/Berlin",
            "Berlin goes forward",
            "2026-03-29T00:30:00Z",
            f"2026-03-29T01:{minute:02}:00Z",
        )
    )


def everything_is_read(story: Story) -> None:
    story.start()

    with tempfile.TemporaryDirectory() as home:
        read = asyncio.run(read_all(story, Steps("http://127.0.0.1:9", Path(home), story.channel)))

    assert {(key, untruncated(time)) for key, time in story.wanted().items()} <= set(read)


async def read_all(story: Story, steps: Steps) -> Counter[tuple[str, str]]:
    """fetch and transform of every window; counted is what would be pushed."""
    found: Counter[tuple[str, str]] = Counter()
    for now, number in story.nows:
        ClockShelf.now = max(ClockShelf.now, now)
        found += await read(story, steps, number)
    ClockShelf.while_read.clear()
    for number in story.rest():
        ClockShelf.now = max(ClockShelf.now, story.slots[number][1])
        found += await read(story, steps, number)
    return found


async def read(story: Story, steps: Steps, number: int) -> Counter[tuple[str, str]]:
    reading = story.reading(number)
    fetched, chunks = steps.folder(f"run-{number}", f"fetch-{ClockShelf.now}"), steps.folder(f"run-{number}", "t")
    connector = steps.connector()
    try:
        await fetch(steps.spec, connector, reading, steps.staging, fetched)
    except RetriableError:
        return await read(story, steps, number)  # as Airflow does: in a folder of its own
    manifest = await transform(steps.spec, connector, fetched, reading.fresh_from, {"identifier": "email"}, chunks)
    rows = [row for chunk in range(manifest["chunks"]) for row in chunks.read(f"{CHUNK}-{chunk:03}")]
    assert manifest["distinct"] == len(rows) == len({row["key"] for row in rows})
    return Counter((row["key"], untruncated(datetime.fromisoformat(row["time"]))) for row in rows)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(most=4))
def test_every_record_of_any_schedule_is_in_omnitron_once(
    story: Story, back_office: BackOffice, omnitron_url: str
) -> None:
    """Runs of two windows side by side, windows that are run twice at once, fetches that are tried again."""
    back_office.start_again()
    story.start()

    with tempfile.TemporaryDirectory() as home:
        balances = asyncio.run(run_all(story, Steps(omnitron_url, Path(home), story.channel)))

    assert all(balance.holds and not balance.failed for balance in balances)
    rows = back_office.rows("orders")
    assert sorted(row["extra_field"]["id"] for row in rows) == sorted(story.wanted())
    assert {pk for kind, pk in linked(back_office) if kind == "order"} == {row["pk"] for row in rows}
    assert sum(balance.results["created"] for balance in balances) == len(rows)
    assert no_batch_is_open(back_office)


async def run_all(story: Story, steps: Steps) -> list[Any]:
    found: list[Any] = []
    for some in pairs(story.nows):
        ClockShelf.now = max(ClockShelf.now, *(now for now, _ in some))
        numbers = [number for _, number in some] + [number for _, number in some if number in story.twice]
        found += await asyncio.gather(*(run(story, steps, number) for number in numbers))
    ClockShelf.while_read.clear()
    left = [number for number in story.rest() if has_news(story, number)]
    for number in left:
        ClockShelf.now = max(ClockShelf.now, story.slots[number][1])
        found.append(await run(story, steps, number))
    return found


def pairs(nows: list[tuple[datetime, int]]) -> list[list[tuple[datetime, int]]]:
    return [nows[place : place + 2] for place in range(0, len(nows), 2)]


def has_news(story: Story, number: int) -> bool:
    """The others would read nothing."""
    window = scheduled(story.channel, *story.slots[number], story.slots[-1][1]).window
    return any(window.start <= time < window.end for time in story.wanted().values())


async def run(story: Story, steps: Steps, number: int) -> Any:
    """A whole run, its fetch tried again with a window of that moment."""
    while True:
        try:
            return await steps.whole(story.reading(number))
        except RetriableError:
            continue
