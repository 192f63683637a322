"""What of a raw record may be shown: ids, codes, times and amounts, and nobody."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.flows.showing import shown
from sandbox.marketplace.generator import orders_between
from tests.channels.marketplace_kit import NOW
from tests.shelf import order, request

MEDUSA = Path(__file__).parents[1] / "channels/medusa"
NAMING = (
    "name",
    "surname",
    "email",
    "phone",
    "street",
    "province",
    "township",
    "postcode",
    "identityNo",
    "note",
    "clientIp",
)


def texts(value: Any, name: str = "") -> list[tuple[str, str]]:
    if isinstance(value, dict):
        return [pair for key, one in value.items() for pair in texts(one, key)]
    if isinstance(value, list):
        return [pair for one in value for pair in texts(one, name)]
    return [(name, str(value))]


def test_nobody_is_named_by_a_day_of_the_marketplace_and_its_ids_and_amounts_are_there() -> None:
    for row in orders_between(1, 12, NOW - timedelta(days=1), NOW):
        seen = shown(row.body)
        visible = json.dumps(seen, default=str, ensure_ascii=False)
        for name, text in texts(
            {key: row.body[key] for key in ("buyer", "deliverTo", "invoiceTo", "clientIp", "note")}
        ):
            assert (
                name not in NAMING or text in ("", "None") or text not in visible.replace(str(row.body["orderId"]), "")
            )
        assert seen["orderId"] == row.body["orderId"]
        assert seen["changedAtMs"] == row.body["changedAtMs"]
        assert seen["lines"] == [] or seen["lines"][0]["sku"] == row.body["lines"][0]["sku"]


@pytest.mark.parametrize("name", ["orders.json", "aftersales.json"])
def test_nobody_is_named_by_what_a_medusa_server_answers(name: str) -> None:
    for line in json.loads((MEDUSA / name).read_text("utf-8")):
        visible = dict(texts(shown(line)))
        assert not any("@" in text for text in visible.values())
        assert {visible.get(key, "***") for key in ("first_name", "last_name", "address_1", "phone", "email")} <= {
            "***",
            "None",
            "",
        }


@pytest.mark.parametrize("record", [order("1"), request("9", "1-1/1")])
def test_our_own_words_for_personal_fields_are_hidden_wherever_they_stand(record: Any) -> None:
    visible = str(shown(record))

    for text in ("Ayşe", "Yılmaz", "example.com", "5321234567", "Moda", "c-1", "kolu"):
        assert text not in visible


@pytest.mark.parametrize(
    ("record", "seen"),
    [
        ({"orderId": 7, "id": "a-1/2", "skus": ["A"]}, {"orderId": 7, "id": "a-1/2", "skus": ["***"]}),
        ({"nationalId": "11111111111", "customer": {"id": 5}}, {"nationalId": "***", "customer": {"id": "***"}}),
        ({"id": "ayse@example.com", "code": "Ayşe Yılmaz"}, {"id": "***", "code": "***"}),
        ({"tax_total": 3, "vatRate": "20", "taxNumber": 3}, {"tax_total": 3, "vatRate": "20", "taxNumber": "***"}),
        ({"created_at": "2026-01-31T10:00:00Z", "at": "at home"}, {"created_at": "2026-01-31T10:00:00Z", "at": "***"}),
        ({"ayse@example.com": {"id": 1}}, {"***": {"id": 1}}),
        ({"quantity": None, "gift": True, "isOpen": True}, {"quantity": None, "gift": "***", "isOpen": True}),
        ([{"id": 1}, "Ayşe"], [{"id": 1}, "***"]),
        ("Ayşe", "***"),
        (None, None),
    ],
)  # fmt: skip
def test_a_value_is_shown_only_where_its_name_and_its_shape_are_harmless(record: Any, seen: Any) -> None:
    assert shown(record) == seen
