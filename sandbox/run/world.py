"""Omnitron's world: who sells what there, who carries it, and why something is cancelled or comes back."""

import json
from typing import Any

from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.run import plan
from sandbox.run.state import Secrets

Json = dict[str, Any]

USER = "integration"
CATALOG = 1
MARKETPLACE = plan.MARKETPLACE.number
MEDUSA = plan.MEDUSA.number
SELLERS = (plan.MARKETPLACE, plan.MARKETPLACE_ASYNC)  # two accounts in one marketplace

REASONS = (
    (1, "Vazgeçtim", "cancel"),
    (2, "Stokta yok", "cancel"),
    (3, "Beden uymadı", "refund"),
    (4, "Ürün kusurlu", "refund"),
    (5, "İki kez sipariş", "cancel"),
    (6, "Teslimat gecikti", "cancel"),
    (7, "Yanlış ürün", "refund"),
    (8, "Siparişten çıkarıldı", "cancel"),
)
# The channels' codes for them; read backwards, too.
MARKETPLACE_REASONS = {
    "CHANGED_MIND": 1,
    "OUT_OF_STOCK": 2,
    "WRONG_SIZE": 3,
    "DAMAGED": 4,
    "ORDERED_TWICE": 5,
    "TOO_LATE": 6,
    "WRONG_ITEM": 7,
}
MEDUSA_REASONS = {"vazgectim": 1, "order_canceled": 2, "beden": 3, "kusurlu": 4, "order_edited": 8}
REASON_CODES = {
    **{seller.name: MARKETPLACE_REASONS for seller in SELLERS},
    plan.MEDUSA.name: MEDUSA_REASONS,
}


def world(secrets: Secrets) -> Json:
    """What Omnitron knows from the beginning: not the carrier and the product that bad orders name."""
    return {
        "users": [{"username": USER, "password": secrets.omnitron_password}],
        "catalogs": [{"id": CATALOG, "name": "default", "price_list": 1, "stock_list": 1}],
        "channels": [_channel(one) for one in (*SELLERS, plan.MEDUSA)],
        "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
        "cancellation_reasons": [
            {"id": pk, "subject": subject, "cancellation_type": kind} for pk, subject, kind in REASONS
        ],
        "products": [
            {"channel": seller.number, "remote_id": product.id, "sku": product.id, "name": product.title}
            for seller in SELLERS
            for product in catalogue()
        ],
    }


def medusa_products(variants: list[Json]) -> Json:
    """What Omnitron has to know besides, once Medusa has made the ids of its variants."""
    products = [{"channel": MEDUSA, "remote_id": one["id"], "sku": f"MDS-{one['sku']}"} for one in variants]
    return {"products": products}


def _channel(channel: plan.Channel) -> Json:
    """As a merchant fills its form in: the mapping is JSON as text."""
    conf = {"reason_mapping": json.dumps(REASON_CODES[channel.name])}
    return {"id": channel.number, "name": channel.name, "catalog": CATALOG, "conf": conf}
