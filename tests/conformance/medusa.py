"""A real Medusa server as the conformance suite plays with it: shoppers, the shop and its warehouse, over HTTP."""

import json
import os
from collections import Counter
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from itertools import count
from typing import Any

from order_integration.channels.commands import ChannelConnection, Connector
from order_integration.channels.medusa import CONNECTOR
from order_integration.conformance.bench import Bench, NotCovered, Placed, channel_of
from order_integration.dto import CancellationType
from sandbox.medusa import aftersales, catalogue
from sandbox.medusa.client import Api, basic
from sandbox.medusa.orders import MARK
from sandbox.medusa.shoppers import shopper
from tests.real_medusa import BEYOND

KURUS = Decimal("0.01")
GUEST = 1  # a shopper without an account


class MedusaBench(Bench):
    """`CONFORMANCE_MEDUSA` says where the stand is, as it said itself when it was up."""

    def __init__(self) -> None:
        self.said = json.loads(os.environ["CONFORMANCE_MEDUSA"])
        self.url, self.location = self.said["base_url"], self.said["location_id"]
        self.admin = Api(self.url, basic(self.said["api_key"]))
        self.store = Api(self.url, {"x-publishable-api-key": self.said["publishable_key"]})
        self.shop = catalogue.seed(self.admin)
        self.sales_channel = self.admin.get("/admin/sales-channels")["sales_channels"][0]["id"]
        self.numbers = count(BEYOND + self.said["orders"])
        self.cancelled: Counter[str] = Counter()

    def connector(self, **own: Any) -> Connector:
        settings = {"number_prefix": "MD-", "default_carrier": "aras"}
        channel = channel_of("medusa", **{"settings": settings, **own})
        return CONNECTOR(channel, ChannelConnection(self.url, password=self.said["api_key"]))

    def place(self, units: int) -> Placed:
        """The shop enters an order that came by phone: half the time that a cart takes."""
        number = next(self.numbers)
        promotion = (None, *catalogue.PROMOTIONS)[number % (1 + len(catalogue.PROMOTIONS))]
        (carrier, price), buyer = catalogue.SHIPPING_OPTIONS[0], shopper(GUEST)
        wanted = {
            "region_id": self.shop.region_id,
            "sales_channel_id": self.sales_channel,
            "email": buyer.email,
            "items": [{"variant_id": self.shop.variants[number % len(self.shop.variants)]["id"], "quantity": units}],
            "shipping_methods": [
                {"shipping_option_id": self.shop.shipping_option_ids[0], "name": carrier, "amount": price}
            ],
            "shipping_address": buyer.home,
            "billing_address": buyer.home,
            "promo_codes": [promotion] if promotion else [],
            "metadata": {MARK: number},
        }
        draft = self.admin.post("/admin/draft-orders", wanted)["draft_order"]["id"]
        self.admin.post(f"/admin/draft-orders/{draft}/convert-to-order")
        order = self.admin.get(f"/admin/orders/{draft}", fields="id,created_at,total")["order"]
        total = Decimal(str(order["total"])).quantize(KURUS, ROUND_HALF_UP)
        return Placed(order["id"], datetime.fromisoformat(order["created_at"]), total)

    def change(self, key: str) -> None:
        self.admin.post(f"/admin/orders/{key}", {"metadata": {"note": "ring twice"}})

    def state(self, key: str) -> object:
        returns = self.admin.get("/admin/returns", order_id=key, fields="id,status,updated_at,*items")["returns"]
        return aftersales.order(self.admin, key), returns

    def shipped(self, key: str) -> set[str]:
        gone = [one for one in aftersales.order(self.admin, key)["fulfillments"] if one["shipped_at"]]
        lines: Counter[str] = Counter()
        for item in (item for parcel in gone for item in parcel["items"]):
            lines[item["line_item_id"]] += item["quantity"]
        return {f"{line}/{number}" for line, units in lines.items() for number in range(1, units + 1)}

    def cancel(self, key: str, items: list[str]) -> None:
        line = self._line(key)
        self.cancelled[key] += len(items)
        placed = max(int(item.rpartition("/")[2]) for item in items) + self.cancelled[key] - len(items)
        aftersales.take_back(self.admin, key, line, placed - self.cancelled[key])

    def news(self, key: str, item: str) -> None:
        self._sent(key, 1)

    def ask(self, key: str, items: list[str], kind: CancellationType) -> None:
        if kind is CancellationType.CANCEL:
            raise NotCovered("ask cancel: Medusa's shoppers can't, they ask the shop")
        units = max(int(item.rpartition("/")[2]) for item in items)
        self._sent(key, units)
        aftersales.open_return(
            self.store,
            key,
            {self._line(key): len(items)},
            reason_id=self.said["return_reasons"][0]["id"],
            option_id=self.said["return_option_id"],
            location_id=self.location,
        )

    def close(self) -> None:
        for one in (self.admin, self.store):
            one.close()

    def _line(self, key: str) -> str:
        return str(aftersales.order(self.admin, key)["items"][0]["id"])

    def _sent(self, key: str, units: int) -> None:
        parcel = aftersales.pack(self.admin, key, {self._line(key): units}, self.location)
        aftersales.ship(self.admin, key, parcel, "WH-1")
