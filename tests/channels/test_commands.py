"""The five steps of a command: which order, which thread, and what a connector's slips come to."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from order_integration.channels.commands import (
    ChannelConnection,
    CheckOrders,
    Connector,
    ConnectorSettings,
    GetOrders,
    Record,
    SendUpdatedOrders,
    Window,
)
from order_integration.dto import FeedState, FeedVerdict, Submitted
from order_integration.errors import ConfigurationError, ContractError, Reason, RecordError
from tests.flows.steps import config
from tests.shelf import NOON, Shelf, ShelfGetOrders

HERE = ChannelConnection("http://127.0.0.1:9", password="hunter2", extra={"token": "hunter3"})
DAY = Window(NOON, NOON + timedelta(days=1))


def command(kind: type, *, settings: dict[str, Any] | None = None, **own: Any) -> Any:
    connector = type("Own", (Connector,), {"commands": (kind,), **own})
    return connector(config(settings=settings or {}), HERE).command(kind)


def pages(kind: type) -> list[list[Record]]:
    async def story() -> list[list[Record]]:
        return [page async for page in command(kind).pages(DAY)]

    return asyncio.run(story())


class Reading(ShelfGetOrders):
    def get_by_key(self, key: str) -> Any:
        raise AssertionError(key)


def test_pages_of_a_plain_generator_are_made_outside_of_the_event_loop_s_thread() -> None:
    threads: list[int] = []

    class Plain(ShelfGetOrders):
        def send_request(self, data: Window) -> Iterator[list[Record]]:
            for number in range(3):
                threads.append(threading.get_ident())
                yield [{"id": number}]

    assert pages(Plain) == [[{"id": 0}], [{"id": 1}], [{"id": 2}]]
    assert threading.get_ident() not in threads


def test_pages_may_be_an_async_generator() -> None:
    class Async(ShelfGetOrders):
        async def send_request(self, data: Window) -> AsyncIterator[list[Record]]:
            yield [{"id": 1}]
            yield [{"start": data.start}]

    assert pages(Async) == [[{"id": 1}], [{"start": NOON}]]


def test_pages_may_be_a_list() -> None:
    class Whole(ShelfGetOrders):
        def send_request(self, data: Window) -> Any:
            return [[{"id": 1}]]

    assert pages(Whole) == [[{"id": 1}]]


def test_an_error_of_a_page_is_not_swallowed() -> None:
    class Failing(ShelfGetOrders):
        def send_request(self, data: Window) -> Iterator[list[Record]]:
            yield [{"id": 1}]
            raise RecordError(Reason.REFUSED, "page", "no")

    with pytest.raises(RecordError):
        pages(Failing)


def test_steps_run_in_their_order_be_they_plain_or_not() -> None:
    class Sending(SendUpdatedOrders):
        def get_data(self, data: str) -> str:
            return f"{data} got"

        async def validated_data(self, data: str) -> str:
            return f"{data} validated"

        def transform_data(self, data: str) -> str:
            return f"{data} transformed"

        async def send_request(self, data: str) -> str:
            return f"{data} sent"

        def normalize_response(self, response: str) -> Submitted:
            return Submitted(feed_ids=[f"{response} normalized"])

    assert asyncio.run(command(Sending).run("x")).feed_ids == ["x got validated transformed sent normalized"]


@pytest.mark.defect("O9", "C1", "B9")
@pytest.mark.parametrize("said", [None, [], "done", [Submitted()], ({}, None, None)])
def test_an_answer_of_another_kind_than_the_command_s_is_refused_by_name(said: Any) -> None:
    class Sending(SendUpdatedOrders):
        def send_request(self, data: Any) -> None:
            return None

        def normalize_response(self, response: None) -> Any:
            return said

    with pytest.raises(ContractError, match=r"Sending\.normalize_response has to return"):
        asyncio.run(command(Sending).run(None))


def test_a_single_answer_is_a_list_of_one() -> None:
    class Checking(CheckOrders):
        def send_request(self, data: Any) -> None:
            return None

        def normalize_response(self, response: None) -> FeedVerdict:
            return FeedVerdict(feed_id="1", state=FeedState.RUNNING)

    assert [one.feed_id for one in asyncio.run(command(Checking).run(["1"]))] == ["1"]


def test_a_plain_step_runs_outside_of_the_event_loop_s_thread() -> None:
    class Sending(SendUpdatedOrders):
        def send_request(self, data: Any) -> int:
            return threading.get_ident()

        def normalize_response(self, response: int) -> Submitted:
            return Submitted(feed_ids=[str(response)])

    assert asyncio.run(command(Sending).run(None)).feed_ids != [str(threading.get_ident())]


def test_a_command_that_a_connector_does_not_have_is_a_wrong_setting() -> None:
    shelf = Shelf(config(), HERE)

    assert isinstance(shelf.command(GetOrders), ShelfGetOrders)
    with pytest.raises(ConfigurationError, match=r"channel shelf: connector .* has no CheckOrders"):
        shelf.command(CheckOrders)


def test_settings_that_a_connector_does_not_know_are_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="channel shelf, settings: color: ") as caught:
        command(Reading, settings={"color": "hunter2"})
    assert "hunter2" not in str(caught.value)


def test_settings_are_checked_by_the_connector_s_own_class() -> None:
    class Settings(ConnectorSettings):
        region: int

    assert command(Reading, settings={"region": 3}, Settings=Settings).settings.region == 3
    with pytest.raises(ConfigurationError, match="settings: region: Field required"):
        command(Reading, Settings=Settings)


@pytest.mark.parametrize("url", ["http://shop.example.com", "shop", ""])
def test_a_channel_s_address_is_checked(url: str) -> None:
    with pytest.raises(ConfigurationError, match="connection shelf"):
        Shelf(config(), ChannelConnection(url))


def test_a_connection_does_not_show_its_secrets() -> None:
    assert "hunter" not in repr(HERE)


def test_whether_records_can_be_got_by_key_is_known() -> None:
    assert command(Reading).can_get_by_key()
    assert not command(ShelfGetOrders).can_get_by_key()


@pytest.mark.parametrize(("record", "key"), [({"id": "7"}, "7"), ({"id": 7}, "7"), ({"id": 0}, "0")])
def test_a_record_is_known_by_its_id(record: Record, key: str) -> None:
    assert command(ShelfGetOrders).key_of(record) == key


@pytest.mark.parametrize("record", [{}, {"id": ""}, {"id": None}, None, "text", 5, [], [{"id": "1"}], {"id": "\ud83d"}])
def test_a_record_without_an_id_still_counts_as_itself(record: Any) -> None:
    reading = command(ShelfGetOrders)

    key = reading.key_of(record)

    assert key.startswith("no-id-")
    assert key == reading.key_of(record)
    assert key != reading.key_of({"id": None, "other": "record"})


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"changed": None},
        {"changed": "yesterday"},
        {"changed": "2026-01-01T00:00:00"},
        {"changed": 5},
        None,
        [],
        "x",
    ],
)
def test_a_record_without_a_zoned_time_has_none(record: Any) -> None:
    assert command(ShelfGetOrders).time_of(record) is None


SLIPS: dict[str, Any] = {
    "IndexError": lambda record: record["changed"][1],
    "OverflowError": lambda record: datetime.fromtimestamp(1e30, UTC),
    "ZeroDivisionError": lambda record: 1 / 0,
    "None": lambda record: None,
    "RecordError": lambda record: (_ for _ in ()).throw(RecordError(Reason.FIELD_MALFORMED, "x", "y")),
}


@pytest.mark.parametrize("slip", SLIPS.values(), ids=SLIPS.keys())
def test_a_connector_s_slip_on_one_record_s_time_or_id_stops_nobody(slip: Any) -> None:
    class Slipping(ShelfGetOrders):
        step: ClassVar[Any] = staticmethod(slip)

        def record_time(self, record: Record) -> datetime:
            return self.step(record)

        def record_key(self, record: Record) -> str:
            return self.step(record)

    reading = command(Slipping)

    assert reading.time_of({"changed": "1"}) is None
    assert reading.key_of({"changed": "1"}).startswith("no-id-")
