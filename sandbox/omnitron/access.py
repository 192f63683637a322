"""Log-in, channels, catalogs, content types, carriers, stores and cancellation reasons."""

from typing import Any

from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Row, shown
from sandbox.omnitron.fields import Field, clean
from sandbox.omnitron.listing import DATES, filters, page
from sandbox.omnitron.schema import CONTENT_TYPES

login = Routes("auth", open=True)
common = Routes("channels")
scoped = Routes("look-ups", scoped=True)

LOGIN = {
    "username": Field(required=True, blank=False, max=150),
    "password": Field(required=True, blank=False, max=128),
}
CHANNEL = {
    "name": Field(blank=False, max=255),
    "is_active": Field("bool"),
    "conf": Field("object"),
    "schema": Field("object"),
}
CONTENT_TYPE_FILTERS = filters("model", "app_label", id="pk", id__in="pk__in")
CARGO_FILTERS = filters("erp_code", "name", "shipping_company", "pk__in", *DATES)
STORE_FILTERS = filters("erp_code", "erp_code__exact", "name", "is_active", "pk__in", *DATES)
REASON_FILTERS = filters("cancellation_type", "is_active", "subject", "pk__in", *DATES)


@login.post("/auth/login/", LOGIN, status=200)
def log_in(call: Call) -> dict[str, Any]:
    said = clean(LOGIN, call.body, call.db)
    call.sandbox.throttle_login(said["username"])
    return {"key": call.sandbox.log_in(said["username"], said["password"])}


@common.get("/active_user/")
def active_user(call: Call) -> Row:
    assert call.user is not None
    return {"pk": call.user["pk"], "id": call.user["pk"], "username": call.user["username"], "is_active": True}


@common.get("/channels/{pk:int}/")
def channel(call: Call) -> Row:
    return shown("channels", call.find("channels"))


@common.patch("/channels/{pk:int}/", CHANNEL)
def change_channel(call: Call) -> Row:
    pk = call.find("channels")["pk"]
    call.db.update("channels", pk, clean(CHANNEL, call.body, call.db, partial=True))
    return channel(call)


@common.get("/catalogs/{pk:int}/")
def catalog(call: Call) -> Row:
    return shown("catalogs", call.find("catalogs"))


@common.get("/content_types/", CONTENT_TYPE_FILTERS)
def content_types(call: Call) -> Row:
    return page(call, "content_types", CONTENT_TYPE_FILTERS)


@scoped.get("/cargos/", CARGO_FILTERS)
def cargos(call: Call) -> Row:
    return page(call, "cargos", CARGO_FILTERS)


@scoped.get("/cargos/{pk:int}/")
def cargo(call: Call) -> Row:
    return shown("cargos", call.find("cargos"))


@scoped.get("/retail_stores/", STORE_FILTERS)
def retail_stores(call: Call) -> Row:
    return page(call, "retail_stores", STORE_FILTERS)


@scoped.get("/cancellation_reasons/", REASON_FILTERS)
def cancellation_reasons(call: Call) -> Row:
    return page(call, "cancellation_reasons", REASON_FILTERS)


@scoped.get("/cancellation_reasons/{pk:int}/")
def cancellation_reason(call: Call) -> Row:
    return shown("cancellation_reasons", call.find("cancellation_reasons"))


def content_type(model: str) -> dict[str, Any]:
    """How an object names its content type."""
    number, app_label, _ = CONTENT_TYPES[model]
    return {"id": number, "pk": number, "app_label": app_label, "model": model}
