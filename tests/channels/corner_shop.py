"""The corner shop of docs/channels.md, as a server: one street, one till, and an API as small as an API can be.

Below `/shop/` is what its people and shoppers do; it needs no key.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from itertools import count
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, HTTPException

from sandbox.faults import FaultMiddleware

KEY = "till-key"
ISTANBUL = timezone(timedelta(hours=3))
LARGEST_PAGE = 50
Row = dict[str, Any]
Said = Annotated[Row, Body()]
Texts = Annotated[dict[str, str], Body()]


def now() -> datetime:
    return datetime.now(ISTANBUL)


@dataclass
class Shop:
    """Records by kind and id; each has `changed_at`, and none goes away."""

    clock: Callable[[], datetime] = now
    records: dict[str, dict[str, Row]] = field(
        default_factory=lambda: {"orders": {}, "cancels": {}, "units": {}, "requests": {}}
    )
    updates: dict[str, Row] = field(default_factory=dict)
    numbers: Any = field(default_factory=lambda: count(1001))

    def put(self, kind: str, record: Row) -> Row:
        self.records[kind][record["id"]] = {**record, "changed_at": self.clock().isoformat()}
        return self.records[kind][record["id"]]

    def find(self, kind: str, key: str) -> Row:
        if key not in self.records.get(kind, {}):
            raise HTTPException(404)
        return self.records[kind][key]

    def place(self, units: int) -> Row:
        number = next(self.numbers)
        total = units * Decimal("33.33") - Decimal("0.10") + Decimal("10.00")
        return self.put(
            "orders",
            {
                "id": str(number),
                "placed_at": self.clock().isoformat(),
                "currency": "TRY",
                "total": str(total),
                "shipping": "10.00",
                "carrier": "yurtici",
                "note": None,
                "state": "open",
                "customer": {
                    "id": f"c{number}",
                    "email": f"c{number}@example.com",
                    "name": "Ayşe",
                    "surname": "Yılmaz",
                    "phone": "+905321234567",
                },
                "address": {"country": "TR", "city": "İstanbul", "district": "Kadıköy", "street": "Moda Cd. 1"},
                "lines": [
                    {
                        "id": f"{number}-1",
                        "sku": "SKU-1",
                        "quantity": units,
                        "price": "33.33",
                        "discount": "0.10",
                        "vat": "20",
                    }
                ],
            },
        )

    def unit(self, key: str) -> Row:
        order = self.records["orders"].get(key.partition("-")[0])
        number = key.partition("/")[2]
        if order is None or not number.isdigit() or not 1 <= int(number) <= order["lines"][0]["quantity"]:
            raise HTTPException(404)
        blank = {"id": key, "order": order["id"], "state": "waiting", "tracking": None, "invoice": None}
        return dict(self.records["units"].get(key) or blank)

    def move(self, key: str, state: str, **news: Any) -> bool:
        """False: it is in that state already, so nothing is written."""
        unit = self.unit(key)
        if unit["state"] in {state, "delivered"}:
            return False
        self.put("units", {**unit, "state": state, **news})
        return True

    def work(self, update: Row) -> None:
        update["results"] = [self.worked(one) for one in update.pop("orders")]
        update["state"] = "done"

    def worked(self, wanted: Row) -> Row:
        try:
            moved = [self.move(key, "shipped", tracking=wanted["tracking"]) for key in wanted["shipped"]]
            moved += [self.move(key, "delivered") for key in wanted["delivered"]]
            self.find("orders", wanted["order"])
        except HTTPException:
            return {"order": wanted["order"], "ok": False, "code": "UNKNOWN"}
        return {"order": wanted["order"], "ok": any(moved), "code": None if any(moved) else "ALREADY"}


def create_app(shop: Shop | None = None) -> FastAPI:
    shop = shop or Shop()
    app = FastAPI()
    api = APIRouter(dependencies=[Depends(checked)])
    sending(api, shop)
    forms(api, shop)
    reading(api, shop)
    shoppers(app, shop)
    app.include_router(api)
    app.add_middleware(FaultMiddleware)
    return app


def checked(x_shop_key: str = Header("")) -> None:
    if x_shop_key != KEY:
        raise HTTPException(401)


def reading(app: APIRouter, shop: Shop) -> None:
    @app.get("/{kind}")
    def listed(kind: str, since: datetime, until: datetime, after: str = "", limit: int = LARGEST_PAGE) -> Row:
        if kind not in shop.records:
            raise HTTPException(404)
        window = (row for row in shop.records[kind].values() if since <= changed(row) < until)
        rows = sorted((row for row in window if place(row) > after), key=place)
        page = rows[: min(limit, LARGEST_PAGE)]
        return {"records": page, "next": place(page[-1]) if len(rows) > len(page) else None}

    @app.get("/{kind}/{key:path}")
    def one(kind: str, key: str) -> Row:
        return shop.find(kind, key)


def changed(row: Row) -> datetime:
    return datetime.fromisoformat(row["changed_at"])


def place(row: Row) -> str:
    return f"{changed(row).timestamp():017.6f} {row['id']}"


def sending(app: APIRouter, shop: Shop) -> None:
    @app.post("/updates")
    def update(said: Said) -> Row:
        known = next((one for one in shop.updates.values() if one["reference"] == said["reference"]), None)
        if known is not None:
            return known
        made = {"id": f"u{len(shop.updates) + 1}", "state": "working", "results": [], **said}
        shop.updates[made["id"]] = made
        if made.pop("wait"):
            shop.work(made)
        return made

    @app.get("/updates")
    def updates(reference: str) -> list[Row]:
        return [one for one in shop.updates.values() if one["reference"] == reference]

    @app.get("/updates/{key}")
    def updated(key: str) -> Row:
        if key not in shop.updates:
            raise HTTPException(404)
        return shop.updates[key]


def forms(app: APIRouter, shop: Shop) -> None:
    @app.post("/forms/{key}")
    def answer(key: str, answers: Texts) -> Row:
        asked = [one for one in shop.records["requests"].values() if one["form"] == key]
        if {one["id"] for one in asked} != set(answers):
            raise HTTPException(422, "a form is answered whole")
        if any(one["state"] != "open" for one in asked):
            raise HTTPException(409, "answered before")
        for one in asked:
            shop.put("requests", {**one, "state": answers[one["id"]]})
        return {}


def shoppers(app: FastAPI, shop: Shop) -> None:
    @app.post("/shop/orders")
    def place_order(units: int = 1) -> Row:
        return shop.place(units)

    @app.post("/shop/orders/{key}/note")
    def note(key: str, text: str) -> Row:
        return shop.put("orders", {**shop.find("orders", key), "note": text})

    @app.post("/shop/orders/{key}/cancel")
    def cancel(key: str, units: Texts) -> Row:
        before = shop.records["cancels"].get(key, {"units": {}})
        order, gone = shop.find("orders", key), {**before["units"], **units}
        order["state"] = ("open", "cancelled")[len(gone) == order["lines"][0]["quantity"]]
        return shop.put("cancels", {"id": key, "units": gone})

    @app.post("/shop/units")
    def news(unit: Said) -> Row:
        return shop.put("units", {**shop.unit(unit["id"]), **unit})

    @app.post("/shop/forms")
    def form(kind: str, units: Annotated[list[str], Body()]) -> list[Row]:
        form = f"R{next(shop.numbers)}"
        ids = [f"{form}-{number}" for number, _ in enumerate(units, start=1)]
        common = {"form": form, "of_form": ids, "kind": kind, "reason": "changed_mind", "note": "", "state": "open"}
        return [shop.put("requests", {"id": one, "unit": unit, **common}) for one, unit in zip(ids, units, strict=True)]

    @app.post("/shop/work")
    def work() -> None:
        for update in shop.updates.values():
            if update["state"] == "working":
                shop.work(update)

    @app.get("/shop/orders/{key}")
    def everything(key: str) -> Row:
        units = [one for one in shop.records["units"].values() if one["order"] == key]
        requests = [one for one in shop.records["requests"].values() if one["unit"].startswith(f"{key}-")]
        return {"order": shop.find("orders", key), "units": units, "requests": requests}
