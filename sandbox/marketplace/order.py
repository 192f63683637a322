"""One order as the marketplace's API shows it, before anything odd happens to it."""

import random
from datetime import UTC, datetime, timedelta, timezone
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from sandbox.marketplace import buyers
from sandbox.marketplace.catalogue import CARRIERS, Product, catalogue

Json = dict[str, Any]

KURUS = Decimal("0.01")
ISTANBUL = timezone(timedelta(hours=3))
FREE_SHIPPING_FROM = Decimal(600)
SHIPPING = Decimal("44.90")
QUANTITIES = (1, 1, 1, 1, 1, 2, 2, 3, 4, 7)
NOTES = ("", "", "", "Zili çalmayın, bebek uyuyor.", "Kapıcıya bırakabilirsiniz.", "Öğleden sonra evdeyim.")
GIFT_NOTES = ("İyi ki doğdun!", "Sevgiyle…", "Nice mutlu yıllara, canım kardeşim.")
UNIT_STATES = ("shippedQuantity", "deliveredQuantity", "cancelledQuantity", "returnedQuantity")


def moment(ms: int) -> datetime:
    """Milliseconds since 1970 as a time; exact, unlike `fromtimestamp`."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)


def millis(when: datetime) -> int:
    """A zoned time as milliseconds since 1970, rounded down."""
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def new_order(rng: random.Random, *, seed: int, order_id: int, number: str, buyer: int, at_ms: int) -> Json:
    """What somebody buys at that moment; the sums hold to the last kuruş."""
    who, home = buyers.buyer(seed, buyer), buyers.home(seed, buyer)
    carrier, carrier_name = rng.choice(CARRIERS)
    # A payment takes a while to be confirmed, equally long for one buyer's orders: a later one was placed later.
    placed = moment(at_ms).astimezone(ISTANBUL).replace(microsecond=0) - timedelta(seconds=1 + buyer % 90)
    gift = rng.random() < 0.12
    body = {
        "orderId": order_id,
        "orderNumber": number,
        "state": "NEW",
        "placedAt": placed.isoformat(),
        "changedAtMs": at_ms,
        "buyer": who,
        "deliverTo": home,
        "invoiceTo": _invoice_address(rng, home),
        "currency": "TRY",
        "totals": {},
        "carrier": {"code": carrier, "name": carrier_name},
        "parcelCode": f"{order_id:015d}",
        "trackingNo": None,
        "deliverBy": {
            "from": (placed + timedelta(days=1)).isoformat(),
            "to": (placed + timedelta(days=rng.randint(2, 5))).isoformat(),
        },
        "speed": rng.choice(("standard", "standard", "same_day")),
        "gift": {"wrap": gift, "note": rng.choice(GIFT_NOTES) if gift else None},
        "note": rng.choice(NOTES),
        "language": "tr",
        "clientIp": f"203.0.113.{rng.randint(1, 254)}",  # reserved for examples
        "lines": _lines(rng, order_id),
    }
    add_up(body)
    return body


def _invoice_address(rng: random.Random, home: Json) -> Json:
    """The same place, made out to a company now and then."""
    company = buyers.company(rng, home["township"]) if rng.random() < 0.1 else None
    return {**home, "company": company, "identityNo": None if company else home["identityNo"]}


def _lines(rng: random.Random, order_id: int) -> list[Json]:
    chosen = rng.sample(catalogue(), rng.choice((1, 1, 1, 2, 2, 3)))
    return [_line(rng, f"{order_id}-{place}", product) for place, product in enumerate(chosen, start=1)]


def _line(rng: random.Random, line_id: str, product: Product) -> Json:
    quantity = rng.choice(QUANTITIES)
    percent = rng.choice((0, 0, 0, 5, 10, 17))
    discount = (product.price * quantity * percent / 100).quantize(KURUS, ROUND_HALF_UP)
    return {
        "lineId": line_id,
        "sku": product.id,
        "barcode": product.barcode,
        "title": product.title,
        "quantity": quantity,
        "unitPrice": product.price,
        "listPrice": product.price + rng.choice((Decimal(0), Decimal(0), Decimal("50.00"))),
        "discount": discount,
        "total": Decimal(0),
        "vatRate": product.vat_rate,
        "state": "NEW",
        **dict.fromkeys(UNIT_STATES, 0),
    }


def add_up(body: Json) -> None:
    """Writes the sums: a line's total, and the order's. `payable` is a text, as if from another system."""
    lines: list[Json] = body["lines"]
    for line in lines:
        line["total"] = line["unitPrice"] * line["quantity"] - line["discount"]
    goods = sum((line["unitPrice"] * line["quantity"] for line in lines), Decimal("0.00"))
    discount = sum((line["discount"] for line in lines), Decimal("0.00"))
    shipping = Decimal("0.00") if goods >= FREE_SHIPPING_FROM else SHIPPING
    body["totals"] = {
        "goods": goods,
        "discount": discount,
        "shipping": shipping,
        "shippingVatRate": 20,
        "payable": str(goods - discount + shipping),
    }
