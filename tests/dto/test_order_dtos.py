"""An order as a whole: what is missing, whether its money adds up, and what makes it another order."""

from copy import deepcopy
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from order_integration.dto import CancelOrderDto, ChannelCreateOrderDto
from order_integration.dto.refusals import record_error
from order_integration.errors import Reason, RecordError
from tests.shelf import item, order


def dto(**own: Any) -> dict[str, Any]:
    return deepcopy(order("1", **own)["dto"])


def refusal(content: Any) -> RecordError:
    with pytest.raises(ValidationError) as caught:
        ChannelCreateOrderDto.model_validate(content)
    return record_error(caught.value, order="1")


@pytest.mark.parametrize("content", [{}, {"order_item": [item("1")]}])
def test_an_order_without_a_header_misses_it(content: dict[str, Any]) -> None:
    assert refusal(content).reason is Reason.FIELD_MISSING


def test_an_order_without_items_is_refused_however_it_says_so() -> None:
    absent = dto()
    del absent["order_item"]

    assert refusal(absent).reason is Reason.ITEMS_EMPTY
    assert refusal(dto(items=[])).reason is Reason.ITEMS_EMPTY


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (("order", "customer", "email"), Reason.EMAIL_MISSING),
        (("order", "shipping_address", "email"), Reason.EMAIL_MISSING),
        (("order", "shipping_address", "phone_number"), Reason.PHONE_MISSING),
        (("order", "billing_address", "line"), Reason.FIELD_MISSING),
        (("order", "number"), Reason.FIELD_MISSING),
        (("order", "created_at"), Reason.FIELD_MISSING),
        (("order_item", 0, "product"), Reason.FIELD_MISSING),
    ],
)
def test_a_missing_field_is_named(path: tuple[Any, ...], reason: Reason) -> None:
    content = dto()
    inner = content
    for step in path[:-1]:
        inner = inner[step]
    del inner[path[-1]]

    error = refusal(content)

    assert error.reason is reason
    assert error.field.endswith(".".join(map(str, path)))
    assert error.ids == {"order": "1"}


@pytest.mark.parametrize("path", [("order", "number"), ("order", "remote_id"), ("order_item", 0, "remote_id")])
def test_an_empty_id_is_a_missing_one(path: tuple[Any, ...]) -> None:
    content = dto()
    inner = content
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = ""

    assert refusal(content).reason is Reason.FIELD_MISSING


def test_every_problem_is_in_the_sentence_and_the_first_is_the_reason() -> None:
    content = dto(number="n" * 129, created_at="2026-01-01T00:00:00")

    error = refusal(content)

    assert error.reason is Reason.TEXT_TOO_LONG
    assert "order.number" in error.sentence
    assert "order.created_at" in error.sentence


@pytest.mark.parametrize(
    ("currency", "amount", "sound"),
    [
        # 3 lines and 4 units of 10.00, and 5.00 for shipping
        ("TRY", "45.00", True),
        ("TRY", "45.03", True),
        ("TRY", "44.97", True),
        ("TRY", "45.04", False),
        ("TRY", "44.96", False),
        ("JPY", "48", True),
        ("JPY", "49", False),
        ("KWD", "45.003", True),
        ("KWD", "45.004", False),
    ],
)
def test_totals_may_be_off_by_one_minor_unit_a_line(currency: str, amount: str, *, sound: bool) -> None:
    units = [
        item("1", line, unit, price="10", price_currency=currency) for line, unit in [(1, 1), (2, 1), (3, 1), (3, 2)]
    ]
    content = dto(items=units, currency=currency, amount=amount, shipping_amount="5")

    if sound:
        assert ChannelCreateOrderDto.model_validate(content).order.amount == Decimal(amount)
    else:
        assert (refusal(content).reason, refusal(content).field) == (Reason.TOTALS_MISMATCH, "order.amount")


@pytest.mark.parametrize(("on_order", "on_item"), [("7.00", "0"), ("0", "7.00"), ("7.00", "7.00"), ("7.00", "3.00")])
def test_a_discount_counts_once_wherever_it_stands(on_order: str, on_item: str) -> None:
    content = dto(items=[item("1", discount_amount=on_item)], discount_amount=on_order, amount="53.00")
    assert ChannelCreateOrderDto.model_validate(content)

    assert refusal({**content, "order": {**content["order"], "amount": "46.00"}}).reason is Reason.TOTALS_MISMATCH


@pytest.mark.parametrize(("currency", "price"), [("TRY", "50.001"), ("JPY", "50.5"), ("KWD", "50.0001")])
def test_more_digits_than_the_currency_has_are_refused(currency: str, price: str) -> None:
    content = dto(items=[item("1", price=price, price_currency=currency)], currency=currency, shipping_amount="10")

    error = refusal(content)

    assert (error.reason, error.field) == (Reason.MONEY_MALFORMED, "order_item.price")


def test_zeros_behind_the_last_digit_are_no_digits() -> None:
    content = dto(items=[item("1", price="50.0000")], amount="60.000")

    assert ChannelCreateOrderDto.model_validate(content).order.amount == 60


def test_items_in_another_currency_are_refused() -> None:
    error = refusal(dto(items=[item("1", price_currency="EUR")]))

    assert (error.reason, error.field) == (Reason.FIELD_MALFORMED, "order_item.price_currency")


def test_a_unit_knows_its_line() -> None:
    read = ChannelCreateOrderDto.model_validate(dto(items=[item("1", 7, 2)]))

    assert read.order_item[0].line == "1-7"


def fingerprint(content: dict[str, Any]) -> str:
    return ChannelCreateOrderDto.model_validate(content).fingerprint()


def with_units(*units: dict[str, Any], amount: str, **own: Any) -> dict[str, Any]:
    return dto(items=list(units), amount=amount, **own)


@pytest.mark.parametrize(
    "other",
    [
        dto(number="N2"),
        dto(amount="60.01"),
        dto(currency="EUR", items=[item("1", price_currency="EUR")]),
        dto(items=[item("1", product="SKU-2")]),
        dto(items=[item("1", unit=2)]),
        dto(items=[item("1", price="50.01")]),
        with_units(item("1"), item("1", unit=2, price="0"), amount="60.00"),
        with_units(item("1", price="25"), item("1", price="25"), amount="60.00"),
    ],
)
def test_the_fingerprint_moves_with_what_may_not_change(other: dict[str, Any]) -> None:
    assert fingerprint(other) != fingerprint(dto())


@pytest.mark.parametrize(
    "same",
    [
        dto(status="500"),
        dto(minutes=30),
        dto(buyer="fatma"),
        dto(notes="ring twice", extra_field={"a": 1}),
        dto(modified_at="2026-03-01T00:00:00Z", tracking_number="T1", cargo_company="aras"),
        dto(remote_id="another"),
        dto(amount="60"),
        dto(amount="60.0000", currency="try"),
        dto(items=[item("1", price="50.000", status="500", tracking_number="T")]),
        dto(discount_amount="0.00", shipping_tax_rate="8"),
    ],
)
def test_the_fingerprint_stays_with_everything_else(same: dict[str, Any]) -> None:
    assert fingerprint(same) == fingerprint(dto())


def test_the_fingerprint_knows_no_order_of_items() -> None:
    units = [item("1", price="20"), item("1", 2, price="30")]

    assert fingerprint(dto(items=units)) == fingerprint(dto(items=units[::-1]))


IDS = (
    st.text(alphabet="ab|\n/,", min_size=1, max_size=4).map(str.strip).filter(bool)
)  # blanks at the ends are taken off


@given(one=st.tuples(IDS, IDS, IDS), two=st.tuples(IDS, IDS, IDS))
def test_no_two_contents_share_a_fingerprint_whatever_their_ids_are_made_of(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    first, second = (
        fingerprint(dto(number=number, items=[{**item("1"), "remote_id": remote_id, "product": product}]))
        for number, remote_id, product in (one, two)
    )

    assert (first == second) == (one == two)


def test_a_bar_in_an_id_is_no_border_of_the_fingerprint() -> None:
    one = dto(items=[{**item("1"), "remote_id": "a|b", "product": "c"}])
    two = dto(items=[{**item("1"), "remote_id": "a", "product": "b|c"}])

    assert fingerprint(one) != fingerprint(two)


def test_a_cancel_gives_a_reason_for_each_item() -> None:
    with pytest.raises(ValidationError) as caught:
        CancelOrderDto.model_validate({"order": "1", "cancel_items": ["a", "a", "b"], "reasons": {"a": "x"}})

    error = record_error(caught.value)
    assert (error.reason, error.field) == (Reason.FIELD_MISSING, "reasons")
    assert CancelOrderDto(order="1", cancel_items=["a", "a"], reasons={"a": "x"}).cancel_items == ["a", "a"]
