"""A shelf with a clock: what is put there shows some time after its own time stamp, and changes while it is read."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from order_integration.channels.commands import ChannelCommand, Connector, GetOrders, Record, Window
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import RetriableError
from tests.shelf import order

LOOK = timedelta(seconds=1)  # that a page takes


@dataclass(frozen=True)
class Version:
    """What an order is from `time` on, which readers see from `shown` on."""

    key: str
    time: datetime
    shown: datetime

    @property
    def record(self) -> Record:
        row = order(self.key, notes=self.time.isoformat(), created_at="2026-01-05T12:00:00+03:00")
        return {**row, "changed": self.time.isoformat()}


class ClockGetOrders(GetOrders):
    """By keyset on time and id; each page is what there is when it is asked for."""

    async def send_request(self, data: Window) -> AsyncIterator[list[Record]]:
        after: tuple[Any, ...] = ()
        while page := ClockShelf.page(data, after, self.connector.channel.page_size):
            yield [one.record for one in page] + [page[-1].record] * ClockShelf.stutters
            after = (page[-1].time, page[-1].key)

    def record_time(self, record: Record) -> datetime:
        return datetime.fromisoformat(record["changed"])

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        return ChannelCreateOrderDto.model_validate(response["dto"])


class ClockShelf(Connector):
    """`connector: tests.shelf_clock:ClockShelf`."""

    commands: ClassVar[tuple[type[ChannelCommand], ...]] = (ClockGetOrders,)
    now: ClassVar[datetime]
    versions: ClassVar[list[Version]] = []
    while_read: ClassVar[list[Callable[[datetime], None]]] = []  # what happens between pages, one a page
    stutters: ClassVar[bool] = False  # the last row of a page comes twice

    @classmethod
    def start_again(cls, now: datetime, *versions: Version) -> None:
        cls.now, cls.versions[:], cls.stutters = now, versions, False
        cls.while_read.clear()

    @classmethod
    def page(cls, window: Window, after: tuple[Any, ...], size: int) -> list[Version]:
        cls.now += LOOK
        if cls.while_read and after:
            cls.while_read.pop(0)(cls.now)
        latest = {one.key: one for one in sorted(cls.versions, key=lambda one: one.time) if one.shown <= cls.now}
        rows = [one for one in latest.values() if window.start <= one.time < window.end and (one.time, one.key) > after]
        return sorted(rows, key=lambda one: (one.time, one.key))[:size]

    @classmethod
    def change(cls, key: str, delay: timedelta) -> Callable[[datetime], None]:
        """Somebody changes an order that is shown by then."""

        def happens(now: datetime) -> None:
            if any(one.key == key and one.shown <= now for one in cls.versions):
                cls.versions.append(Version(key, now, now + delay))

        return happens


def breaks(now: datetime) -> None:
    """The channel does not answer in the middle of its pages."""
    raise RetriableError("the shelf is out of reach")
