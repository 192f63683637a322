"""A client of the stand-in Omnitron, and the world that its tests start from."""

from typing import Any

import httpx

WORLD: dict[str, Any] = {
    "users": [{"username": "integration", "password": "secret"}],
    "catalogs": [{"id": 1, "name": "default", "price_list": 1, "stock_list": 1}],
    "channels": [
        {"id": 1, "name": "marketplace", "catalog": 1, "conf": {"reason_mapping": {"R": 1}}},
        {"id": 2, "name": "other", "catalog": 1},
    ],
    "cargos": [{"erp_code": "yurtici", "name": "Yurtiçi Kargo", "shipping_company": "yurtici"}],
    "cancellation_reasons": [{"id": 1, "subject": "Vazgeçtim", "cancellation_type": "cancel"}],
    "retail_stores": [{"erp_code": "S1", "name": "Kadıköy", "city": "İstanbul"}],
    "mappings": [{"level": "city", "channel": 1, "code": "Stamboul", "name": "İstanbul"}],
    "products": [
        {"channel": 1, "remote_id": "SKU-1", "sku": "SKU-1"},
        {"channel": 1, "remote_id": "SKU-2", "sku": "SKU-2"},
    ],
}


class Omnitron(httpx.Client):
    """A client that is logged in, with short ways to what a test takes for granted."""

    channel = "/api/v1/channel/1"

    def log_in(self) -> None:
        answer = self.post("/api/v1/auth/login/", json={"username": "integration", "password": "secret"})
        self.headers["Authorization"] = f"Token {answer.json()['key']}"

    def rows(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.get(f"{self.channel}/{path}/", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()["results"]

    def add(self, path: str, **body: Any) -> httpx.Response:
        return self.post(f"{self.channel}/{path}/", json=body)

    def change(self, path: str, **body: Any) -> httpx.Response:
        return self.patch(f"{self.channel}/{path}/", json=body)

    def made(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.add(path, **body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def switch(self, **switches: Any) -> None:
        assert self.put("/admin/switches", json=switches).status_code == 200

    def customer(self, code: str = "C1", **own: Any) -> dict[str, Any]:
        defaults = {"channel": 1, "email": f"{code}@example.com", "first_name": "Ayşe", "last_name": "Yılmaz"}
        return self.made("customers", **{**defaults, "channel_code": code, **own})

    def address_body(self, customer: int, **own: Any) -> dict[str, Any]:
        city = self.rows("cities", name__iexact="İstanbul")[0]
        body = {"email": "a@example.com", "phone_number": "+905551112233", "first_name": "Ayşe", "last_name": "Yılmaz"}
        place = {"country": city["country"], "city": city["pk"], "line": "Moda Cd. 1"}
        return {**body, **place, "customer": customer, **own}

    def order_body(self, number: str = "N1", items: int = 2, **own: Any) -> dict[str, Any]:
        customer = self.customer(f"C-{number}")["pk"]
        address = self.made("addresses", **self.address_body(customer))["pk"]
        product = self.rows("integration_actions", content_type_name="product", remote_id__in="SKU-1")[0]["object_id"]
        head = {
            "number": number, "customer": customer, "shipping_address": address, "billing_address": address,
            "currency": "TRY", "amount": "20.00", "shipping_amount": 0, "cargo_company": self.rows("cargos")[0]["pk"],
            "extra_field": {"id": f"R-{number}", "note": "kept"}, "status": "400", **own,
        }  # fmt: skip
        item = {"product": product, "price": "10.00", "price_currency": "try", "tax_rate": "20", "price_list": 1}
        return {"order": head, "order_item": [{**item, "extra_field": {"id": f"{number}/{n}"}} for n in range(items)]}

    def order(self, number: str = "N1", items: int = 2, **own: Any) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        made = self.made("create_orders", **self.order_body(number, items, **own))
        return made, self.rows("order_items", order=made["pk"], sort="id")

    def batch(self) -> dict[str, Any]:
        return self.made("batch_requests", channel=1)

    def move(self, batch: dict[str, Any], status: str, **body: Any) -> httpx.Response:
        return self.change(f"batch_requests/{batch['pk']}", channel=1, status=status, **body)
