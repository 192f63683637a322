"""What is wrong with some orders on purpose, and what is merely odd with some others.

A kind turns an ordinary order into the rows that the list shows in its place. The name of a bad kind is the reason for
which a careful reader puts the order aside.
"""

import copy
import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from sandbox.marketplace import buyers
from sandbox.marketplace.catalogue import UNKNOWN_CARRIER, UNKNOWN_PRODUCT
from sandbox.marketplace.order import ISTANBUL, add_up, moment

Json = dict[str, Any]


@dataclass
class Row:
    """A row of the list. `reason` is why it can't arrive; `later` puts it behind all others of the answer."""

    body: Json
    reason: str | None = None
    later: bool = False


class Slot(Protocol):
    """A piece of time in which somebody buys."""

    rng: random.Random

    def order(self, nth: int = 0) -> Json:
        """The slot's nth order, all by one buyer, each a little later than the one before."""


Edit = Callable[[Json, random.Random], None]


def _unknown_product(body: Json, _: random.Random) -> None:
    body["lines"][0]["sku"] = UNKNOWN_PRODUCT


def _unknown_carrier(body: Json, _: random.Random) -> None:
    code, name = UNKNOWN_CARRIER
    body["carrier"] = {"code": code, "name": name}


def _in_addresses(**fields: str | None) -> Edit:
    def edit(body: Json, _: random.Random) -> None:
        body["deliverTo"].update(fields)
        body["invoiceTo"].update(fields)

    return edit


def _buyer(**fields: str | None) -> Edit:
    def edit(body: Json, _: random.Random) -> None:
        body["buyer"].update(fields)
        if "phone" in fields:
            body["deliverTo"]["phone"] = body["invoiceTo"]["phone"] = fields["phone"]

    return edit


def _no_lines(body: Json, _: random.Random) -> None:
    body["lines"] = []
    add_up(body)


def _negative_price(body: Json, _: random.Random) -> None:
    line = body["lines"][0]
    line["unitPrice"], line["discount"] = -line["unitPrice"], Decimal("0.00")
    add_up(body)


def _malformed_price(body: Json, _: random.Random) -> None:
    body["lines"][0]["unitPrice"] = "12,5O"


def _wrong_total(body: Json, _: random.Random) -> None:
    body["totals"]["payable"] = str(Decimal(body["totals"]["payable"]) + 10)


def _naive_date(body: Json, _: random.Random) -> None:
    body["placedAt"] = moment(body["changedAtMs"]).astimezone(ISTANBUL).strftime("%Y-%m-%dT%H:%M:%S")


def _malformed_date(body: Json, _: random.Random) -> None:
    body["placedAt"] = moment(body["changedAtMs"]).strftime("%Y-02-31T25:61:00+03:00")


def _long_number(body: Json, _: random.Random) -> None:
    body["orderNumber"] = f"{body['orderNumber']}-".ljust(129, "X")


def _street_missing(body: Json, _: random.Random) -> None:
    body["deliverTo"] = {name: value for name, value in body["deliverTo"].items() if name != "street"}


def _no_address(body: Json, _: random.Random) -> None:
    body["deliverTo"] = [body["deliverTo"]["street"]]


BAD_EDITS: dict[str, Edit] = {
    "product_unknown": _unknown_product,
    "carrier_unknown": _unknown_carrier,
    "country_unknown": _in_addresses(countryCode="ZZ"),
    "city_unknown": _in_addresses(province="Atlantis"),
    "township_unknown": _in_addresses(township="Olmayanköy"),
    "email_missing": _buyer(email=None),
    "email_malformed": _buyer(email="kime.ait(at)example.com"),
    "phone_missing": _buyer(phone=None),
    "phone_malformed": _buyer(phone="555 12"),
    "items_empty": _no_lines,
    "money_negative": _negative_price,
    "money_malformed": _malformed_price,
    "totals_mismatch": _wrong_total,
    "date_naive": _naive_date,
    "date_malformed": _malformed_date,
    "text_too_long": _long_number,
}


def _conflict(slot: Slot) -> list[Row]:
    """One id, one moment, two different orders: nobody can say which is right."""
    first = slot.order()
    second = copy.deepcopy(first)
    second["orderNumber"] += "-B"
    second["lines"][0]["quantity"] += 1
    add_up(second)
    return [Row(first, "conflict"), Row(second, "conflict")]


def _number_taken(slot: Slot) -> list[Row]:
    """The buyer's next order gets the number of the one before; the earlier is right."""
    first, second = slot.order(), slot.order(1)
    second["orderNumber"] = first["orderNumber"]
    return [Row(first), Row(second, "number_taken")]


BAD_PAIRS: dict[str, Callable[[Slot], list[Row]]] = {"conflict": _conflict, "number_taken": _number_taken}
BAD = (*BAD_EDITS, *BAD_PAIRS)
# Not among the 18 of a day: they come where all kinds are asked for.
MORE_BAD_EDITS: dict[str, Edit] = {"field_missing": _street_missing, "record_malformed": _no_address}
ALL_BAD = (*BAD, *MORE_BAD_EDITS)


def _emoji(body: Json, _: random.Random) -> None:
    body["deliverTo"]["name"] = body["buyer"]["name"] = f"{body['buyer']['name']} 🌷"
    body["note"] = "Teşekkürler 👩‍👩‍👧‍👦🎁"


def _combining(body: Json, _: random.Random) -> None:
    """ş, ğ and ö written as a letter and a mark of its own."""
    body["buyer"].update(name="Gu\u0308ls\u0327ah", surname="Dog\u0306ano\u0308z")
    body["deliverTo"].update(name="Gu\u0308ls\u0327ah", surname="Dog\u0306ano\u0308z")


def _dotless(body: Json, _: random.Random) -> None:
    body["buyer"].update(name="IŞIL İNCİ", surname="ILGIN")
    for address in (body["deliverTo"], body["invoiceTo"]):
        address.update(name="IŞIL İNCİ", surname="ILGIN", province="DİYARBAKIR", township="BAĞLAR", neighbourhood=None)


def _long_texts(body: Json, _: random.Random) -> None:
    body["gift"] = {"wrap": True, "note": "Nice yıllara! " * 20}
    body["note"] = "Kapıdaki zil çalışmıyor, lütfen arayın. " * 12


def _kurus_off(body: Json, _: random.Random) -> None:
    """Somebody else rounded the first line."""
    body["lines"][0]["total"] += Decimal("0.01")
    body["totals"]["payable"] = str(Decimal(body["totals"]["payable"]) + Decimal("0.01"))


def _other_invoice_address(body: Json, rng: random.Random) -> None:
    body["invoiceTo"] = buyers.address(rng, body["buyer"])


ODD_EDITS: dict[str, Edit] = {
    "emoji": _emoji,
    "combining_characters": _combining,
    "dotless_i": _dotless,
    "long_free_text": _long_texts,
    "off_by_one_unit": _kurus_off,
    "other_invoice_address": _other_invoice_address,
}


def _twice_in_a_page(slot: Slot) -> list[Row]:
    return [Row(slot.order()), Row(slot.order())]


def _twice_in_two_pages(slot: Slot) -> list[Row]:
    return [Row(slot.order()), Row(slot.order(), later=True)]


def _changed_phone(slot: Slot) -> list[Row]:
    """The buyer's next order comes with another phone number."""
    first, second = slot.order(), slot.order(1)
    _buyer(phone=f"{second['buyer']['phone'][:3]}507{second['buyer']['phone'][6:]}")(second, slot.rng)
    return [Row(first), Row(second)]


ODD_PAIRS: dict[str, Callable[[Slot], list[Row]]] = {
    "twice_in_a_page": _twice_in_a_page,
    "twice_in_two_pages": _twice_in_two_pages,
    "changed_phone": _changed_phone,
}
ODD = (*ODD_EDITS, *ODD_PAIRS)
PAIRS = (*BAD_PAIRS, "changed_phone")  # two rows that differ: what is right depends on who sees both


def rows(slot: Slot, kind: str | None) -> list[Row]:
    """What the list shows for the slot."""
    if kind is None:
        return [Row(slot.order())]
    if pair := BAD_PAIRS.get(kind) or ODD_PAIRS.get(kind):
        return pair(slot)
    body = slot.order()
    bad = BAD_EDITS.get(kind) or MORE_BAD_EDITS.get(kind)
    (bad or ODD_EDITS[kind])(body, slot.rng)
    return [Row(body, kind if bad else None)]
