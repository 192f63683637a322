"""Customers and addresses: looked up first, created once, changed only by newer news."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from order_integration.dto import AddressDto, CustomerDto
from order_integration.errors import Reason, RecordError, RetriableError
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.customers import Addresses, Customers, identifier_of, is_newer
from order_integration.omnitron.lookups import Lookups
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask
from tests.shelf import address, customer

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def news(*told: tuple[dict[str, Any], datetime], identifier: str = "email") -> Any:
    """The pks after news of one run, one after the other."""

    async def work(omnitron: Omnitron) -> list[int]:
        customers = Customers(omnitron, identifier)
        return [await customers.pk_of(CustomerDto.model_validate(own), as_of) for own, as_of in told]

    return work


def only(back_office: BackOffice) -> dict[str, Any]:
    [row] = back_office.rows("customers")
    return row


def writes(back_office: BackOffice) -> list[str]:
    seen = back_office.get("/admin/requests").json()
    return [call["method"] for call in seen if "/customers/" in call["path"] and call["method"] != "GET"]


def test_a_new_customer_is_created_with_all_that_is_known(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(extra_field={"tier": "gold"}), NOW)))

    row = only(back_office)
    assert row["pk"] == pk
    assert {name: row[name] for name in customer()} == customer()
    assert row["extra_field"] == {"tier": "gold", "modified_at": NOW.isoformat()}
    assert row["is_active"] is True


def test_the_same_news_again_writes_nothing(ask: Ask, back_office: BackOffice) -> None:
    first = ask(news((customer(), NOW)))

    assert ask(news((customer(), NOW), (customer(), NOW + HOUR))) == first * 2
    assert writes(back_office) == ["POST"]


def test_a_customer_is_asked_for_once_a_run(ask: Ask, back_office: BackOffice) -> None:
    ask(news(*[(customer(), NOW)] * 5))

    assert len(back_office.calls("GET", "/customers/")) == 1


def test_simultaneous_news_of_one_customer_create_one(ask: Ask, back_office: BackOffice) -> None:
    async def story(omnitron: Omnitron) -> set[int]:
        customers = Customers(omnitron)
        read = CustomerDto.model_validate(customer())
        return set(await asyncio.gather(*(customers.pk_of(read, NOW) for _ in range(5))))

    assert len(ask(story)) == 1
    assert writes(back_office) == ["POST"]


def test_newer_news_overwrite(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(last_name="Demir", phone_number="+905330000000"), NOW + HOUR))) == [pk]

    row = only(back_office)
    assert (row["last_name"], row["phone_number"]) == ("Demir", "+905330000000")
    assert row["extra_field"]["modified_at"] == (NOW + HOUR).isoformat()


@pytest.mark.parametrize("age", [timedelta(0), HOUR])
def test_older_news_never_overwrite_newer(ask: Ask, back_office: BackOffice, age: timedelta) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(last_name="Demir"), NOW - age))) == [pk]

    assert only(back_office)["last_name"] == "Yılmaz"


@pytest.mark.parametrize("backwards", [False, True])
def test_in_one_run_the_newest_news_stay_whatever_came_between(
    ask: Ask, back_office: BackOffice, *, backwards: bool
) -> None:
    told = [(customer(), NOW), (customer(last_name="Demir"), NOW + HOUR), (customer(), NOW + 2 * HOUR)]

    ask(news(*(reversed(told) if backwards else told)))

    row = only(back_office)
    assert (row["last_name"], row["extra_field"]["modified_at"]) == ("Yılmaz", (NOW + 2 * HOUR).isoformat())


def test_news_that_were_too_old_at_first_are_taken_when_they_are_said_again_later(
    ask: Ask, back_office: BackOffice
) -> None:
    ask(news((customer(), NOW)))
    changed = customer(last_name="Demir")

    ask(news((changed, NOW - HOUR), (changed, NOW + HOUR)))

    assert only(back_office)["last_name"] == "Demir"


def test_zones_do_not_matter_for_what_is_newer() -> None:
    east = datetime.fromisoformat("2026-01-05T15:00:00+03:00")

    assert not is_newer(NOW, {"modified_at": east.isoformat()})
    assert is_newer(NOW + timedelta(seconds=1), {"modified_at": east.isoformat()})


@pytest.mark.parametrize("written", ["", "yesterday", "2026-01-05T12:00:00", 5, None, {"a": 1}])
def test_a_time_that_is_not_ours_stops_nobody(written: Any) -> None:
    assert is_newer(NOW, {"modified_at": written})


@pytest.mark.parametrize("extra", [None, {}, []])
def test_what_nobody_dated_may_be_overwritten(extra: Any) -> None:
    assert is_newer(NOW, extra)


def test_what_others_keep_with_a_customer_stays(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW)))
    path = f"/api/v1/channel/1/customers/{pk}/"
    back_office.rows("customers")
    back_office.patch(path, json={"extra_field": {"erp": 7, "modified_at": NOW.isoformat()}}).raise_for_status()

    ask(news((customer(last_name="Demir"), NOW + HOUR)))

    assert only(back_office)["extra_field"]["erp"] == 7


def test_what_a_channel_does_not_say_stays(ask: Ask, back_office: BackOffice) -> None:
    ask(news((customer(), NOW)))

    ask(news((customer(phone_number=None, last_name="Demir"), NOW + HOUR)))

    assert only(back_office)["phone_number"] == "+905321234567"


def test_a_customer_of_another_channel_is_another_one(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(), NOW)), channel=2) != [pk]


# How a customer is found ---------------------------------------------------------------------------------------------


@pytest.mark.defect("O6")
@pytest.mark.parametrize(
    ("conf", "identifier"),
    [
        ({}, "email"),
        (None, "email"),
        ({"CUSTOMER_IDENTIFIER_FIELD": "phone_number"}, "phone_number"),
        ({"CUSTOMER_IDENTIFIER_FIELD": "email"}, "email"),
        ({"CUSTOMER_IDENTIFIER_FIELD": "password"}, "email"),
        ({"CUSTOMER_IDENTIFIER_FIELD": None}, "email"),
    ],
)
def test_the_channel_s_conf_says_how_a_customer_is_found(conf: Any, identifier: str) -> None:
    assert identifier_of({"conf": conf}) == identifier


@pytest.mark.defect("O6")
def test_by_phone_another_email_is_the_same_customer(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW), identifier="phone_number"))

    assert ask(news((customer(email="new@example.com"), NOW + HOUR), identifier="phone_number")) == [pk]
    assert only(back_office)["email"] == "new@example.com"


def test_by_email_another_phone_is_the_same_customer(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(phone_number="+905330000000"), NOW + HOUR))) == [pk]


def test_by_phone_a_customer_without_one_is_found_by_email(ask: Ask, back_office: BackOffice) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(phone_number=None), NOW), identifier="phone_number")) == [pk]


def test_a_phone_that_two_customers_have_is_ambiguous(ask: Ask, back_office: BackOffice) -> None:
    ask(news((customer("ayse"), NOW), (customer("fatma"), NOW)))

    with pytest.raises(RecordError) as caught:
        ask(news((customer("elif"), NOW), identifier="phone_number"))
    assert (caught.value.reason, caught.value.field) == (Reason.CUSTOMER_AMBIGUOUS, "customer.phone_number")


@pytest.mark.parametrize("as_list", [False, True])
def test_a_customer_who_changed_the_email_is_found_by_the_channel_s_code(
    ask: Ask, back_office: BackOffice, *, as_list: bool
) -> None:
    back_office.switch(duplicates_as_400_list=as_list)
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(email="new@example.com"), NOW + HOUR))) == [pk]
    assert only(back_office)["email"] == "new@example.com"


def test_a_customer_who_changed_the_code_is_found_by_email_and_keeps_the_old_one(
    ask: Ask, back_office: BackOffice
) -> None:
    [pk] = ask(news((customer(), NOW)))

    assert ask(news((customer(channel_code="c-new", last_name="Demir"), NOW + HOUR))) == [pk]
    assert (only(back_office)["channel_code"], only(back_office)["last_name"]) == ("c-ayse", "Demir")


def test_a_change_that_would_make_two_customers_one_is_refused(ask: Ask, back_office: BackOffice) -> None:
    ask(news((customer("ayse"), NOW), (customer("fatma", phone_number="+905330000000"), NOW)))

    with pytest.raises(RecordError) as caught:
        ask(news((customer("fatma"), NOW + HOUR), identifier="phone_number"))
    assert caught.value.reason is Reason.REFUSED
    assert "example.com" not in str(caught.value)


@pytest.mark.defect("O5")
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_makes_no_second_customer(ask: Ask, back_office: BackOffice, kind: str) -> None:
    back_office.fault("POST", "/customers/", kind)

    [pk] = ask(news((customer(), NOW)))

    assert only(back_office)["pk"] == pk


def test_a_customer_who_is_seen_only_after_the_second_try_was_refused_is_found(
    ask: Ask, back_office: BackOffice
) -> None:
    """The first answer is lost, and the look-ups after it are answered by a copy that lags behind."""
    back_office.fault("POST", "/customers/", "cut_after")
    nobody = {"results": [], "next": None}
    back_office.fault("GET", "/customers/", "status", status=200, body=nobody, times=3)

    [pk] = ask(news((customer(), NOW)))

    assert only(back_office)["pk"] == pk
    assert writes(back_office) == ["POST", "POST"]


def test_a_customer_whose_second_answer_is_lost_too_is_found(ask: Ask, back_office: BackOffice) -> None:
    for kind in ("cut_before", "cut_after"):
        back_office.fault("POST", "/customers/", kind)

    [pk] = ask(news((customer(), NOW)))

    assert only(back_office)["pk"] == pk


def test_a_customer_who_is_refused_after_a_lost_answer_is_the_record_s_problem(
    ask: Ask, back_office: BackOffice
) -> None:
    back_office.fault("POST", "/customers/", "cut_before")
    back_office.fault("POST", "/customers/", "status", status=400, body={"phone_number": ["+905 is wrong"]})

    with pytest.raises(RecordError, match="phone_number") as caught:
        ask(news((customer(), NOW)))
    assert (caught.value.reason, caught.value.field) == (Reason.REFUSED, "customer")


def test_another_task_that_was_faster_is_found(ask: Ask, back_office: BackOffice) -> None:
    """Both looked, both found nobody, both create: the second is refused."""

    async def story(omnitron: Omnitron) -> set[int]:
        read = CustomerDto.model_validate(customer())
        return set(await asyncio.gather(*(Customers(omnitron).pk_of(read, NOW) for _ in range(5))))

    assert len(ask(story)) == 1
    assert only(back_office)


def test_a_server_that_stays_away_is_for_the_next_try(ask: Ask, back_office: BackOffice) -> None:
    back_office.fault("POST", "/customers/", "status", status=500, times=9)

    with pytest.raises(RetriableError):
        ask(news((customer(), NOW)))


def test_what_omnitron_refuses_names_fields_not_values(ask: Ask, back_office: BackOffice) -> None:
    body = {"email": ["ayse@example.com is on a list"], "code": "customer_9"}
    back_office.fault("POST", "/customers/", "status", status=400, body=body)

    with pytest.raises(RecordError) as caught:
        ask(news((customer(), NOW)))
    assert caught.value.reason is Reason.REFUSED
    assert caught.value.sentence == "Omnitron refuses it: email"
    assert caught.value.ids == {"status": 400, "code": "customer_9"}


# Addresses -----------------------------------------------------------------------------------------------------------


def addresses(*told: dict[str, Any], who: str = "ayse") -> Any:
    async def work(omnitron: Omnitron) -> list[int]:
        buyer = CustomerDto.model_validate(customer(who))
        pk = await Customers(omnitron).pk_of(buyer, NOW)
        room = Addresses(omnitron, Lookups(omnitron))
        return [await room.pk_of(AddressDto.model_validate(own), buyer, pk, "billing_address") for own in told]

    return work


def test_an_address_arrives_whole(ask: Ask, back_office: BackOffice) -> None:
    own = {"title": "Ev 🏠", "notes": "Zil bozuk", "postcode": "34710", "tax_no": "1", "remote_id": "a-1"}

    [pk] = ask(addresses(address(**own, district="Caferağa Mah")))

    [row] = back_office.rows("addresses")
    assert row["pk"] == pk
    assert {name: row[name] for name in own} == own
    assert None not in (row["country"], row["city"], row["township"], row["district"])
    assert (row["line"], row["address_type"]) == ("Moda Cd. 1", "customer")


@pytest.mark.defect("O7")
@pytest.mark.parametrize("as_list", [False, True])
def test_an_address_that_is_there_is_found_by_its_hash(ask: Ask, back_office: BackOffice, *, as_list: bool) -> None:
    back_office.switch(duplicates_as_400_list=as_list)
    first = ask(addresses(address()))

    assert ask(addresses(address())) == first
    assert ask(addresses(address(line="MODA  cd. 1"))) == first
    assert len(back_office.rows("addresses")) == 1


@pytest.mark.defect("O23")
def test_the_same_content_is_posted_once_a_run(ask: Ask, back_office: BackOffice) -> None:
    pks = ask(addresses(address(), address(), address(city="istanbul"), address(line="Another 2")))

    assert len(set(pks)) == 2
    assert len(back_office.calls("POST", "/addresses/")) == 2


def test_simultaneous_equal_addresses_are_one(ask: Ask, back_office: BackOffice) -> None:
    async def story(omnitron: Omnitron) -> set[int]:
        buyer = CustomerDto.model_validate(customer())
        pk = await Customers(omnitron).pk_of(buyer, NOW)
        room, read = Addresses(omnitron, Lookups(omnitron)), AddressDto.model_validate(address())
        return set(await asyncio.gather(*(room.pk_of(read, buyer, pk, "x") for _ in range(5))))

    assert len(ask(story)) == 1
    assert len(back_office.calls("POST", "/addresses/")) == 1


def test_equal_addresses_of_two_customers_are_two(ask: Ask, back_office: BackOffice) -> None:
    assert ask(addresses(address())) != ask(addresses(address(), who="fatma"))


@pytest.mark.defect("O5")
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_makes_no_second_address(ask: Ask, back_office: BackOffice, kind: str) -> None:
    back_office.fault("POST", "/addresses/", kind)

    [pk] = ask(addresses(address()))

    assert [row["pk"] for row in back_office.rows("addresses")] == [pk]


def test_a_name_that_is_missing_is_the_customer_s(ask: Ask, back_office: BackOffice) -> None:
    ask(addresses(address(first_name="", last_name="")))

    [row] = back_office.rows("addresses")
    assert (row["first_name"], row["last_name"]) == ("Ayşe", "Yılmaz")


def test_a_store_delivery_names_the_store(ask: Ask, back_office: BackOffice) -> None:
    ask(addresses(address(retail_store="S1")))

    [row] = back_office.rows("addresses")
    assert (row["retail_store"], row["address_type"]) == (back_office.rows("retail_stores")[0]["pk"], "retail_store")


def test_an_unknown_store_or_place_names_its_address(ask: Ask) -> None:
    with pytest.raises(RecordError) as caught:
        ask(addresses(address(retail_store="S9")))
    assert (caught.value.reason, caught.value.field) == (Reason.RETAIL_STORE_UNKNOWN, "billing_address.retail_store")
    with pytest.raises(RecordError) as caught:
        ask(addresses(address(city="Atlantis")))
    assert (caught.value.reason, caught.value.field) == (Reason.CITY_UNKNOWN, "billing_address.city")


def test_a_refused_address_names_fields_not_values(ask: Ask, back_office: BackOffice) -> None:
    back_office.fault("POST", "/addresses/", "status", status=400, body={"line": ["Moda Cd. 1 is closed"]})

    with pytest.raises(RecordError) as caught:
        ask(addresses(address()))
    assert (caught.value.reason, caught.value.field) == (Reason.REFUSED, "billing_address")
    assert "Moda" not in str(caught.value)


def test_equal_news_counts_as_written_so_that_older_news_does_not_undo_it(ask: Ask, back_office: BackOffice) -> None:
    """An order that is backfilled later brings what the customer was called before."""
    ask(news((customer(), NOW)))
    ask(news((customer(), NOW + 2 * HOUR)))

    ask(news((customer(first_name="Before"), NOW + HOUR)))

    assert only(back_office)["first_name"] == customer()["first_name"]
