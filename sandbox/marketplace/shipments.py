"""How a seller says what was shipped: at once for one order, or many as a feed that is worked through later."""

from collections.abc import Set as AbstractSet
from typing import Any, Literal, Self

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field, model_validator

from sandbox.marketplace import units
from sandbox.marketplace.answers import KEY_NEEDED, Refusal, StoreOf, json_response
from sandbox.marketplace.store import Store, dumps, loads

Json = dict[str, Any]

LARGEST_FEED = 1000
router = APIRouter(prefix="/api", dependencies=KEY_NEEDED)


class UnitsOfLine(BaseModel):
    """So many units of a line, or exactly these."""

    lineId: str  # noqa: N815 - the API's own name
    quantity: int | None = Field(default=None, ge=1)
    unitNumbers: list[int] = []  # noqa: N815

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if len(set(self.unitNumbers)) != len(self.unitNumbers):
            raise ValueError("a unit stands twice in unitNumbers")
        if self.unitNumbers and self.quantity not in {None, len(self.unitNumbers)}:
            raise ValueError("quantity differs from the number of unitNumbers")
        if not self.unitNumbers and self.quantity is None:
            raise ValueError("quantity or unitNumbers is needed")
        return self


class Shipment(BaseModel):
    """A parcel; without lines it holds all that is left."""

    carrier: str | None = None
    trackingNo: str | None = None  # noqa: N815
    invoiceNo: str | None = None  # noqa: N815
    lines: list[UnitsOfLine] = []


class Delivery(BaseModel):
    """What arrived; without lines all that is on its way."""

    lines: list[UnitsOfLine] = []


class FeedLine(Shipment):
    """One order of a feed."""

    orderId: int  # noqa: N815
    status: Literal["SHIPPED", "DELIVERED"] = "SHIPPED"


class Feed(BaseModel):
    """What happened to many orders; `reference` is the seller's own and may be used once."""

    reference: str = Field(min_length=1, max_length=100)
    lines: list[FeedLine] = Field(min_length=1, max_length=LARGEST_FEED)


def wanted(lines: list[UnitsOfLine]) -> units.Wanted:
    """By line; a line may stand there twice."""
    found: units.Wanted = {}
    for line in lines:
        want = found.setdefault(line.lineId, units.Want(0))
        if want.quantity and bool(want.numbers) != bool(line.unitNumbers):
            raise Refusal(422, "LINES_INVALID", "name the units of a line, or none of them")
        if set(want.numbers) & set(line.unitNumbers):
            raise Refusal(422, "LINES_INVALID", "a unit stands there twice")
        want.quantity += line.quantity or len(line.unitNumbers)
        want.numbers += line.unitNumbers
    return found


def require_order(store: Store, order_id: int) -> None:
    if store.find(order_id) is None:
        raise Refusal(404, "ORDER_UNKNOWN", "there is no such order")


def ship(store: Store, order_id: int, parcel: Shipment) -> None:
    """Call it in a transaction, after `require_order`."""
    details = {"carrier": parcel.carrier, "tracking_no": parcel.trackingNo, "invoice_no": parcel.invoiceNo}
    store.change(order_id, lambda body: units.ship(body, wanted(parcel.lines), **details))


def deliver(store: Store, order_id: int, lines: list[UnitsOfLine]) -> None:
    """Call it in a transaction, after `require_order`."""
    store.change(order_id, lambda body: units.deliver(body, wanted(lines)))


@router.post("/orders/{order_id}/shipment")
async def ship_now(store: StoreOf, order_id: int, parcel: Shipment) -> Response:
    """409 ALREADY_SHIPPED, ALREADY_CANCELLED or TOO_MANY_UNITS where that can't be."""
    require_order(store, order_id)
    with store.transaction():
        ship(store, order_id, parcel)
    return json_response(store.find(order_id))


@router.post("/orders/{order_id}/delivered")
async def deliver_now(store: StoreOf, order_id: int, delivery: Delivery | None = None) -> Response:
    """409 ALREADY_DELIVERED, NOT_SHIPPED, ALREADY_CANCELLED or TOO_MANY_UNITS where that can't be."""
    require_order(store, order_id)
    with store.transaction():
        deliver(store, order_id, delivery.lines if delivery else [])
    return json_response(store.find(order_id))


# Feeds ----------------------------------------------------------------------------------------------------------------


@router.post("/feeds/shipments")
async def submit(store: StoreOf, feed: Feed) -> Response:
    """202 and an id to ask with; 409 REFERENCE_USED names the feed that came with this reference before."""
    earlier = store.db.execute("SELECT feed_id FROM feeds WHERE reference = ?", (feed.reference,)).fetchone()
    if earlier:
        raise Refusal(409, "REFERENCE_USED", "this reference came before", feedId=earlier["feed_id"])
    with store.transaction():
        feed_id = store.db.execute(
            "INSERT INTO feeds (reference, state, created_ms) VALUES (?, 'IN_PROGRESS', ?)",
            (feed.reference, store.now()),
        ).lastrowid
        store.db.executemany(
            "INSERT INTO feed_lines (feed_id, place, order_id, request) VALUES (?, ?, ?, ?)",
            [(feed_id, place, line.orderId, dumps(line.model_dump())) for place, line in enumerate(feed.lines)],
        )
    return json_response({"feedId": feed_id, "reference": feed.reference, "state": "IN_PROGRESS"}, 202)


@router.get("/feeds/{feed_id}")
async def feed_state(request: Request, store: StoreOf, feed_id: int) -> Response:
    """IN_PROGRESS, or DONE with a result for each line."""
    _work_off(store, request.app.state.feed_seconds)
    row = store.db.execute("SELECT * FROM feeds WHERE feed_id = ?", (feed_id,)).fetchone()
    if row is None:
        raise Refusal(404, "FEED_UNKNOWN", "there is no such feed")
    return json_response(_shown(store, dict(row)))


@router.get("/feeds")
async def feeds_by_reference(request: Request, store: StoreOf, reference: str) -> Response:
    """The feed that came with a reference: how a seller whose answer got lost finds it."""
    _work_off(store, request.app.state.feed_seconds)
    rows = store.db.execute("SELECT * FROM feeds WHERE reference = ?", (reference,)).fetchall()
    return json_response({"feeds": [_shown(store, dict(row)) for row in rows]})


def _shown(store: Store, feed: Json) -> Json:
    lines = store.db.execute(
        "SELECT order_id AS orderId, result, code, message FROM feed_lines WHERE feed_id = ? ORDER BY place",
        (feed["feed_id"],),
    ).fetchall()
    return {
        "feedId": feed["feed_id"],
        "reference": feed["reference"],
        "state": feed["state"],
        "createdAtMs": feed["created_ms"],
        "doneAtMs": feed["done_ms"],
        "lines": [dict(line) for line in lines],
    }


def _work_off(store: Store, seconds: float | None) -> None:
    """Feeds are decided `seconds` after they came, whenever somebody asks next."""
    if seconds is None:
        return
    due = store.db.execute(
        "SELECT feed_id FROM feeds WHERE state = 'IN_PROGRESS' AND created_ms <= ?",
        (store.now() - int(seconds * 1000),),
    ).fetchall()
    for row in due:
        decide(store, row["feed_id"])


def decide(store: Store, feed_id: int, *, refuse: AbstractSet[int] = frozenset(), code: str = "REFUSED") -> None:
    """Works a feed through, each line on its own; lines of the orders in `refuse` fail with `code`."""
    lines = store.db.execute("SELECT * FROM feed_lines WHERE feed_id = ? ORDER BY place", (feed_id,)).fetchall()
    for line in lines:
        try:
            _apply(store, FeedLine.model_validate(loads(line["request"])), code if line["order_id"] in refuse else None)
            outcome: tuple[str | None, ...] = ("OK", None, None)
        except Refusal as refusal:
            outcome = ("FAILED", refusal.code, refusal.message)
        store.db.execute(
            "UPDATE feed_lines SET result = ?, code = ?, message = ? WHERE feed_id = ? AND place = ?",
            (*outcome, feed_id, line["place"]),
        )
    store.db.execute("UPDATE feeds SET state = 'DONE', done_ms = ? WHERE feed_id = ?", (store.now(), feed_id))


def _apply(store: Store, line: FeedLine, refusal: str | None) -> None:
    if refusal:
        raise Refusal(409, refusal, "refused by hand")
    require_order(store, line.orderId)
    with store.transaction():
        if line.status == "SHIPPED":
            ship(store, line.orderId, line)
        else:
            deliver(store, line.orderId, line.lines)
