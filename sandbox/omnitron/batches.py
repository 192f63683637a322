"""Batch requests: their states, the lock of (channel, content type), and what they do to integration actions.

initialized -> commit (again: adds) -> sent_to_remote -> ongoing; from each of them done or fail, which are final.
"""

import uuid
from datetime import datetime, timedelta
from typing import Any

from sandbox.omnitron.actions import MODELS, check_object, find_action, save_action
from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Row, iso, shown
from sandbox.omnitron.errors import ApiError, invalid, refused
from sandbox.omnitron.fields import REQUIRED, Field, Fields, clean
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.people import own_channel

routes = Routes("batch requests", scoped=True)

STATUSES = ("initialized", "commit", "sent_to_remote", "ongoing", "done", "fail")
NEXT: dict[str, set[str]] = {
    "initialized": {"commit", "done", "fail"},
    "commit": {"commit", "sent_to_remote", "done", "fail"},
    "sent_to_remote": {"ongoing", "done", "fail"},
    "ongoing": {"ongoing", "done", "fail"},
    "done": set(),
    "fail": set(),
}
OPEN = ("commit", "sent_to_remote", "ongoing")  # holds the lock; initialized holds none
CREATE: Fields = {
    "channel": Field("int", ref="channels"),
    "remote_batch_id": Field(null=True, max=255),
    "log_file": Field(null=True, max=1024),
}
CHANGE: Fields = {
    "channel": Field("int", ref="channels"),
    "status": Field("choice", choices=STATUSES, blank=False),
    "content_type": Field("choice", null=True, choices=MODELS, blank=False),
    "remote_batch_id": Field(null=True, max=255),
    "objects": Field("list", null=True),
    "log_file": Field(null=True, max=1024),
}
OBJECT: Fields = {
    "pk": Field("int", required=True),
    "content_type": Field("choice", required=True, choices=MODELS, blank=False),
    "version_date": Field("date", null=True),
    "remote_id": Field(null=True, max=255),
    "failed_reason_type": Field("choice", null=True, choices=("mapping", "remote", "channel_app"), blank=False),
}
FILTERS = filters(
    "channel", "status", "status__in", "content_type", "local_batch_id", "remote_batch_id", "pk__in", *DATES,
    channel_id="channel",
)  # fmt: skip
WRONG_STEP, LOCKED = "batch_request_status_100_1", "batch_request_status_100_2"  # the second is an assumption


@routes.get("/batch_requests/", FILTERS)
def batch_requests(call: Call) -> Row:
    return page(call, "batch_requests", FILTERS, where=[Where("channel = ?", [call.channel["pk"]])])


@routes.post("/batch_requests/", CREATE)
def create_batch_request(call: Call) -> Row:
    said = clean(CREATE, call.body, call.db)
    own_channel(call, said)
    own = {"channel": call.channel["pk"], "local_batch_id": str(uuid.uuid4()), "status": "initialized"}
    return _detail(call, call.db.insert("batch_requests", said | own))


@routes.get("/batch_requests/{pk:int}/")
def batch_request(call: Call) -> Row:
    return _detail(call, call.find("batch_requests"))


@routes.patch("/batch_requests/{pk:int}/", CHANGE)
def change_batch_request(call: Call) -> Row:
    said = clean(CHANGE, call.body, call.db, partial=True)
    own_channel(call, said)
    expire(call)
    batch = call.find("batch_requests")
    objects = said.pop("objects", None)
    said.pop("channel", None)
    status = said.get("status", batch["status"])
    if "status" in said and status not in NEXT[batch["status"]]:
        text = f"The status of a batch request can not change from {batch['status']} to {status}."
        raise refused(text, WRONG_STEP)
    if status == "commit" and "status" in said:
        said["content_type"] = _commit(call, batch, said.get("content_type"), objects)
    elif status in {"done", "fail"} and "status" in said:
        end(call, batch, status, _clean_objects(call, objects or []))
    call.db.update("batch_requests", batch["pk"], {key: value for key, value in said.items() if _told(key, value)})
    return batch_request(call)


def _told(key: str, value: Any) -> bool:
    return value is not None or key == "log_file"


def _detail(call: Call, batch: Row) -> Row:
    rows = call.db.rows("batch_objects", "batch_request = ?", [batch["pk"]], "ORDER BY pk")
    objects = [{"pk": row["object_id"], **{key: row[key] for key in OBJECT if key != "pk"}} for row in rows]
    return {**shown("batch_requests", batch), "objects": objects or None}


def _commit(call: Call, batch: Row, model: str | None, objects: list[Any] | None) -> str:
    """Takes the lock and marks the objects as being processed; a repeated commit adds objects."""
    model = model or batch["content_type"]
    if model is None:
        raise invalid("content_type", REQUIRED)
    if batch["content_type"] not in {None, model}:
        raise invalid("content_type", f"The batch request is one of {batch['content_type']}.")
    if objects is None:
        raise invalid("objects", REQUIRED)
    check_lock(call, batch, model)
    for item in _clean_objects(call, objects):
        _not_held(call, batch, item)
        values = {"remote_id": item["remote_id"], "version_date": item["version_date"]}
        own = {"local_batch_id": batch["local_batch_id"], "status": "processing"}
        save_action(call, item["content_type"], item["pk"], values | own)
        _save_object(call, batch, item)
    return model


def check_lock(call: Call, batch: Row, model: str) -> None:
    """One batch request of a content type at a time, from its commit to its end."""
    where = f"channel = ? AND content_type = ? AND pk <> ? AND status IN {OPEN}"
    other = call.db.one("batch_requests", where, call.channel["pk"], model, batch["pk"])
    if other:
        raise _locked(call, other["local_batch_id"], model)


def _locked(call: Call, holder: str, model: str) -> ApiError:
    text = f"The batch request with {holder} is still being processed for {model}."
    return ApiError(call.sandbox.switches.refused_commit_status, {"non_field_errors": text, "code": LOCKED})


def _not_held(call: Call, batch: Row, item: Row) -> None:
    """Assumption: an object that another open batch request processes can not be taken from it."""
    action = find_action(call, item["content_type"], item["pk"])
    if action and action["status"] == "processing" and action["local_batch_id"] != batch["local_batch_id"]:
        raise _locked(call, action["local_batch_id"], item["content_type"])


def _clean_objects(call: Call, objects: list[Any]) -> list[Row]:
    cleaned = []
    for item in objects:
        if not isinstance(item, dict):
            raise invalid("objects", "Expected a list of dictionaries.")
        cleaned.append(clean(OBJECT, item, call.db))
        check_object(call, cleaned[-1]["content_type"], cleaned[-1]["pk"], "objects")
    return cleaned


def _save_object(call: Call, batch: Row, item: Row) -> None:
    values = {key: item[key] for key in ("version_date", "remote_id", "failed_reason_type")}
    where = "batch_request = ? AND content_type = ? AND object_id = ?"
    known = call.db.one("batch_objects", where, batch["pk"], item["content_type"], item["pk"])
    if known:
        kept = {key: value for key, value in values.items() if value is not None or key == "failed_reason_type"}
        call.db.update("batch_objects", known["pk"], kept)
    else:
        own = {"batch_request": batch["pk"], "content_type": item["content_type"], "object_id": item["pk"]}
        call.db.insert("batch_objects", values | own)


def end(call: Call, batch: Row, status: str, objects: list[Row]) -> None:
    """Gives every object its result; a committed one that is not listed shares the fate of the batch request."""
    for item in objects:
        _not_held(call, batch, item)
        failed = status == "fail" or item["failed_reason_type"] is not None
        values = {"local_batch_id": batch["local_batch_id"], "remote_id": item["remote_id"]}
        if not failed:
            values["version_date"] = item["version_date"]
        save_action(call, item["content_type"], item["pk"], values)
        _finish(call, item["content_type"], item["pk"], item["failed_reason_type"], failed=failed)
        _save_object(call, batch, item)
    left = call.db.rows(
        "integration_actions", "local_batch_id = ? AND status = 'processing'", [batch["local_batch_id"]]
    )
    for action in left:
        _finish(call, action["content_type"], action["object_id"], None, failed=status == "fail")


def _finish(call: Call, model: str, object_id: int, reason: str | None, *, failed: bool) -> None:
    action = find_action(call, model, object_id)
    assert action is not None
    now = call.db.clock.now()
    result: Row = {"status": "success", "failed_reason_type": None, "failed_count": 0, "first_failed_date": None}
    if failed:
        result = {
            "status": "error",
            "failed_reason_type": reason,
            "failed_count": (action["failed_count"] or 0) + 1,
            "first_failed_date": action["first_failed_date"] or now,
            "last_failed_date": now,
        }
    call.db.update("integration_actions", action["pk"], result)


def expire(call: Call) -> None:
    """Only where the switch says so: an open batch request that nobody touched for long has failed."""
    minutes = call.sandbox.switches.expire_open_batches_minutes
    if minutes is None:
        return
    limit = iso(datetime.fromisoformat(call.db.clock.now()) - timedelta(minutes=minutes))
    where = f"channel = ? AND modified_date < ? AND status IN {OPEN}"
    for batch in call.db.rows("batch_requests", where, [call.channel["pk"], limit]):
        fail(call, batch)


def fail(call: Call, batch: Row) -> None:
    end(call, batch, "fail", [])
    call.db.update("batch_requests", batch["pk"], {"status": "fail"})
