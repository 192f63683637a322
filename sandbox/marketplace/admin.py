"""What buyers, couriers and the marketplace itself do, for tests and demonstrations: no key, this machine only."""

from collections import Counter
from dataclasses import asdict, replace
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from sandbox.faults import Faults
from sandbox.marketplace import aftersales, shipments, units
from sandbox.marketplace.answers import Refusal, StoreOf, json_response
from sandbox.marketplace.hostility import Hostility, Settings
from sandbox.marketplace.shipments import Delivery, Shipment, UnitsOfLine, require_order, wanted
from sandbox.marketplace.store import Store, loads
from sandbox.storms import WAYS

router = APIRouter(prefix="/admin")


class Cancelling(BaseModel):
    """Without lines, everything that was not shipped."""

    reason: str = "CHANGED_MIND"
    lines: list[UnitsOfLine] = []


class Claiming(BaseModel):
    """Without a line, one unit of the first."""

    type: Literal["CANCEL", "RETURN"] = "RETURN"
    reason: str = "CHANGED_MIND"
    note: str = ""
    lineId: str | None = None  # noqa: N815 - the API's own name
    quantity: int = 1


class Invoicing(BaseModel):
    """The number of the invoice."""

    number: str = Field(min_length=1, max_length=64)


class Deciding(BaseModel):
    """Orders whose lines are to fail, and with what code."""

    refuse: list[int] = []
    code: str = "REFUSED"


@router.post("/orders/{order_id}/cancel")
async def cancel(store: StoreOf, order_id: int, said: Cancelling | None = None) -> Response:
    """The buyer, or the marketplace, cancels units that were not shipped."""
    said = said or Cancelling()
    _check_reason(said.reason)
    require_order(store, order_id)
    with store.transaction():
        aftersales.cancel(store, order_id, wanted(said.lines), said.reason)
    return json_response(store.find(order_id))


@router.post("/orders/{order_id}/claim")
async def claim(store: StoreOf, order_id: int, said: Claiming | None = None) -> Response:
    """The buyer asks to cancel or to return."""
    said = said or Claiming()
    _check_reason(said.reason)
    require_order(store, order_id)
    lines = loads(store.find(order_id) or "")["lines"]
    line_id = said.lineId or (lines[0]["lineId"] if lines else "")
    with store.transaction():
        opened = aftersales.open_claim(store, order_id, line_id, said.quantity, (said.type, said.reason, said.note))
    return json_response(opened, 201)


@router.post("/orders/{order_id}/ship")
async def ship(store: StoreOf, order_id: int, parcel: Shipment | None = None) -> Response:
    """The marketplace's own warehouse sends what is still there."""
    require_order(store, order_id)
    with store.transaction():
        shipments.ship(store, order_id, parcel or Shipment())
    return json_response(store.find(order_id))


@router.post("/orders/{order_id}/deliver")
async def deliver(store: StoreOf, order_id: int, said: Delivery | None = None) -> Response:
    """The courier hands over what is on its way."""
    require_order(store, order_id)
    with store.transaction():
        shipments.deliver(store, order_id, said.lines if said else [])
    return json_response(store.find(order_id))


@router.post("/orders/{order_id}/invoice")
async def invoice(store: StoreOf, order_id: int, said: Invoicing) -> Response:
    """The marketplace invoices the buyer by itself."""
    require_order(store, order_id)
    with store.transaction():
        store.change(order_id, lambda body: units.invoice(body, said.number))
    return json_response(store.find(order_id))


@router.post("/feeds/{feed_id}/decide")
async def decide(store: StoreOf, feed_id: int, said: Deciding | None = None) -> Response:
    """Works a feed through now; 409 if it was already."""
    row = store.db.execute("SELECT state FROM feeds WHERE feed_id = ?", (feed_id,)).fetchone()
    if row is None:
        raise Refusal(404, "FEED_UNKNOWN", "there is no such feed")
    if row["state"] == "DONE":
        raise Refusal(409, "ALREADY_DONE", "the feed is decided")
    said = said or Deciding()
    shipments.decide(store, feed_id, refuse=set(said.refuse), code=said.code)
    return json_response({"feedId": feed_id, "state": "DONE"})


@router.get("/hostile")
async def how_hostile(store: StoreOf) -> Response:
    """How hostile it is (null: not at all), and what struck how often."""
    hostility = store.hostility
    return json_response(
        {"settings": asdict(hostility.settings), "struck": hostility.struck} if hostility else {"settings": None}
    )


@router.put("/hostile")
async def be_hostile(request: Request, store: StoreOf, said: dict[str, Any]) -> Response:
    """From now on; what is not said stays as it is, or begins as it mostly is."""
    known = store.hostility.settings if store.hostility else Settings()
    try:
        turn(store, request.app.state.faults, replace(known, **said))
    except (TypeError, ValueError) as error:
        raise Refusal(422, "SETTINGS_INVALID", str(error)) from None
    return await how_hostile(store)


@router.delete("/hostile")
async def be_friendly(request: Request, store: StoreOf) -> Response:
    """Not any more."""
    turn(store, request.app.state.faults, None)
    return await how_hostile(store)


def turn(store: Store, faults: Faults, settings: Settings | None) -> None:
    """Hostile from now on, or not any more. Rules that somebody else made stay; what struck goes on to be counted."""
    fired = {rule.name: rule.fired for rule in faults.rules}
    faults.rules[:] = [rule for rule in faults.rules if rule.name not in WAYS]
    if settings is None:
        store.hostility = None
        return
    store.hostility = Hostility(settings, store.hostility.struck if store.hostility else Counter())
    for rule in faults.add(settings.rules()):
        rule.fired = fired.get(rule.name, 0)


@router.get("/counts")
async def counts(store: StoreOf) -> Response:
    """How much of everything there is, for a first look."""
    tables = ("orders", "lines", "feeds", "claims", "cancellations")
    return json_response(
        {name: store.db.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in tables}  # noqa: S608
    )


def _check_reason(code: str) -> None:
    if code not in aftersales.REASONS:
        raise Refusal(422, "REASON_UNKNOWN", "see claimReasons of GET /api/claims/reasons")
