"""Omnitron's world: who sells what there, and who carries it."""

from typing import Any

from sandbox.marketplace.catalogue import CARRIERS, catalogue
from sandbox.run.state import Secrets

Json = dict[str, Any]

USER = "integration"
CATALOG = 1
MARKETPLACE = 1
MEDUSA = 2


def world(secrets: Secrets) -> Json:
    """What Omnitron knows from the beginning: not the carrier and the product that bad orders name."""
    return {
        "users": [{"username": USER, "password": secrets.omnitron_password}],
        "catalogs": [{"id": CATALOG, "name": "default", "price_list": 1, "stock_list": 1}],
        "channels": [
            {"id": MARKETPLACE, "name": "marketplace", "catalog": CATALOG},
            {"id": MEDUSA, "name": "medusa", "catalog": CATALOG},
        ],
        "cargos": [{"erp_code": code, "name": name, "shipping_company": code} for code, name in CARRIERS],
        "cancellation_reasons": [
            {"id": 1, "subject": "Vazgeçtim", "cancellation_type": "cancel"},
            {"id": 2, "subject": "Stokta yok", "cancellation_type": "cancel"},
            {"id": 3, "subject": "Beden uymadı", "cancellation_type": "refund"},
            {"id": 4, "subject": "Ürün kusurlu", "cancellation_type": "refund"},
        ],
        "products": [
            {"channel": MARKETPLACE, "remote_id": product.id, "sku": product.id, "name": product.title}
            for product in catalogue()
        ],
    }


def medusa_products(variants: list[Json]) -> Json:
    """What Omnitron has to know besides, once Medusa has made the ids of its variants."""
    products = [{"channel": MEDUSA, "remote_id": one["id"], "sku": f"MDS-{one['sku']}"} for one in variants]
    return {"products": products}
