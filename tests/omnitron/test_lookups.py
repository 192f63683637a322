"""Places, stores, carriers, products: exactly one, or the record's problem."""

import asyncio
import unicodedata
from dataclasses import astuple
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from order_integration.dto import AddressDto
from order_integration.errors import Reason, RecordError
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.lookups import LocationError, Lookups, Place
from order_integration.transport import HttpSession, Limits
from sandbox.faults import running
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask
from tests.shelf import address


def place(**own: Any) -> Any:
    read = AddressDto.model_validate(address(**{"township": None, **own}))
    return lambda omnitron: Lookups(omnitron).locations.place(read, "shipping_address")


def names(back_office: BackOffice, found: Place) -> tuple[str, ...]:
    levels = zip(("countries", "cities", "townships", "districts"), astuple(found), strict=True)
    return tuple(back_office.rows(path, pk__in=pk)[0]["name"] for path, pk in levels if pk)


def test_a_place_is_found_level_by_level(ask: Ask, back_office: BackOffice) -> None:
    found = ask(place(township="Kadıköy", district="Caferağa Mah"))

    assert names(back_office, found) == ("Türkiye", "İstanbul", "Kadıköy", "Caferağa Mah")


@pytest.mark.parametrize(
    "city",
    ["İstanbul", "İSTANBUL", "istanbul", "ISTANBUL", "Istanbul", " İstanbul ", "i\u0307stanbul", "I\u0307stanbul"],
)
def test_a_city_is_found_in_any_case_turkish_or_not(ask: Ask, back_office: BackOffice, city: str) -> None:
    assert names(back_office, ask(place(city=city))) == ("Türkiye", "İstanbul")


@pytest.mark.parametrize("name", ["Iğdır", "IĞDIR", "ığdır", "iğdir", "Diyarbakır", "DİYARBAKIR", "diyarbakir"])
def test_dotted_and_dotless_i_are_one_letter(ask: Ask, name: str) -> None:
    assert ask(place(city=name)).city
    assert ask(place(city=unicodedata.normalize("NFD", name))).city == ask(place(city=name)).city


@pytest.mark.parametrize("country", ["TR", "tr", "Türkiye"])
def test_a_country_is_a_code_or_a_name(ask: Ask, back_office: BackOffice, country: str) -> None:
    assert names(back_office, ask(place(country=country)))[0] == "Türkiye"


def test_the_merchant_s_mapping_is_the_last_resort(ask: Ask, back_office: BackOffice) -> None:
    assert names(back_office, ask(place(city="Stamboul"))) == ("Türkiye", "İstanbul")


def test_a_mapping_of_another_channel_is_none(ask: Ask) -> None:
    with pytest.raises(LocationError):
        ask(place(city="Stamboul"), channel=2)


def test_a_country_may_be_mapped(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(mappings=[{"level": "country", "channel": 1, "code": "Turkiye Cum.", "name": "Türkiye"}])

    assert names(back_office, ask(place(country="Turkiye Cum.")))[0] == "Türkiye"


@pytest.mark.defect("O24")
def test_a_mapped_city_of_another_country_is_not_taken(ask: Ask) -> None:
    with pytest.raises(LocationError) as caught:
        ask(place(country="DE", city="Stamboul"))
    assert (caught.value.level, caught.value.reason) == ("city", Reason.CITY_UNKNOWN)


def test_a_mapped_township_of_another_city_is_not_taken(ask: Ask, back_office: BackOffice) -> None:
    mapping = {"level": "township", "channel": 1, "code": "Chalcedon", "name": "Kadıköy", "city": "İstanbul"}
    back_office.told(mappings=[mapping])

    assert names(back_office, ask(place(township="Chalcedon")))[-1] == "Kadıköy"
    with pytest.raises(LocationError) as caught:
        ask(place(city="Ankara", township="Chalcedon"))
    assert caught.value.reason is Reason.TOWNSHIP_UNKNOWN


@pytest.mark.parametrize(
    ("own", "level", "reason", "parents"),
    [
        ({"country": "Atlantis"}, "country", Reason.COUNTRY_UNKNOWN, []),
        ({"city": "Atlantis"}, "city", Reason.CITY_UNKNOWN, ["country"]),
        ({"township": "Atlantis"}, "township", Reason.TOWNSHIP_UNKNOWN, ["country", "city"]),
        (
            {"township": "Kadıköy", "district": "Atlantis"},
            "district",
            Reason.DISTRICT_UNKNOWN,
            ["country", "city", "township"],
        ),
    ],
)
def test_an_unknown_level_is_named_with_what_was_found_above_it(
    ask: Ask, own: dict[str, str], level: str, reason: Reason, parents: list[str]
) -> None:
    with pytest.raises(LocationError) as caught:
        ask(place(**own))

    error = caught.value
    assert (error.level, error.name, error.reason) == (level, "Atlantis", reason)
    assert error.field == f"shipping_address.{level}"
    assert list(error.parents) == parents
    assert "Atlantis" not in str(error)


def test_a_township_of_another_city_is_unknown(ask: Ask) -> None:
    with pytest.raises(LocationError):
        ask(place(city="Ankara", township="Kadıköy"))


def test_a_district_without_a_township_is_left_out(ask: Ask, back_office: BackOffice) -> None:
    assert names(back_office, ask(place(township=None, district="Caferağa Mah"))) == ("Türkiye", "İstanbul")


def test_a_place_is_asked_for_once(ask: Ask, back_office: BackOffice) -> None:
    read = [AddressDto.model_validate(address(township=name)) for name in ("Kadıköy", "Beşiktaş", "Üsküdar", "kadıköy")]

    async def story(omnitron: Omnitron) -> list[Place]:
        lookups = Lookups(omnitron)
        return [await lookups.locations.place(one, "shipping_address") for one in (*read, *read)]

    assert len(set(ask(story))) == 3
    for path in ("/countries/", "/townships/"):
        assert len(back_office.calls("GET", path)) == 1
    assert len(back_office.calls("GET", "/cities/")) == 1


def test_no_filter_of_ours_is_ignored(ask: Ask, back_office: BackOffice) -> None:
    back_office.switch(strict_filters=True)

    assert ask(place(country="Türkiye", city="Stamboul", township="Kadıköy", district="Caferağa Mah")).district


# Carriers, stores, products ------------------------------------------------------------------------------------------


@pytest.mark.defect("O22")
def test_a_carrier_is_found_by_its_code_and_asked_for_once(ask: Ask, back_office: BackOffice) -> None:
    async def story(omnitron: Omnitron) -> set[int]:
        lookups = Lookups(omnitron)
        return {await lookups.carrier("yurtici") for _ in range(3)}

    assert ask(story) == {back_office.rows("cargos")[0]["pk"]}
    assert len(back_office.calls("GET", "/cargos/")) == 2  # ours, and this test's


@pytest.mark.parametrize("code", ["YURTICI", "yurtici ", "", "aras"])
def test_a_carrier_that_is_unknown_is_the_record_s_problem(ask: Ask, code: str) -> None:
    with pytest.raises(RecordError) as caught:
        ask(lambda o: Lookups(o).carrier(code))
    assert (caught.value.reason, caught.value.field) == (Reason.CARRIER_UNKNOWN, "order.cargo_company")


def test_a_carrier_s_code_that_two_companies_have_is_not_guessed() -> None:
    async def cargos(_: Request) -> Response:
        codes = ["aras", "yurtici", "aras"]
        rows = [{"pk": number, "erp_code": code} for number, code in enumerate(codes, start=1)]
        return JSONResponse({"results": rows, "next": None})

    async def story(url: str) -> int:
        async with HttpSession(f"{url}/", limits=Limits(tries=1)) as http:
            lookups = Lookups(Omnitron(http, 1))
            assert await lookups.carrier("yurtici") == 2
            return await lookups.carrier("aras")

    with (
        running(Starlette(routes=[Route("/channel/1/cargos/", cargos)])) as url,
        pytest.raises(RecordError, match="2 cargo companies of erp_code 'aras'") as caught,
    ):
        asyncio.run(story(url))
    assert (caught.value.reason, caught.value.field) == (Reason.CARRIER_UNKNOWN, "order.cargo_company")


def test_a_store_is_exactly_one(ask: Ask, back_office: BackOffice) -> None:
    assert ask(lambda o: Lookups(o).store("S1", "x")) == back_office.rows("retail_stores")[0]["pk"]
    with pytest.raises(RecordError) as caught:
        ask(lambda o: Lookups(o).store("S2", "x"))
    assert caught.value.reason is Reason.RETAIL_STORE_UNKNOWN


def product(remote_id: str) -> Any:
    async def work(omnitron: Omnitron) -> int:
        lookups = Lookups(omnitron)
        await lookups.read_products([remote_id, "SKU-1"])
        return lookups.product(remote_id, "order_item.0.product")

    return work


@pytest.mark.defect("O21")
@pytest.mark.parametrize("remote_id", ["P,1", "SKU-2", "İ ı"])
def test_a_product_is_found_whatever_its_id_is_made_of(ask: Ask, back_office: BackOffice, remote_id: str) -> None:
    back_office.told(products=[{"channel": 1, "remote_id": remote_id, "sku": remote_id}])

    [link] = back_office.rows("integration_actions", remote_id__exact=remote_id)
    assert ask(product(remote_id)) == link["object_id"]


def test_a_product_that_is_not_linked_is_unknown(ask: Ask) -> None:
    with pytest.raises(RecordError) as caught:
        ask(product("SKU-9"))
    assert (caught.value.reason, caught.value.field) == (Reason.PRODUCT_UNKNOWN, "order_item.0.product")


@pytest.mark.defect("O21")
def test_a_product_that_is_linked_twice_is_ambiguous(ask: Ask, back_office: BackOffice) -> None:
    other = back_office.rows("integration_actions", remote_id__exact="SKU-2")[0]
    path = f"/api/v1/channel/1/integration_actions/{other['pk']}/"
    back_office.patch(path, json={"remote_id": "SKU-1"}).raise_for_status()

    with pytest.raises(RecordError) as caught:
        ask(product("SKU-1"))
    assert caught.value.reason is Reason.PRODUCT_AMBIGUOUS


def test_products_are_asked_for_once(ask: Ask, back_office: BackOffice) -> None:
    async def story(omnitron: Omnitron) -> None:
        lookups = Lookups(omnitron)
        for _ in range(3):
            await lookups.read_products(["SKU-1", "unknown"])

    ask(story)

    assert len(back_office.calls("GET", "/integration_actions/")) == 1
