"""Reading Medusa: windows, pages and credentials."""

import asyncio
import base64
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from aiohttp import web

from order_integration.channels.commands import GetOrders, Window
from order_integration.errors import ConfigurationError, ContractError
from tests.channels.medusa_kit import (
    CENTURY,
    REGISTERED,
    RecordedMedusa,
    connector,
    pages_of,
    recorded,
    recorded_order,
)


@pytest.mark.parametrize("page_size", [1, 2, 3, 4, 100])
def test_every_order_of_the_window_is_read_once(page_size):
    medusa = RecordedMedusa(recorded())
    pages = pages_of(medusa, page_size=page_size)
    ids = [order["id"] for page in pages for order in page]
    assert ids == [order["id"] for order in medusa.orders]
    assert all(len(page) <= page_size for page in pages)
    assert len(medusa.requests) == -(-len(ids) // page_size)


def test_neighbouring_windows_share_no_order_and_miss_none():
    medusa = RecordedMedusa(recorded())
    moments = sorted(datetime.fromisoformat(order["created_at"]) for order in recorded())
    borders = [CENTURY.start, *moments, CENTURY.end]
    read = [
        order["id"]
        for start, end in pairwise(borders)
        if start < end
        for page in pages_of(medusa, Window(start, end))
        for order in page
    ]
    assert sorted(read) == [order["id"] for order in medusa.orders]


def test_an_order_that_arrives_while_pages_are_read_shifts_none():
    medusa = RecordedMedusa(recorded())
    late = medusa.orders.pop(0)
    answered = medusa.list

    async def list_and_change(request):
        answer = await answered(request)
        if late not in medusa.orders:
            medusa.orders.insert(0, late)
        return answer

    medusa.list = list_and_change
    ids = [order["id"] for page in pages_of(medusa, page_size=1) for order in page]
    assert ids == [order["id"] for order in medusa.orders[1:]]


def test_the_key_is_sent_as_a_user_name_and_the_window_in_utc():
    medusa = RecordedMedusa([])
    istanbul = datetime.fromisoformat("2026-11-23T13:00:00.123456+03:00")
    window = Window(istanbul, istanbul + timedelta(hours=1))
    assert pages_of(medusa, window, sales_channels=["sc_1", "sc_2"]) == []
    request = medusa.requests[0]
    assert request.headers["Authorization"] == f"Basic {base64.b64encode(b'sk_test:').decode()}"
    assert request.query["created_at[$gte]"] == "2026-11-23T10:00:00.124Z"
    assert request.query["created_at[$lt]"] == "2026-11-23T11:00:00.124Z"
    assert request.query.getall("sales_channel_id[]") == ["sc_1", "sc_2"]


def test_an_answer_without_orders_stops_the_run():
    medusa = RecordedMedusa([])
    medusa.answer = lambda _: web.Response(text='{"count": 0}', content_type="application/json")
    with pytest.raises(ContractError):
        pages_of(medusa)


def test_more_orders_counted_than_listed_stops_the_run():
    medusa = RecordedMedusa([])
    medusa.answer = lambda _: web.Response(text='{"orders": [], "count": 3}', content_type="application/json")
    with pytest.raises(ContractError, match="counts more"):
        pages_of(medusa)


def test_a_page_that_comes_again_stops_the_run():
    medusa = RecordedMedusa(recorded())
    medusa.answer = lambda _: RecordedMedusa.answer({"orders": medusa.orders[-1:], "count": 4})
    with pytest.raises(ContractError, match="repeats"):
        pages_of(medusa)


def test_a_window_that_ends_before_it_begins_is_refused():
    with pytest.raises(ConfigurationError, match="window"):
        pages_of(RecordedMedusa([]), Window(CENTURY.end, CENTURY.start))


def test_an_order_is_read_again_by_its_id_and_an_unknown_one_is_nothing():
    order = recorded_order(REGISTERED)

    async def read():
        async with RecordedMedusa([order]).served() as url, connector(url) as opened:
            command = opened.command(GetOrders)
            return await command.get_by_key(order["id"]), await command.get_by_key("order_/../?")

    assert asyncio.run(read()) == (order, None)


@pytest.mark.parametrize("password", ["", "pk_publishable", "secret"])
def test_a_password_that_is_no_secret_key_is_said_at_once(password):
    with pytest.raises(ConfigurationError, match=r"medusa_shop.*sk_"):
        connector(password=password)


def test_an_unknown_setting_is_said_by_its_name():
    with pytest.raises(ConfigurationError, match="carier"):
        connector(carier="aras")
