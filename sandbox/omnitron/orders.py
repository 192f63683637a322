"""Orders and their items."""

from typing import Any

from sandbox.omnitron.api import Call, Routes, Schema
from sandbox.omnitron.database import Database, Row, shown
from sandbox.omnitron.errors import ApiError, duplicate, invalid, refused
from sandbox.omnitron.fields import Field, Fields, attempt, body_schema, clean
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.people import own_channel

routes = Routes("orders", scoped=True)

STATUSES = (
    "50", "100", "200", "300", "350", "400", "450", "500", "510", "520", "540", "544", "545", "546", "547", "550",
    "600",
)  # fmt: skip
IMPORTED = "400"  # approved: the state of what a channel has sold already
CANCEL_STATUSES = ("waiting", "confirmation_waiting", "confirmed", "approved", "rejected", "waiting_for_payment")
ZERO = "0.00"

ORDER: Fields = {
    "number": Field(required=True, blank=False, max=128),
    "channel": Field("int", null=True, ref="channels"),
    "status": Field("choice", choices=STATUSES, default=IMPORTED),
    "date_placed": Field("date", null=True),
    "customer": Field("int", required=True, ref="customers"),
    "shipping_address": Field("int", required=True, ref="addresses"),
    "billing_address": Field("int", required=True, ref="addresses"),
    "currency": Field(required=True, blank=False, max=3),
    "amount": Field("money", required=True),
    "shipping_amount": Field("money", default=ZERO),
    "shipping_tax_rate": Field("money", null=True),
    "discount_amount": Field("money", default=ZERO),
    "net_shipping_amount": Field("money", default=ZERO),
    "extra_field": Field("object", default={}),
    "delivery_type": Field(null=True, max=64),
    "cargo_company": Field("int", required=True, ref="cargos"),
    "invoice_number": Field(null=True, max=128),
    "invoice_date": Field("date", null=True),
    "e_archive_url": Field(null=True, max=1024),
    "tracking_number": Field(null=True, max=256),
    "carrier_shipping_code": Field(null=True, max=256),
    "remote_addr": Field("ip", null=True),
    "has_gift_box": Field("bool", default=False),
    "gift_box_note": Field(null=True, max=160),
    "client_type": Field(null=True, max=64, default="default"),
    "language_code": Field(null=True, max=16),
    "notes": Field(null=True, max=320),
    "delivery_range": Field("any", null=True),
    "shipping_option_slug": Field(null=True, max=128),
}
ITEM: Fields = {
    "product": Field("int", required=True, ref="products"),
    "status": Field("choice", choices=STATUSES, default=IMPORTED),
    "price_currency": Field(required=True, blank=False, max=3),
    "price": Field("money", required=True),
    "tax_rate": Field("money", default=ZERO),
    "extra_field": Field("object", default={}),
    "price_list": Field("int", null=True, ref="price_lists"),
    "stock_list": Field("int", null=True, ref="stock_lists"),
    "tracking_number": Field(null=True, max=256),
    "carrier_shipping_code": Field(null=True, max=256),
    "invoice_number": Field(null=True, max=128),
    "invoice_date": Field("date", null=True),
    "discount_amount": Field("money", default=ZERO),
    "retail_price": Field("money", default=ZERO),
    "attributes": Field("object", default={}),
    "attributes_kwargs": Field("object", default={}),
    "parent": Field(null=True, max=255),
    "delivered_date": Field("date", null=True),
    "estimated_delivery_date": Field("date", null=True),
    "quantity": Field("int", default=1, min=1),
    "unit_price": Field("money", null=True),
    "total_price": Field("money", null=True),
}
ITEM_CHANGE: Fields = {
    "status": Field("choice", choices=STATUSES, blank=False),
    "cancel_status": Field("choice", null=True, choices=CANCEL_STATUSES, blank=False),
    "invoice_number": Field(null=True, max=128),
    "invoice_date": Field("date", null=True),
    "e_archive_url": Field(null=True, max=1024),
    "tracking_number": Field(null=True, max=256),
    "carrier_shipping_code": Field(null=True, max=256),
    "shipping_company": Field(null=True, max=64),
    "shipment_code": Field(null=True, max=256),
    "delivered_date": Field("date", null=True),
    "estimated_delivery_date": Field("date", null=True),
    "extra_field": Field("object"),
    "attributes": Field("object"),
    "attributes_kwargs": Field("object"),
}
CREATE_BODY = Schema(
    type="object",
    required=["order", "order_item"],
    properties={"order": body_schema(ORDER), "order_item": {"type": "array", "items": body_schema(ITEM)}},
)
ORDER_FILTERS = filters(
    "number", "number__exact", "number__in", "channel", "status", "status__in", "customer", "pk__in", "is_send",
    "tracking_number", *DATES, "date_placed__gt", "date_placed__gte", "date_placed__lt", "date_placed__lte",
    channel_id="channel",
)  # fmt: skip
ITEM_FILTERS = filters(
    "order", "order__in", "status", "status__in", "product", "pk__in", "tracking_number", *DATES, order_id="order"
)


@routes.get("/orders/", ORDER_FILTERS)
def orders(call: Call) -> Row:
    return page(call, "orders", ORDER_FILTERS, where=[Where("channel = ?", [call.channel["pk"]])])


@routes.get("/orders/{pk:int}/")
def order(call: Call) -> Row:
    return shown("orders", call.find("orders"))


@routes.post("/create_orders/", CREATE_BODY)
def create_order(call: Call) -> Row:
    head, items = _clean_order(call)
    if call.db.one("orders", "channel = ? AND number = ?", call.channel["pk"], head["number"]):
        text = f"The order with number {head['number']} already exists in the channel."
        raise duplicate(call.sandbox.switches, text, "order_100_1")
    made = call.db.insert("orders", head)
    for item in items:
        call.db.insert("order_items", {**item, "order": made["pk"], "channel": call.channel["pk"]})
    return shown("orders", made)


def _clean_order(call: Call) -> tuple[Row, list[Row]]:
    raw, raw_items = call.body.get("order"), call.body.get("order_item")
    if not isinstance(raw, dict):
        raise invalid("order", "This field is required: a dictionary.")
    if not isinstance(raw_items, list) or not raw_items:
        raise invalid("order_item", "This list may not be empty.")
    head, errors = attempt(ORDER, raw, call.db)
    if errors:
        raise ApiError(400, {"order": errors, "code": "invalid"})
    cleaned = [attempt(ITEM, item if isinstance(item, dict) else {}, call.db) for item in raw_items]
    if any(wrong for _, wrong in cleaned):
        raise ApiError(400, {"order_item": [wrong for _, wrong in cleaned], "code": "invalid"})
    own_channel(call, head)
    _check_people(call, head)
    defaults = dict.fromkeys(
        ("shipping_interest_amount", "installment_interest_amount", "refund_amount", "discount_refund_amount",
         "shipping_refund_amount"), ZERO,
    )  # fmt: skip
    head |= {**defaults, "channel": call.channel["pk"], "currency": head["currency"].lower()}
    head["date_placed"] = head["date_placed"] or call.db.clock.now()
    always = {"is_tradable": True, "installment_interest_amount": ZERO, "cancellation_reconciliation": {}}
    return head, [{**always, **item, "price_currency": item["price_currency"].lower()} for item, _ in cleaned]


def _check_people(call: Call, head: Row) -> None:
    """Customers are a channel's own, and so are their addresses."""
    buyer = call.db.get("customers", head["customer"])
    if buyer is None or buyer["channel"] != call.channel["pk"]:
        raise _foreign("customer", head["customer"])
    for column in ("shipping_address", "billing_address"):
        address = call.db.get("addresses", head[column])
        owner = call.db.get("customers", address["customer"]) if address else None
        if owner is None or owner["channel"] != call.channel["pk"]:
            raise _foreign(column, head[column])


def _foreign(column: str, pk: int) -> ApiError:
    return ApiError(400, {"order": {column: [f'Invalid pk "{pk}" - object does not exist.']}, "code": "invalid"})


@routes.get("/order_items/", ITEM_FILTERS)
def order_items(call: Call) -> Row:
    return page(call, "order_items", ITEM_FILTERS, where=[Where("channel = ?", [call.channel["pk"]])])


@routes.get("/order_items/{pk:int}/")
def order_item(call: Call) -> Row:
    return shown("order_items", call.find("order_items"))


@routes.patch("/order_items/{pk:int}/", ITEM_CHANGE)
def change_order_item(call: Call) -> Row:
    change_item(call, call.find("order_items"))
    return order_item(call)


def change_item(call: Call, item: Row) -> None:
    """``extra_field`` is merged, attributes are replaced; no order of statuses is enforced (assumption)."""
    said = clean(ITEM_CHANGE, call.body, call.db, partial=True)
    if "extra_field" in said:
        said["extra_field"] = {**(item["extra_field"] or {}), **said["extra_field"]}
    if "cancel_status" in said:
        check_cancel_status(item["cancel_status"], said["cancel_status"])
    call.db.update("order_items", item["pk"], said)
    touch(call, item["order"])


def check_cancel_status(old: str | None, new: str | None) -> None:
    """The transitions that Akinon's API reference refuses."""
    back = {"waiting", "confirmation_waiting", "confirmed", "approved", "rejected"}
    if (old == "approved" and new == "confirmed") or (old == "waiting_for_payment" and new in back):
        raise refused(f"The cancel status can not change from {old} to {new}.", "order_cancel_100_4")


def touch(call: Call, order_pk: int) -> None:
    """A change of an item is a change of its order."""
    if call.sandbox.switches.item_touches_order:
        call.db.update("orders", order_pk, {})


def items_of(db: Database, order_pk: int) -> list[Row]:
    return db.rows("order_items", '"order" = ?', [order_pk], "ORDER BY pk")


def settle_status(call: Call, order_pk: int, **changes: Any) -> None:
    """Assumption: an order whose items are all in one cancelled state is in that state."""
    states = {item["status"] for item in items_of(call.db, order_pk)}
    if len(states) == 1 and states <= {"50", "100", "600"}:
        changes["status"] = states.pop()
    call.db.update("orders", order_pk, changes)
