"""The kinds of field: exact money, zoned times, texts of a length, checked e-mails and phones."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from order_integration.dto import (
    AddressDto,
    ChannelOrderDto,
    CustomerDto,
    Cut,
    OrderItemDto,
    collected_cuts,
    minor_unit,
)
from order_integration.dto.refusals import record_error
from order_integration.errors import Reason, RecordError
from order_integration.transport import dumps, loads
from tests.shelf import address, customer, item, order

AMOUNTS = st.decimals(min_value=0, max_value=Decimal("1e12"), places=2) | st.decimals(0, 10**9, places=6)


def header(**own: Any) -> dict[str, Any]:
    return {**order("1")["dto"]["order"], **own}


def refusal(kind: Any, content: dict[str, Any]) -> RecordError:
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(content)
    return record_error(caught.value)


@given(amount=AMOUNTS, rate=st.decimals(0, 100, places=3))
def test_money_survives_validation_staging_and_validation_to_the_last_digit(amount: Decimal, rate: Decimal) -> None:
    unit = OrderItemDto.model_validate(item("1", price=amount, retail_price=f"{amount:f}", tax_rate=rate))

    again = OrderItemDto.model_validate(loads(dumps(unit.model_dump(mode="json"))))

    assert (again.price, again.retail_price, again.tax_rate) == (amount, amount, rate)
    assert again.price.as_tuple() == amount.as_tuple()
    assert again == unit


@given(number=st.floats() | st.sampled_from(["NaN", "Infinity", "-Infinity", "sNaN", Decimal("NaN"), Decimal("Inf")]))
def test_floats_and_what_is_no_number_are_refused_as_money(number: Any) -> None:
    error = refusal(OrderItemDto, item("1", price=number))

    assert (error.reason, error.field) == (Reason.MONEY_MALFORMED, "OrderItemDto.price")


@pytest.mark.parametrize("value", ["", "12,50", "TRY 5", "five", True, None, [], {}, "1 000", "1_000"])
def test_what_is_not_written_as_a_number_is_refused_as_money(value: Any) -> None:
    assert refusal(OrderItemDto, item("1", price=value)).reason is Reason.MONEY_MALFORMED


@pytest.mark.parametrize("value", ["1e30", "1e1000000", Decimal("1E+40"), "9" * 40])
def test_a_number_no_amount_can_be_is_refused_as_money(value: Any) -> None:
    assert refusal(OrderItemDto, item("1", price=value)).reason is Reason.MONEY_MALFORMED


def test_no_money_has_no_sign() -> None:
    assert str(OrderItemDto.model_validate(item("1", price="-0.00")).price) == "0.00"


@pytest.mark.parametrize("name", ["price", "discount_amount", "retail_price", "tax_rate"])
def test_negative_money_is_refused(name: str) -> None:
    assert refusal(OrderItemDto, item("1", **{name: "-0.01"})).reason is Reason.MONEY_NEGATIVE


@pytest.mark.parametrize(("currency", "unit"), [("try", "0.01"), ("jpy", "1"), ("KWD", "0.001")])
def test_a_currency_has_its_own_smallest_amount(currency: str, unit: str) -> None:
    assert minor_unit(currency) == Decimal(unit)


@pytest.mark.parametrize("currency", ["TL", "", "₺", "lira", None, 949])
def test_a_currency_that_is_no_iso_code_is_refused(currency: Any) -> None:
    assert refusal(OrderItemDto, item("1", price_currency=currency)).reason is Reason.FIELD_MALFORMED


@pytest.mark.parametrize("text", ["2026-01-05T12:00:00", "2026-01-05 12:00", "2026-01-05"])
def test_a_time_without_a_zone_is_refused(text: str) -> None:
    assert refusal(ChannelOrderDto, header(created_at=text)).reason is Reason.DATE_NAIVE


@pytest.mark.parametrize(
    "text",
    [
        "0001-01-01T00:00:00Z",
        "1999-12-31T23:59:59Z",
        "2100-01-01T00:00:00Z",
        "2026-02-30T00:00:00Z",
        "yesterday",
        "",
        [],
    ],
)
def test_a_time_that_never_was_is_refused(text: Any) -> None:
    assert refusal(ChannelOrderDto, header(created_at=text)).reason is Reason.DATE_MALFORMED


def test_a_time_keeps_its_instant_through_staging() -> None:
    read = ChannelOrderDto.model_validate(header(created_at="2026-10-25T02:30:00.123456+01:00"))

    again = ChannelOrderDto.model_validate(loads(dumps(read.model_dump(mode="json"))))

    assert again.created_at == read.created_at
    assert again.created_at.isoformat() == "2026-10-25T02:30:00.123456+01:00"


@pytest.mark.defect("O18")
@pytest.mark.parametrize(
    ("kind", "content", "name", "limit"),
    [
        (ChannelOrderDto, header(), "number", 128),
        (ChannelOrderDto, header(), "remote_id", 255),
        (ChannelOrderDto, header(), "tracking_number", 256),
        (ChannelOrderDto, header(), "shipping_option_slug", 128),
        (CustomerDto, customer(), "first_name", 255),
        (CustomerDto, customer(), "channel_code", 64),
        (AddressDto, address(), "line", 255),
        (AddressDto, address(), "tax_no", 20),
        (AddressDto, address(), "postcode", 64),
        (OrderItemDto, item("1"), "remote_id", 255),
        (OrderItemDto, item("1"), "carrier_shipping_code", 256),
    ],
)
def test_a_text_that_means_something_is_taken_whole_or_refused(kind: Any, content: Any, name: str, limit: int) -> None:
    assert getattr(kind.model_validate({**content, name: "x" * limit}), name) == "x" * limit
    with collected_cuts() as cuts:
        assert refusal(kind, {**content, name: "x" * (limit + 1)}).reason is Reason.TEXT_TOO_LONG
    assert cuts == []


@pytest.mark.parametrize(
    ("kind", "content", "name", "limit"),
    [
        (ChannelOrderDto, header(), "gift_box_note", 160),
        (ChannelOrderDto, header(), "notes", 320),
        (AddressDto, address(), "title", 128),
        (AddressDto, address(), "notes", 512),
    ],
)
def test_free_text_is_cut_only_where_somebody_hears_of_it(kind: Any, content: Any, name: str, limit: int) -> None:
    long = {**content, name: "ş" * (limit + 1)}

    assert refusal(kind, long).reason is Reason.TEXT_TOO_LONG
    with collected_cuts() as cuts:
        read = kind.model_validate(long)

    assert getattr(read, name) == "ş" * limit
    assert cuts == [Cut(name, limit + 1, limit)]
    assert refusal(kind, long).reason is Reason.TEXT_TOO_LONG  # the list is closed again


@given(text=st.text(alphabet=st.sampled_from('İıIiğş👩‍👩‍👧é ́\u0307\u200d\ufe0f\n\t"\\'), max_size=100))
def test_any_letters_travel_unchanged(text: str) -> None:
    read = ChannelOrderDto.model_validate(header(notes=text, extra_field={"text": text}))

    again = ChannelOrderDto.model_validate(loads(dumps(read.model_dump(mode="json"))))

    assert again.notes == text
    assert again.extra_field == {"text": text}


@pytest.mark.parametrize("place", [{"note": "\ud83d"}, {"\udc00": 1}, {"list": [{"deep": "a\ud800"}]}])
def test_half_a_character_in_free_data_is_refused(place: dict[str, Any]) -> None:
    assert refusal(ChannelOrderDto, header(extra_field=place)).reason is Reason.FIELD_MALFORMED


@pytest.mark.parametrize("name", ["number", "notes", "remote_id", "language_code"])
def test_half_a_character_in_a_text_is_refused(name: str) -> None:
    error = refusal(ChannelOrderDto, header(**{name: "a\ud83d"}))

    assert (error.reason, error.field) == (Reason.FIELD_MALFORMED, f"ChannelOrderDto.{name}")


@pytest.mark.parametrize("value", [None, "", "  "])
def test_a_missing_email_is_told_from_a_malformed_one(value: Any) -> None:
    assert refusal(CustomerDto, customer(email=value)).reason is Reason.EMAIL_MISSING


@pytest.mark.parametrize("value", ["ayse", "ayse@", "@example.com", "a b@example.com", "a@b@example.com", 5, ["x"]])
def test_a_malformed_email_is_refused(value: Any) -> None:
    expected = Reason.EMAIL_MALFORMED if isinstance(value, str) else Reason.EMAIL_MISSING
    assert refusal(CustomerDto, customer(email=value)).reason is expected


@pytest.mark.parametrize("value", ["+905321234567", "0532 123 45 67", "(0212) 123-45-67", 905321234567])
def test_a_phone_number_is_kept_as_it_was_written(value: Any) -> None:
    assert AddressDto.model_validate(address(phone_number=value)).phone_number == str(value)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, Reason.PHONE_MISSING),
        (" ", Reason.PHONE_MISSING),
        ("12", Reason.PHONE_MALFORMED),
        ("call me", Reason.PHONE_MALFORMED),
        ("0532 123 45 67 ext 5", Reason.PHONE_MALFORMED),
        ("+90" + "5" * 40, Reason.PHONE_MALFORMED),
    ],
)
def test_a_phone_number_that_is_none_is_refused(value: Any, reason: Reason) -> None:
    assert refusal(AddressDto, address(phone_number=value)).reason is reason


def test_a_customer_needs_no_phone_number() -> None:
    assert CustomerDto.model_validate(customer(phone_number=None)).phone_number is None


def test_what_is_not_known_is_refused() -> None:
    error = refusal(CustomerDto, customer(nickname="x"))

    assert (error.reason, error.field) == (Reason.FIELD_MALFORMED, "CustomerDto.nickname")
