"""Cancelling items of an order, and requests to cancel or to return one."""

import uuid
from typing import Any

from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Row, shown
from sandbox.omnitron.errors import ApiError, invalid, refused
from sandbox.omnitron.fields import Field, FieldError, Fields, clean, whole
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.orders import check_cancel_status, items_of, settle_status

routes = Routes("cancellations", scoped=True)

GONE = {"50", "100", "600"}  # cancellation waiting, canceled, refunded
SHIPPED = 500
REQUEST_STATUSES = ("waiting_approval", "approved", "confirmed", "rejected", "completed")
# Assumption; only the codes themselves are public.
REQUEST_STEPS: dict[str, set[str]] = {
    "waiting_approval": {"approved", "confirmed", "rejected"},
    "approved": {"confirmed"},
    "confirmed": {"completed"},
    "rejected": set(),
    "completed": set(),
}
CANCEL: Fields = {
    "order": Field("int", required=True),
    "is_all": Field("bool", default=False),
    "cancel_items": Field("ints", default=[]),
    "reasons": Field("object", required=True),
    "forced_refund_amount": Field("money", null=True),
    "is_cargo_refund": Field("bool", default=False),
    "refund_invoice_number": Field(null=True, max=128),
    "ibans": Field("object", null=True, default={}),
    "holder_names": Field("object", null=True, default={}),
}
REQUEST: Fields = {
    "order_item": Field("int", required=True, ref="order_items"),
    "reason": Field("int", required=True, ref="cancellation_reasons"),
    "remote_id": Field(null=True, max=255),
    "description": Field(null=True, max=1024),
    "cancellation_type": Field("choice", choices=("cancel", "refund"), blank=False, default="cancel"),
    "iban": Field(null=True, max=64),
    "holder_name": Field(null=True, max=255),
    "quantity": Field("int", null=True, min=1),
    "fully_refund_as_loyalty_money": Field("bool", default=False),
    "attributes": Field("object", default={}),
}
REQUEST_FILTERS = filters(
    "status", "status__in", "cancellation_type", "order_item", "order_item__in", "reason", "pk__in", *DATES
)


@routes.post("/orders/{pk:int}/cancel/", CANCEL, status=200)
def cancel(call: Call) -> Row:
    order = call.find("orders")
    said = clean(CANCEL, call.body, call.db)
    if said["order"] != order["pk"]:
        raise invalid("order", "The order is not the one of the path.")
    _check_parameters(order, said)
    items = _chosen(call, order, said)
    reasons = _reasons(call, items, said["reasons"])
    for item in items:
        if item["cancel_status"] == "waiting":
            raise refused(f"The item {item['pk']} has a cancellation that is waiting.", "order_cancel_100_1")
        check_cancel_status(item["cancel_status"], "waiting")
    kind = _kind(items)
    plan = {**said, "channel": order["channel"], "status": "waiting", "cancellation_type": kind, "reasons": reasons}
    plan["items"] = [item["pk"] for item in items]
    call.db.insert("cancellation_plans", {key: value for key, value in plan.items() if key != "cancel_items"})
    for item in items:
        call.db.update("order_items", item["pk"], {"status": "50", "cancel_status": "waiting"})
    settle_status(call, order["pk"], cancel_status="waiting")
    return shown("orders", call.find("orders"))


def _check_parameters(order: Row, said: Row) -> None:
    """In the order of the API reference: cancel status, then parameters that exclude each other."""
    if order["cancel_status"] == "waiting":
        raise refused("The order has a cancellation that is waiting.", "order_cancel_100_1")
    if order["cancel_status"] == "waiting_for_payment":
        raise refused("The order is waiting for payment and can not be cancelled.", "order_cancel_100_4")
    if said["is_all"] and said["cancel_items"]:
        raise refused("is_all and cancel_items exclude each other.", "order_cancel_100_2")
    if said["is_cargo_refund"] and said["forced_refund_amount"] is not None:
        raise refused("is_cargo_refund and forced_refund_amount exclude each other.", "order_cancel_100_2")
    if not said["is_all"] and not said["cancel_items"]:
        raise invalid("cancel_items", "This list may not be empty.")


def _chosen(call: Call, order: Row, said: Row) -> list[Row]:
    items = items_of(call.db, order["pk"])
    if said["is_all"]:
        chosen = [item for item in items if item["status"] not in GONE]
        if not chosen:
            raise refused("There is nothing left to cancel.", "order_cancel_100_4")
        return chosen
    wanted = set(said["cancel_items"])
    if strangers := wanted - {item["pk"] for item in items}:
        raise invalid("cancel_items", f'Invalid pk "{min(strangers)}" - the order has no such item.')
    chosen = [item for item in items if item["pk"] in wanted]
    if gone := [item["pk"] for item in chosen if item["status"] in GONE]:
        raise refused(f"The items {gone} are cancelled already.", "order_cancel_100_4")
    return chosen


def _reasons(call: Call, items: list[Row], said: dict[str, Any]) -> dict[str, int]:
    reasons = {}
    for item in items:
        raw = said.get(str(item["pk"]))
        if raw is None:
            raise refused(f"The item {item['pk']} has no reason.", "order_cancel_100_3")
        try:
            reasons[str(item["pk"])] = whole(raw)
        except FieldError as error:
            raise invalid("reasons", str(error)) from None
        if not call.db.exists("cancellation_reasons", whole(raw)):
            raise invalid("reasons", f'Invalid pk "{raw}" - object does not exist.')
    return reasons


def _kind(items: list[Row]) -> str:
    """Before shipment it is a cancel, from then on a refund; the two do not mix."""
    kinds = {"refund" if int(item["status"]) >= SHIPPED else "cancel" for item in items}
    if len(kinds) > 1:
        raise refused("Cancel and refund can not be mixed.", "order_cancel_100_2")
    return kinds.pop()


def complete_plans(call: Call, order: Row) -> list[Row]:
    """What OMS does later: the waiting plans of an order are carried out."""
    plans = call.db.rows("cancellation_plans", "\"order\" = ? AND status = 'waiting'", [order["pk"]], "ORDER BY pk")
    for plan in plans:
        status = "600" if plan["cancellation_type"] == "refund" else "100"
        for pk in plan["items"]:
            call.db.update("order_items", pk, {"status": status, "cancel_status": "confirmed"})
        call.db.update("cancellation_plans", plan["pk"], {"status": "completed"})
    if plans:
        settle_status(call, order["pk"], cancel_status="confirmed")
    return plans


@routes.get("/cancellation_requests/", REQUEST_FILTERS)
def cancellation_requests(call: Call) -> Row:
    mine = Where("channel = ?", [call.channel["pk"]])
    return page(call, "cancellation_requests", REQUEST_FILTERS, where=[mine])


@routes.post("/cancellation_requests/", REQUEST)
def create_cancellation_request(call: Call) -> Row:
    said = clean(REQUEST, call.body, call.db)
    item = call.db.get("order_items", said["order_item"])
    if item is None or item["channel"] != call.channel["pk"]:
        raise invalid("order_item", f'Invalid pk "{said["order_item"]}" - object does not exist.')
    # The channel's id is known through the batch request alone.
    del said["remote_id"]
    own = {"channel": call.channel["pk"], "status": "waiting_approval", "easy_return": None, "uuid": str(uuid.uuid4())}
    return shown("cancellation_requests", call.db.insert("cancellation_requests", said | own))


@routes.get("/cancellation_requests/{pk:int}/")
def cancellation_request(call: Call) -> Row:
    return shown("cancellation_requests", call.find("cancellation_requests"))


@routes.post("/cancellation_requests/{pk:int}/reject/", status=200)
def reject_cancellation_request(call: Call) -> Row:
    move_request(call, call.find("cancellation_requests"), "rejected")
    return cancellation_request(call)


def move_request(call: Call, request: Row, status: str) -> None:
    if status not in REQUEST_STEPS[request["status"]]:
        text = f"The status can not change from {request['status']} to {status}."
        raise ApiError(406, {"non_field_errors": text, "code": "cancellation_request_100_1"})
    call.db.update("cancellation_requests", request["pk"], {"status": status})
