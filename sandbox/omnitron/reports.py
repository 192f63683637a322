"""Error reports (the panel's marketplace logs), address reports and operational events."""

from typing import Any

from sandbox.omnitron.access import content_type
from sandbox.omnitron.actions import IDS
from sandbox.omnitron.api import Answer, Call, Routes
from sandbox.omnitron.database import Row, shown
from sandbox.omnitron.errors import ApiError, invalid, missing
from sandbox.omnitron.fields import Field, Fields, clean
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.schema import CONTENT_TYPES

routes = Routes("reports", scoped=True)

LEVELS = {"city", "township", "district"}
LONGEST = 1_000_000  # a raw request is text without a limit; this one is against accidents
REPORT: Fields = {
    "action_content_type": Field("int", required=True, ref="content_types"),
    "action_object_id": Field("int", required=True),
    "target_content_type": Field("int", null=True, ref="content_types"),
    "target_object_id": Field(null=True, max=255),
    "obj_modified_date": Field("date", null=True),
    "error_code": Field(required=True, blank=False, max=255),
    "error_desc": Field(null=True, max=LONGEST),
    "raw_request": Field(null=True, max=LONGEST),
    "raw_response": Field(null=True, max=LONGEST),
    "is_ok": Field("bool", default=False),
}
ADDRESS_REPORT: Fields = {
    "type": Field(null=True, max=32),
    "remote_code": Field(required=True, blank=False, max=255),
    "country_id": Field("int", required=True, null=True, ref="countries"),
    "city_id": Field("int", null=True, ref="cities"),
    "township_id": Field("int", null=True, ref="townships"),
    "name": Field(null=True, max=255),
    "integration_type": Field(required=True, blank=False, max=64),
    "err_code": Field(required=True, null=True, max=255),
    "err_desc": Field(required=True, null=True, max=LONGEST),
}
EVENT: Fields = {
    "event_type": Field(required=True, blank=False, max=255),
    "level": Field("choice", required=True, blank=False, choices=("info", "error")),
    "source": Field(required=True, blank=False, max=255),
    "message": Field(required=True, blank=False, max=LONGEST),
    "context": Field("object", null=True, default={}),
    "tags": Field("object", null=True, default={}),
    "action_content_type": Field("choice", null=True, choices=tuple(CONTENT_TYPES), blank=False),
    "action_object_id": Field(null=True, max=255),
    "trace_id": Field(null=True, max=64),
    "span_id": Field(null=True, max=64),
    "parent_span_id": Field(null=True, max=64),
    "raw_data": Field("object", null=True, default={}),
}
REPORT_FILTERS = filters(
    "error_code", "error_code__startswith", "is_ok", "action_content_type", "action_object_id", "pk__in", *DATES
)
EVENT_FILTERS = filters("event_type", "level", "action_content_type", *DATES)


@routes.get("/error_reports/", REPORT_FILTERS)
def error_reports(call: Call) -> Row:
    mine = Where("channel = ?", [call.channel["pk"]])
    return page(call, "error_reports", REPORT_FILTERS, where=[mine], show=_expanded)


@routes.post("/error_reports/", REPORT)
def create_error_report(call: Call) -> Any:
    """Assumption: the same code for the same action and target is the same report, seen again."""
    said = clean(REPORT, call.body, call.db)
    if said["target_content_type"] is None:
        said["target_content_type"] = CONTENT_TYPES["channel"][0]
    if not said["target_object_id"]:
        said["target_object_id"] = str(call.channel["pk"])
    keys = ("action_content_type", "action_object_id", "target_content_type", "target_object_id", "error_code")
    where = " AND ".join(f"{key} = ?" for key in ("channel", *keys))
    known = call.db.one("error_reports", where, call.channel["pk"], *(said[key] for key in keys))
    if known is None:
        return _expanded(call.db.insert("error_reports", {**said, "channel": call.channel["pk"]}))
    if call.sandbox.switches.strict_error_codes:
        raise invalid("error_code", "A report with this code already exists for the object.")
    call.db.update("error_reports", known["pk"], said)
    return Answer(200, _expanded(call.find("error_reports", known["pk"])))


def _expanded(row: Row) -> Row:
    action = {"content_type": content_type(IDS[row["action_content_type"]]), "object_id": row["action_object_id"]}
    target = {"content_type": content_type(IDS[row["target_content_type"]]), "object_id": row["target_object_id"]}
    return {**shown("error_reports", row), "action": action, "target": target}


@routes.post("/error_reports/{level}/", ADDRESS_REPORT)
def create_address_report(call: Call) -> None:
    if call.path["level"] not in LEVELS:
        raise missing()
    said = clean(ADDRESS_REPORT, call.body, call.db)
    call.db.insert("address_reports", {**said, "type": call.path["level"], "channel": call.channel["pk"]})


@routes.get("/operational_events/", EVENT_FILTERS)
def operational_events(call: Call) -> Row:
    _there(call)
    return page(call, "operational_events", EVENT_FILTERS, where=[Where("channel = ?", [call.channel["pk"]])])


@routes.post("/operational_events/", EVENT)
def create_operational_event(call: Call) -> Row:
    _there(call)
    said = clean(EVENT, call.body, call.db)
    return shown("operational_events", call.db.insert("operational_events", {**said, "channel": call.channel["pk"]}))


def _there(call: Call) -> None:
    if call.sandbox.switches.operational_events_missing:
        raise ApiError(404, {"detail": "Not found."})
