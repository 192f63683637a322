"""Pages, filters that are checked, and what is asked for only once."""

import asyncio
from typing import Any
from urllib.parse import quote

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from order_integration.errors import ConfigurationError, ContractError, RefusedError, UnknownOutcomeError
from order_integration.omnitron.client import IN_LIST, IN_LIST_LENGTH, Memo, Omnitron, Pages, id_of, in_lists, slices
from order_integration.transport import HttpSession, Limits
from sandbox.faults import running
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask


def many(count: int) -> list[dict[str, str]]:
    return [{"erp_code": f"C{number:03}", "name": f"C{number}"} for number in range(count)]


def codes(omnitron: Omnitron) -> Any:
    return omnitron.rows(omnitron.at("cargos/"), {}, sure=lambda row: True)


def test_all_pages_are_read_in_one_order(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(cargos=many(204))

    rows = ask(codes)

    assert [row["erp_code"] for row in rows] == ["yurtici", *(row["erp_code"] for row in many(204))]
    queries = [call["query"] for call in back_office.calls("GET", "/cargos/")]
    assert [("page=1" in q, "page=2" in q, "page=3" in q) for q in queries] == [(1, 0, 0), (0, 1, 0), (0, 0, 1)]
    assert all("sort=id" in query and "limit=100" in query for query in queries)


def test_an_empty_list_is_one_call(ask: Ask, back_office: BackOffice) -> None:
    assert ask(lambda o: o.rows(o.at("orders/"), {}, sure=lambda row: False)) == []
    assert len(back_office.calls("GET", "/orders/")) == 1


@pytest.mark.defect("S1")
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
@pytest.mark.parametrize("page", [1, 2])
def test_every_page_is_read_again_when_it_is_lost(ask: Ask, back_office: BackOffice, kind: str, page: int) -> None:
    back_office.told(cargos=many(150))
    back_office.fault("GET", "/cargos/", kind, skip=page - 1)

    assert len(ask(codes)) == 151
    assert len(back_office.calls("GET", "/cargos/")) == 3


@pytest.mark.defect("S1")
@pytest.mark.parametrize("page", [1, 2])
def test_every_page_that_stays_lost_is_an_error_not_an_end(ask: Ask, back_office: BackOffice, page: int) -> None:
    back_office.told(cargos=many(150))
    back_office.fault("GET", "/cargos/", "status", status=500, skip=page - 1, times=9)

    with pytest.raises(UnknownOutcomeError):
        ask(codes, tries=2)


@pytest.mark.defect("S1")
@pytest.mark.parametrize("page", [1, 2])
def test_a_token_may_expire_on_any_page(ask: Ask, back_office: BackOffice, page: int) -> None:
    back_office.told(cargos=many(150))
    back_office.fault("GET", "/cargos/", "status", status=401, skip=page - 1)

    assert len(ask(codes)) == 151


@pytest.mark.parametrize("answer", [{}, {"results": None}, {"results": {}}, None, "text", 5])
def test_an_answer_without_results_is_a_broken_contract(answer: Any) -> None:
    with pytest.raises(ContractError, match="without results"):
        Pages().take(answer)


def test_a_bare_array_is_the_only_page() -> None:
    pages = Pages()

    assert pages.take([{"pk": 1}]) == [{"pk": 1}]
    assert pages.page is None


def test_a_next_page_that_is_empty_is_the_last() -> None:
    pages = Pages(page=3)

    assert pages.take({"results": [], "next": "http://elsewhere/?page=4"}) == []
    assert pages.page is None


def test_a_bare_array_is_read_over_the_wire(back_office: BackOffice, ask: Ask) -> None:
    back_office.switch(updates_as_array=True)

    assert ask(lambda o: o.rows(o.at("orders/updates/"), {}, sure=lambda row: True)) == []


def test_the_server_s_next_address_is_not_followed() -> None:
    """It may name a host that only the server knows."""
    asked: list[str] = []

    async def listing(request: Request) -> Response:
        asked.append(request.query_params["page"])
        following = "http://inside.example.com/?page=2" if len(asked) == 1 else None
        return JSONResponse({"results": [{"pk": len(asked)}], "next": following})

    async def story(url: str) -> list[Any]:
        async with HttpSession(f"{url}/", limits=Limits(tries=1)) as http:
            return await Omnitron(http, 1).rows("things/", {}, sure=lambda row: True)

    with running(Starlette(routes=[Route("/things/", listing)])) as url:
        assert asyncio.run(story(url)) == [{"pk": 1}, {"pk": 2}]
    assert asked == ["1", "2"]


@pytest.mark.defect("O26")
def test_an_ignored_filter_is_a_broken_contract(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(cargos=many(3))

    with pytest.raises(ContractError, match="ignored a filter of channel/1/cargos/: colour"):
        ask(lambda o: o.rows(o.at("cargos/"), {"colour": "red"}, sure=lambda row: row.get("colour") == "red"))


def test_a_filter_that_a_stricter_server_refuses_is_a_refusal(ask: Ask, back_office: BackOffice) -> None:
    back_office.switch(strict_filters=True)

    with pytest.raises(RefusedError) as caught:
        ask(lambda o: o.rows(o.at("cargos/"), {"colour": "red"}, sure=lambda row: True))
    assert caught.value.fields == ("colour",)


def test_our_own_filters_are_all_known(ask: Ask, back_office: BackOffice) -> None:
    """Asked by whatever the other tests of this room ask; here the ones of a channel's start."""
    ask(lambda o: o.channel())
    ask(lambda o: o.catalog(1))
    ask(lambda o: o.content_type("order"))

    assert back_office.get("/admin/ignored_filters").json() == []


@pytest.mark.defect("G4")
def test_a_channel_that_sleeps_or_is_not_there_is_a_wrong_setting(ask: Ask) -> None:
    assert ask(lambda o: o.channel())["name"] == "shelf"
    with pytest.raises(ConfigurationError, match="channel 3 is not active"):
        ask(lambda o: o.channel(), channel=3)
    with pytest.raises(ConfigurationError, match="no channel 99: correct omnitron_channel_id"):
        ask(lambda o: o.channel(), channel=99)


def test_a_catalog_that_is_not_there_is_a_wrong_setting(ask: Ask) -> None:
    with pytest.raises(ConfigurationError, match="no catalog 99: correct catalog_id"):
        ask(lambda o: o.catalog(99))


def test_a_content_type_is_asked_for_once(ask: Ask, back_office: BackOffice) -> None:
    async def story(omnitron: Omnitron) -> list[int]:
        return list(await asyncio.gather(*(omnitron.content_type("order") for _ in range(5))))

    assert len(set(ask(story))) == 1
    assert len(back_office.calls("GET", "/content_types/")) == 1


def test_an_unknown_content_type_is_a_broken_contract(ask: Ask) -> None:
    with pytest.raises(ContractError, match="0 content types 'spaceship'"):
        ask(lambda o: o.content_type("spaceship"))


@pytest.mark.parametrize(("row", "pk"), [({"pk": 5}, 5), ({"id": 6}, 6), ({"pk": "7", "id": 8}, 7)])
def test_an_id_is_called_pk_or_id(row: dict[str, Any], pk: int) -> None:
    assert id_of(row) == pk


@pytest.mark.parametrize("row", [{}, {"pk": None}])
def test_a_row_without_an_id_is_a_broken_contract(row: dict[str, Any]) -> None:
    with pytest.raises(ContractError):
        id_of(row)


def test_slices_hold_everything_in_order() -> None:
    assert list(slices(range(5), 2)) == [[0, 1], [2, 3], [4]]
    assert list(slices([], 2)) == []


@pytest.mark.parametrize("letter", ["x", "ş", "/", "👩"])
@pytest.mark.parametrize("length", [1, 50, 255])
def test_lists_of_ids_hold_everything_in_order_and_fit_into_a_url(letter: str, length: int) -> None:
    ids = [f"{number:03}{letter * (length - 3)}" for number in range(120)]

    lists = list(in_lists(ids))

    assert ",".join(lists).split(",") == ids
    assert all(0 < len(some.split(",")) <= IN_LIST for some in lists)
    assert all(len(quote(some, safe="")) <= IN_LIST_LENGTH for some in lists)
    assert length > 1 or len(lists) == 3


def test_an_id_that_is_too_long_is_asked_for_alone() -> None:
    long = "x" * (IN_LIST_LENGTH + 1)

    assert list(in_lists([1, long, "b"])) == ["1", long, "b"]
    assert list(in_lists([])) == []


def test_simultaneous_askers_share_one_call_and_a_failure_is_forgotten() -> None:
    asked: list[int] = []

    async def ask() -> int:
        asked.append(1)
        await asyncio.sleep(0)
        if len(asked) == 1:
            raise ContractError("once")
        return 5

    async def story() -> None:
        memo: Memo[str, int] = Memo()
        first = await asyncio.gather(*(memo.get("a", ask) for _ in range(3)), return_exceptions=True)
        assert {type(error) for error in first} == {ContractError}
        assert await asyncio.gather(*(memo.get("a", ask) for _ in range(3))) == [5, 5, 5]
        assert await memo.get("a", ask) == 5

    asyncio.run(story())
    assert len(asked) == 2


def test_an_asker_that_gives_up_leaves_the_answer_to_the_others() -> None:
    async def slow() -> int:
        await asyncio.sleep(0.01)
        return 5

    async def story() -> int:
        memo: Memo[str, int] = Memo()
        one = asyncio.ensure_future(memo.get("a", slow))
        await asyncio.sleep(0)
        other = asyncio.ensure_future(memo.get("a", slow))
        one.cancel()
        return await other

    assert asyncio.run(story()) == 5
