"""Integration actions: which of a channel's objects an Omnitron object is, and what the channel was last told."""

from typing import Any

from sandbox.omnitron.access import content_type
from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Row, shown
from sandbox.omnitron.errors import duplicate, invalid
from sandbox.omnitron.fields import REQUIRED, Field, Fields, clean
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.people import own_channel
from sandbox.omnitron.schema import CONTENT_TYPES

routes = Routes("integration actions", scoped=True)

MODELS = tuple(CONTENT_TYPES)
IDS = {number: model for model, (number, _, _) in CONTENT_TYPES.items()}
CHANGE: Fields = {
    "remote_id": Field(null=True, max=255),
    "version_date": Field("date", null=True),
    "state": Field("object", default={}),
}
CREATE: Fields = {
    "channel_id": Field("int", ref="channels"),
    "channel": Field("int", ref="channels"),
    "content_type": Field("choice", choices=MODELS, blank=False),
    "content_type_model": Field("choice", choices=MODELS, blank=False),
    "content_type_id": Field("int"),
    "object_id": Field("int", required=True),
    **CHANGE,
}
# `remote_id` alone is no filter, as clients of the real server found out.
FILTERS = filters(
    "channel", "content_type", "remote_id__exact", "remote_id__in", "remote_id__startswith", "object_id",
    "object_id__in", "local_batch_id", "status", "status__in", "pk__in", *DATES,
    channel_id="channel", content_type_name="content_type",
)  # fmt: skip


@routes.get("/integration_actions/", FILTERS)
def integration_actions(call: Call) -> Row:
    mine = Where("channel = ?", [call.channel["pk"]])
    return page(call, "integration_actions", FILTERS, where=[mine], show=shown_action)


@routes.post("/integration_actions/", CREATE)
def create_integration_action(call: Call) -> Row:
    said = clean(CREATE, call.body, call.db)
    own_channel(call, said)
    own_channel(call, {"channel": said["channel_id"]})
    model = _model(said)
    check_object(call, model, said["object_id"], "object_id")
    if find_action(call, model, said["object_id"]):
        text = f"An integration action of {model} {said['object_id']} already exists in the channel."
        raise duplicate(call.sandbox.switches, text, "integration_action_100_1")
    values = {key: said[key] for key in ("object_id", "remote_id", "version_date", "state")}
    own = {"channel": call.channel["pk"], "content_type": model, "failed_count": 0}
    return shown_action(call.db.insert("integration_actions", values | own))


@routes.get("/integration_actions/{pk:int}/")
def integration_action(call: Call) -> Row:
    return shown_action(call.find("integration_actions"))


@routes.patch("/integration_actions/{pk:int}/", CHANGE)
def change_integration_action(call: Call) -> Row:
    pk = call.find("integration_actions")["pk"]
    call.db.update("integration_actions", pk, clean(CHANGE, call.body, call.db, partial=True))
    return integration_action(call)


def _model(said: Row) -> str:
    model = said["content_type"] or said["content_type_model"] or IDS.get(said["content_type_id"])
    if model is None:
        raise invalid("content_type", REQUIRED)
    return str(model)


def shown_action(row: Row) -> Row:
    return {**shown("integration_actions", row), "content_type": content_type(row["content_type"])}


def find_action(call: Call, model: str, object_id: int) -> Row | None:
    where = "channel = ? AND content_type = ? AND object_id = ?"
    return call.db.one("integration_actions", where, call.channel["pk"], model, object_id)


def check_object(call: Call, model: str, object_id: int, field: str) -> None:
    """Objects of the kinds that the stand-in keeps have to be there, and of this channel where they have one."""
    table = CONTENT_TYPES[model][2]
    row: Row | None = call.db.get(table, object_id) if table else {}
    if row is None or row.get("channel", call.channel["pk"]) != call.channel["pk"]:
        raise invalid(field, f'Invalid pk "{object_id}" - {model} object does not exist.')


def save_action(call: Call, model: str, object_id: int, values: dict[str, Any]) -> None:
    """Creates or changes the one action of an object; a null remote_id or version_date does not erase a known one."""
    known = find_action(call, model, object_id)
    kept = {
        key: value for key, value in values.items() if value is not None or key not in {"remote_id", "version_date"}
    }
    if known:
        call.db.update("integration_actions", known["pk"], kept)
    else:
        own = {"channel": call.channel["pk"], "content_type": model, "object_id": object_id, "failed_count": 0}
        call.db.insert("integration_actions", own | kept)
