"""Nothing that prints a DTO, or says what is wrong with one, shows a person's data."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from order_integration.dto import (
    AddressDto,
    CancellationRequestDto,
    ChannelCreateOrderDto,
    ChannelUpdateOrderItemDto,
    CustomerDto,
    masked,
    record_error,
)
from tests.shelf import address, customer, item, order

MARKERS = st.text(alphabet="qwxzj", min_size=8, max_size=12).map(lambda text: f"zq{text}")
PHONE = "+905329876543"


def of_a_person(secret: str) -> dict[str, Any]:
    person = {
        "email": f"{secret}@example.com",
        "phone_number": PHONE,
        "first_name": f"{secret} first",
        "last_name": f"{secret} last",
        "extra_field": {"about": f"{secret} extra", secret: 1},
    }
    place = {name: f"{secret[:6]} {name}"[:20] for name in ("tax_no", "tax_office", "identity_number", "company_name")}
    place |= {"line": f"{secret} street", "title": f"{secret} home", "notes": f"{secret} notes"}
    header = {
        "extra_field": {"nested": [{"deep": secret}]},
        "notes": f"{secret} on order",
        "gift_box_note": f"with love, {secret}",
        "remote_addr": f"{secret}-ip",
    }
    content = order(
        "1", items=[item("1", extra_field={"engraving": secret}, attributes={"engraving": secret})], **header
    )
    content["dto"]["order"] |= {
        "customer": customer(**person),
        "shipping_address": address(**person, **place),
        "billing_address": address(**person, **place),
    }
    return dict(content["dto"])


def shown(dto: BaseModel) -> str:
    return f"{dto!r} {dto} {masked(dto)}"


@given(secret=MARKERS)
def test_an_order_shows_nobody(secret: str) -> None:
    read = ChannelCreateOrderDto.model_validate(of_a_person(secret))

    for dto in (read, read.order, read.order.customer, read.order.shipping_address, read.order_item[0]):
        assert secret[:6] not in shown(dto)
        assert PHONE not in shown(dto)
    assert f"{secret}@example.com" in str(read.model_dump())  # it is there, only not shown


@given(secret=MARKERS)
def test_other_dtos_show_nobody(secret: str) -> None:
    request = CancellationRequestDto(order_item="1", reason="R", remote_id="2", description=secret)
    update = ChannelUpdateOrderItemDto(remote_id="1", extra_field={"signed_by": secret})

    assert secret not in shown(request)
    assert secret not in shown(update)


@given(secret=MARKERS)
def test_what_is_masked_still_tells_what_is_empty(secret: str) -> None:
    read = CustomerDto.model_validate(customer(secret, phone_number=None, first_name=""))

    assert masked(read) == {
        "email": "***",
        "first_name": "",
        "last_name": "***",
        "channel_code": "***",
        "phone_number": None,
        "is_active": True,
        "extra_field": {},
    }


WRONG = [
    lambda s: {"email": f"{s} at example.com"},
    lambda s: {"email": [s]},
    lambda s: {"phone_number": f"{s} 12"},
    lambda s: {"phone_number": {s: s}},
    lambda s: {"first_name": s * 100},
    lambda s: {"last_name": {"name": s}},
    lambda s: {"extra_field": s},
    lambda s: {"is_active": s},
    lambda s: {"channel_code": s * 20},
    lambda s: {"email": f"{s}\ud800@example.com"},
]


@pytest.mark.parametrize("wrong", WRONG)
@given(secret=MARKERS)
def test_a_refused_customer_is_not_quoted(wrong: Any, secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        CustomerDto.model_validate(customer(**wrong(secret)))

    error = record_error(caught.value, order="1")

    said = f"{caught.value} {caught.value!r} {error} {error!r} {error.args} {error.sentence} {error.field} {error.ids}"
    assert secret not in said
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("field", ["line", "tax_no", "identity_number", "title", "notes", "company_name", "postcode"])
@given(secret=MARKERS)
def test_a_refused_address_is_not_quoted(field: str, secret: str) -> None:
    with pytest.raises(ValidationError) as caught:
        AddressDto.model_validate(address(**{field: secret * 100}))

    assert secret not in f"{caught.value} {caught.value!r} {record_error(caught.value)!r} {record_error(caught.value)}"


@given(secret=MARKERS)
def test_a_refused_order_is_not_quoted(secret: str) -> None:
    content = of_a_person(secret)
    content["order"] |= {
        "amount": f"{secret}",
        "created_at": secret,
        "currency": secret,
        "delivery_range": {"start": secret},
    }

    with pytest.raises(ValidationError) as caught:
        ChannelCreateOrderDto.model_validate(content)

    assert secret not in f"{caught.value} {caught.value!r} {record_error(caught.value)} {record_error(caught.value)!r}"
