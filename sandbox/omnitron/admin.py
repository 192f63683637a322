"""What a test, a demonstration or the merchant's back office does to Omnitron; without a log-in, on the loopback."""

import uuid
from dataclasses import asdict
from typing import Any

from sandbox.omnitron import batches
from sandbox.omnitron.actions import MODELS
from sandbox.omnitron.api import Answer, Call, Routes, Schema
from sandbox.omnitron.cancels import REQUEST_STATUSES, complete_plans, move_request
from sandbox.omnitron.database import Row, shown
from sandbox.omnitron.errors import ApiError, missing, refused
from sandbox.omnitron.fields import Field, Fields, clean
from sandbox.omnitron.orders import CANCEL_STATUSES, ITEM_CHANGE, STATUSES, change_item
from sandbox.omnitron.schema import TABLES
from sandbox.omnitron.world import WORLD_SCHEMA, tell

routes = Routes("admin", prefix="/admin", open=True)

ORDER_CHANGE: Fields = {
    "status": Field("choice", choices=STATUSES, blank=False),
    "cancel_status": Field("choice", null=True, choices=CANCEL_STATUSES, blank=False),
    "invoice_number": Field(null=True, max=128),
    "invoice_date": Field("date", null=True),
    "e_archive_url": Field(null=True, max=1024),
    "tracking_number": Field(null=True, max=256),
    "carrier_shipping_code": Field(null=True, max=256),
    "cargo_company": Field("int", ref="cargos"),
    "is_send": Field("bool"),
    "notes": Field(null=True, max=320),
    "extra_field": Field("object"),
}
REQUEST_CHANGE: Fields = {"status": Field("choice", required=True, choices=REQUEST_STATUSES, blank=False)}
LOCK: Fields = {
    "channel": Field("int", required=True, ref="channels"),
    "content_type": Field("choice", required=True, choices=MODELS, blank=False),
}
CHANNEL_CHANGE: Fields = {
    "is_active": Field("bool"),
    "conf": Field("object"),
    "schema": Field("object"),
}
OBJECT = Schema({"type": "object"})


@routes.post("/world", WORLD_SCHEMA, status=200)
def change_world(call: Call) -> Row:
    return tell(call.db, call.body)


@routes.post("/reset", status=204)
def reset(call: Call) -> None:
    """As after a start: an empty database with the world that was given then, all switches as they were."""
    call.db.clear()
    call.sandbox.forget()
    if call.sandbox.world:
        tell(call.db, call.sandbox.world)


@routes.get("/switches")
def show_switches(call: Call) -> Row:
    return asdict(call.sandbox.switches)


@routes.put("/switches", OBJECT)
def change_switches(call: Call) -> Row:
    if complaint := call.sandbox.switches.change(call.body):
        raise ApiError(400, {"detail": complaint[:500], "code": "invalid"})
    return show_switches(call)


@routes.get("/counts")
def counts(call: Call) -> Row:
    return {name: call.db.count(name) for name in TABLES}


@routes.get("/ignored_filters")
def ignored_filters(call: Call) -> list[Row]:
    """Query parameters that no list knew: the caller believed in a filter that is none."""
    return [
        {"path": path, "parameter": name, "times": times}
        for (path, name), times in call.sandbox.ignored_filters.items()
    ]


@routes.post("/tokens/expire", status=204)
def expire_tokens(call: Call) -> None:
    for user in call.db.rows("users"):
        call.db.update("users", user["pk"], {"token": None})


@routes.post("/batch_requests/{pk:int}/fail", status=200)
def fail_batch_request(call: Call) -> Row:
    batch = call.find("batch_requests")
    if "fail" not in batches.NEXT[batch["status"]]:
        raise refused(f"The batch request is {batch['status']} already.", batches.WRONG_STEP)
    batches.fail(_in_channel(call, batch), batch)
    return shown("batch_requests", call.find("batch_requests"))


@routes.post("/lock", LOCK)
def lock(call: Call) -> Row:
    """A foreign batch request that stays in commit."""
    said = clean(LOCK, call.body, call.db)
    values = {**said, "local_batch_id": str(uuid.uuid4()), "status": "commit"}
    batches.check_lock(_in_channel(call, said), {"pk": 0}, said["content_type"])
    return shown("batch_requests", call.db.insert("batch_requests", values))


@routes.delete("/lock/{pk:int}")
def unlock(call: Call) -> None:
    batch = call.find("batch_requests")
    if batch["status"] not in batches.OPEN:
        raise missing()
    batches.end(_in_channel(call, batch), batch, "done", [])
    call.db.update("batch_requests", batch["pk"], {"status": "done"})


@routes.get("/cancellation_plans")
def cancellation_plans(call: Call) -> list[Row]:
    """What OMS was told to cancel; no service of Omnitron lists it."""
    return [shown("cancellation_plans", row) for row in call.db.rows("cancellation_plans", tail="ORDER BY pk")]


@routes.post("/orders/{pk:int}/plan/complete", status=200)
def complete_plan(call: Call) -> Any:
    order = call.find("orders")
    if not complete_plans(_in_channel(call, order), order):
        return Answer(409, {"detail": "The order has no cancellation plan that is waiting."})
    return shown("orders", call.find("orders"))


@routes.patch("/orders/{pk:int}", ORDER_CHANGE)
def change_order(call: Call) -> Row:
    order = call.find("orders")
    said = clean(ORDER_CHANGE, call.body, call.db, partial=True)
    call.db.update("orders", order["pk"], said)
    return shown("orders", call.find("orders"))


@routes.patch("/order_items/{pk:int}", ITEM_CHANGE)
def change_order_item(call: Call) -> Row:
    change_item(call, call.find("order_items"))
    return shown("order_items", call.find("order_items"))


@routes.patch("/cancellation_requests/{pk:int}", REQUEST_CHANGE)
def change_cancellation_request(call: Call) -> Row:
    request = call.find("cancellation_requests")
    move_request(call, request, clean(REQUEST_CHANGE, call.body, call.db)["status"])
    return shown("cancellation_requests", call.find("cancellation_requests"))


@routes.patch("/channels/{pk:int}", CHANNEL_CHANGE)
def change_channel(call: Call) -> Row:
    channel = call.find("channels")
    call.db.update("channels", channel["pk"], clean(CHANNEL_CHANGE, call.body, call.db, partial=True))
    return shown("channels", call.find("channels"))


@routes.get("/overview")
def overview(call: Call) -> Row:
    """What the page shows."""
    latest = "ORDER BY pk DESC LIMIT 10"
    still_open = f"status IN {('initialized', *batches.OPEN)}"
    return {
        "counts": {name: number for name, number in counts(call).items() if number},
        "orders": [shown("orders", row) for row in call.db.rows("orders", tail=latest)],
        "open_batches": [
            shown("batch_requests", row) for row in call.db.rows("batch_requests", still_open, (), latest)
        ],
        "error_reports": [shown("error_reports", row) for row in call.db.rows("error_reports", tail=latest)],
        "address_reports": [shown("address_reports", row) for row in call.db.rows("address_reports", tail=latest)],
        "ignored_filters": ignored_filters(call),
    }


def _in_channel(call: Call, row: Row) -> Call:
    """The call as if it came through the channel of the row."""
    channel = call.db.get("channels", row["channel"])
    assert channel is not None
    return Call(call.sandbox, call.url, call.path, call.query, call.body, call.user, channel)
