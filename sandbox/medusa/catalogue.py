"""What the shop sells, where and how: a Turkish shop in TRY, made over the admin API, each thing only once.

The figures are chosen to be awkward: prices with odd pennies, three tax rates, a percentage and a lump-sum promotion.
Medusa keeps what comes of them unrounded.
"""

from dataclasses import dataclass

from sandbox.medusa.client import Api, Json

CURRENCY = "try"
COUNTRY = "tr"
PLENTY = 1_000_000
PROMOTIONS = ("BAHAR", "HOSGELDIN")


@dataclass(frozen=True)
class Product:
    title: str
    handle: str
    tax: str
    variants: tuple[tuple[str, str, float], ...]  # option value, SKU, price


PRODUCTS = (
    Product("Pamuklu Tişört", "tisort", "KDV10", (("S", "TS-S", 149.99), ("M", "TS-M", 149.99), ("L", "TS-L", 159.95))),
    Product("Keten Gömlek", "gomlek", "KDV10", (("M", "GM-M", 433.33), ("L", "GM-L", 433.33))),
    Product("Deri Cüzdan", "cuzdan", "KDV20", (("Siyah", "CZ-S", 617.17), ("Kahve", "CZ-K", 617.17))),
    Product("Çelik Termos", "termos", "KDV20", (("500 ml", "TR-5", 389.9), ("750 ml", "TR-7", 459.49))),
    Product("Türk Kahvesi", "kahve", "KDV1", (("100 g", "KH-1", 87.35), ("250 g", "KH-2", 206.05))),
    Product("Zeytinyağlı Sabun", "sabun", "KDV20", (("Tekli", "SB-1", 33.33), ("Üçlü", "SB-3", 94.99))),
    Product("Ajanda", "ajanda", "KDV20", (("Çizgili", "AJ-C", 119.07),)),
    Product("Kaşkol İpek", "kaskol", "KDV10", (("Mavi", "KS-M", 274.61), ("Kırmızı", "KS-K", 274.61))),
)
SHIPPING_OPTIONS = (("Yurtiçi Kargo", 49.9), ("Aras Kargo Ekspres", 87.77))
RETURN_REASONS = (("beden", "Beden uymadı"), ("kusurlu", "Ürün kusurlu"), ("vazgectim", "Vazgeçtim"))


@dataclass(frozen=True)
class Shop:
    """What somebody who places an order must know."""

    region_id: str
    publishable_key: str
    shipping_option_ids: list[str]
    variants: list[Json]  # {id, sku}
    location_id: str
    return_option_id: str
    return_reasons: list[Json]  # {id, value}


def seed(admin: Api) -> Shop:
    """Everything a shop needs before its first order."""
    channel = admin.get("/admin/sales-channels")["sales_channels"][0]
    store = admin.get("/admin/stores")["stores"][0]
    admin.post(
        f"/admin/stores/{store['id']}",
        {
            "name": "Deneme Mağazası",
            "supported_currencies": [{"currency_code": CURRENCY, "is_default": True}],
            "default_sales_channel_id": channel["id"],
        },
    )
    region = admin.ensure(
        "/admin/regions",
        "regions",
        "name",
        {
            "name": "Türkiye",
            "currency_code": CURRENCY,
            "countries": [COUNTRY],
            "payment_providers": ["pp_system_default"],
        },
    )
    zone, location = _delivery(admin, channel["id"])
    profile = _shipping_profile(admin)
    options = _shipping_options(admin, zone, profile)
    products = [_product(admin, product, channel["id"], profile) for product in PRODUCTS]
    _taxes(admin, products)
    _stock(admin, location)
    _promotions(admin)
    reasons = [
        admin.ensure("/admin/return-reasons", "return_reasons", "value", {"value": value, "label": label})
        for value, label in RETURN_REASONS
    ]
    variants = sorted(
        ({"id": variant["id"], "sku": variant["sku"]} for product in products for variant in product["variants"]),
        key=lambda variant: variant["sku"],
    )
    return Shop(
        region["id"],
        _publishable_key(admin, channel["id"]),
        options[:-1],
        variants,
        location,
        options[-1],
        [{"id": reason["id"], "value": reason["value"]} for reason in reasons],
    )


def prices_include_tax(admin: Api, inclusive: bool) -> None:
    """What the prices mean for the carts to come; a cart keeps what it was opened with."""
    preference = {"attribute": "currency_code", "value": CURRENCY}
    found = admin.ensure("/admin/price-preferences", "price_preferences", "value", preference)
    admin.post(f"/admin/price-preferences/{found['id']}", {"is_tax_inclusive": inclusive})


def _delivery(admin: Api, channel_id: str) -> tuple[str, str]:
    """A warehouse that ships to all of Turkey: the ids of its service zone and its own."""
    name = {"name": "Ana Depo"}
    address = {
        "address": {"address_1": "Depo Cad. No: 1", "city": "Tuzla", "province": "İstanbul", "country_code": "tr"}
    }
    location = admin.ensure("/admin/stock-locations", "stock_locations", "name", {**name, **address})
    path = f"/admin/stock-locations/{location['id']}"
    admin.post(f"{path}/fulfillment-providers", {"add": ["manual_manual"]})
    admin.post(f"{path}/sales-channels", {"add": [channel_id]})
    sets = _fulfillment_sets(admin, path)
    if not sets:
        admin.post(f"{path}/fulfillment-sets", {"name": "Kargo", "type": "shipping"})
        sets = _fulfillment_sets(admin, path)
    zones = sets[0]["service_zones"]
    if not zones:
        zone = {"name": "Türkiye", "geo_zones": [{"type": "country", "country_code": COUNTRY}]}
        admin.post(f"/admin/fulfillment-sets/{sets[0]['id']}/service-zones", zone)
        zones = _fulfillment_sets(admin, path)[0]["service_zones"]
    return zones[0]["id"], location["id"]


def _fulfillment_sets(admin: Api, path: str) -> list[Json]:
    answer = admin.get(path, fields="*fulfillment_sets,*fulfillment_sets.service_zones")
    return list(answer["stock_location"].get("fulfillment_sets") or [])


def _shipping_profile(admin: Api) -> str:
    found = admin.get("/admin/shipping-profiles")["shipping_profiles"]
    if found:
        return str(found[0]["id"])
    return str(
        admin.post("/admin/shipping-profiles", {"name": "Varsayılan", "type": "default"})["shipping_profile"]["id"]
    )


def _shipping_options(admin: Api, zone: str, profile: str) -> list[str]:
    """The ids of the carriers a shopper can choose, and of the way back as the last one."""
    wanted = [(name, price, "false") for name, price in SHIPPING_OPTIONS] + [("İade Kargo", 0, "true")]
    ids = []
    for name, price, is_return in wanted:
        option = {
            "name": name,
            "service_zone_id": zone,
            "shipping_profile_id": profile,
            "provider_id": "manual_manual",
            "price_type": "flat",
            "type": {"label": name, "description": name, "code": "iade" if is_return == "true" else "standart"},
            "prices": [{"currency_code": CURRENCY, "amount": price}],
            "rules": [
                {"attribute": "is_return", "value": is_return, "operator": "eq"},
                {"attribute": "enabled_in_store", "value": "true", "operator": "eq"},
            ],
        }
        ids.append(admin.ensure("/admin/shipping-options", "shipping_options", "name", option)["id"])
    return ids


def _product(admin: Api, product: Product, channel_id: str, profile: str) -> Json:
    values = [value for value, _, _ in product.variants]
    body = {
        "title": product.title,
        "handle": product.handle,
        "status": "published",
        "shipping_profile_id": profile,
        "sales_channels": [{"id": channel_id}],
        "options": [{"title": "Seçenek", "values": values}],
        "variants": [
            {
                "title": value,
                "sku": sku,
                "options": {"Seçenek": value},
                "manage_inventory": True,
                "prices": [{"currency_code": CURRENCY, "amount": price}],
            }
            for value, sku, price in product.variants
        ],
    }
    return admin.ensure("/admin/products", "products", "handle", body)


def _taxes(admin: Api, products: list[Json]) -> None:
    default = {"name": "KDV %20", "code": "KDV20", "rate": 20}
    region = {"country_code": COUNTRY, "provider_id": "tp_system", "default_tax_rate": default}
    tax_region = admin.ensure("/admin/tax-regions", "tax_regions", "country_code", region)
    ids = {product["handle"]: product["id"] for product in products}
    for code, rate in (("KDV10", 10), ("KDV1", 1)):
        rules = [{"reference": "product", "reference_id": ids[one.handle]} for one in PRODUCTS if one.tax == code]
        admin.ensure(
            "/admin/tax-rates",
            "tax_rates",
            "code",
            {"tax_region_id": tax_region["id"], "name": f"KDV %{rate}", "code": code, "rate": rate, "rules": rules},
        )


def _stock(admin: Api, location: str) -> None:
    for item in admin.get("/admin/inventory-items", limit=1000, fields="id,*location_levels")["inventory_items"]:
        if not item["location_levels"]:
            level = {"location_id": location, "stocked_quantity": PLENTY}
            admin.post(f"/admin/inventory-items/{item['id']}/location-levels", level)


def _promotions(admin: Api) -> None:
    """12.5 % off the items, and 25 TRY off that are spread over them."""
    percentage = {"type": "percentage", "value": 12.5}
    lump_sum = {"type": "fixed", "value": 25, "currency_code": CURRENCY}
    for code, method in zip(PROMOTIONS, (percentage, lump_sum), strict=True):
        spread = {**method, "target_type": "items", "allocation": "across"}
        body = {"code": code, "type": "standard", "status": "active", "application_method": spread}
        admin.ensure("/admin/promotions", "promotions", "code", body)


def _publishable_key(admin: Api, channel_id: str) -> str:
    body = {"title": "Vitrin", "type": "publishable"}
    key = admin.ensure("/admin/api-keys", "api_keys", "title", body)
    admin.post(f"/admin/api-keys/{key['id']}/sales-channels", {"add": [channel_id]})
    return str(key["token"])
