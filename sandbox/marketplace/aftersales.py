"""Cancellations that have happened, and claims (please cancel, please take back) that a seller decides on."""

from typing import Any, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, Field

from sandbox.marketplace import units
from sandbox.marketplace.answers import (
    KEY_NEEDED,
    FromMs,
    Refusal,
    Size,
    StoreOf,
    ToMs,
    check_window,
    cursor_key,
    cursor_text,
    json_response,
)
from sandbox.marketplace.mischief import entries_as_shown, move_claims
from sandbox.marketplace.shipments import require_order
from sandbox.marketplace.store import Store, loads

Json = dict[str, Any]

REASONS = {
    "CHANGED_MIND": "Vazgeçtim",
    "ORDERED_TWICE": "Yanlışlıkla iki kez sipariş verdim",
    "TOO_LATE": "Teslimat gecikti",
    "DAMAGED": "Ürün hasarlı geldi",
    "WRONG_ITEM": "Yanlış ürün geldi",
    "WRONG_SIZE": "Bedeni uymadı",
    "OUT_OF_STOCK": "Satıcının stoğunda yok",
}
REJECT_REASONS = {"USED": "Ürün kullanılmış", "PERIOD_OVER": "Süresi geçmiş", "ALREADY_SENT": "Ürün yola çıktı"}
router = APIRouter(prefix="/api", dependencies=KEY_NEEDED)


class Approval(BaseModel):
    """A yes, with a word to the buyer."""

    note: str = ""


class Rejection(Approval):
    """A no needs one of the reject reasons."""

    reasonCode: str = Field(min_length=1)  # noqa: N815 - the API's own name


@router.get("/cancellations")
async def cancellations(
    store: StoreOf, modified_from: FromMs, modified_to: ToMs, size: Size = 50, after: str | None = None
) -> Response:
    """What was cancelled in [modified_from, modified_to): one entry a line and event."""
    rows, following = _page(store, "cancellations", "cancellation_id", (modified_from, modified_to, size), after)
    shown = entries_as_shown(store, "cancellations", [_cancellation(row) for row in rows])
    return json_response({"next": following, "cancellations": shown})


@router.get("/orders/{order_id}/cancellations")
async def cancellations_of(store: StoreOf, order_id: int) -> Response:
    """All that was ever cancelled of an order, oldest first."""
    require_order(store, order_id)
    rows = store.db.execute("SELECT * FROM cancellations WHERE order_id = ? ORDER BY cancellation_id", (order_id,))
    return json_response({"cancellations": [_cancellation(dict(row)) for row in rows.fetchall()]})


@router.get("/claims")
async def claims(
    store: StoreOf, modified_from: FromMs, modified_to: ToMs, size: Size = 50, after: str | None = None
) -> Response:
    """Claims made or decided in [modified_from, modified_to)."""
    rows, following = _page(store, "claims", "claim_id", (modified_from, modified_to, size), after)
    shown = entries_as_shown(store, "claims", [_claim(row) for row in rows])
    if following:
        move_claims(store, rows[-1]["claim_id"])
    return json_response({"next": following, "claims": shown})


@router.get("/claims/reasons")
async def reasons() -> Response:
    """Why buyers cancel and return, and why sellers say no."""
    shown = {"claimReasons": REASONS, "rejectReasons": REJECT_REASONS}
    return json_response(
        {key: [{"code": code, "text": text} for code, text in pairs.items()] for key, pairs in shown.items()}
    )


@router.get("/claims/{claim_id}")
async def claim(store: StoreOf, claim_id: int) -> Response:
    """One claim, as it is now."""
    return json_response(_claim(_found(store, claim_id)))


@router.post("/claims/{claim_id}/approve")
async def approve(store: StoreOf, claim_id: int, approval: Approval | None = None) -> Response:
    """The units are cancelled, or taken back. 409 ALREADY_APPROVED or ALREADY_REJECTED."""
    row = _undecided(store, claim_id)
    with store.transaction():
        if row["type"] == "CANCEL":
            numbers = loads(row["units"])
            cancel(store, row["order_id"], {row["line_id"]: units.Want(len(numbers), numbers)}, row["reason_code"])
        else:
            store.change(row["order_id"], lambda body: units.take_back(body, row["line_id"], loads(row["units"])))
        _decide(store, claim_id, "APPROVED", None, approval.note if approval else "")
    return json_response(_claim(_found(store, claim_id)))


@router.post("/claims/{claim_id}/reject")
async def reject(store: StoreOf, claim_id: int, rejection: Rejection) -> Response:
    """422 REASON_UNKNOWN; 409 ALREADY_APPROVED or ALREADY_REJECTED."""
    _undecided(store, claim_id)
    if rejection.reasonCode not in REJECT_REASONS:
        raise Refusal(422, "REASON_UNKNOWN", "see rejectReasons of GET /api/claims/reasons")
    with store.transaction():
        _decide(store, claim_id, "REJECTED", rejection.reasonCode, rejection.note)
    return json_response(_claim(_found(store, claim_id)))


def cancel(store: Store, order_id: int, wanted: units.Wanted, reason: str) -> None:
    """Cancels units and writes that down; call it in a transaction."""
    body = loads(store.find(order_id) or "")
    waiting = {line["lineId"]: claimed(store, line["lineId"]) for line in body["lines"]}
    for line_id, numbers in store.change(order_id, lambda order: units.cancel(order, wanted, waiting)):
        store.db.execute(
            "INSERT INTO cancellations (order_id, order_number, line_id, quantity, units, reason_code, modified_ms) "
            "VALUES (?, ?, ?, ?, ?, ?, ?)",
            (order_id, body["orderNumber"], line_id, len(numbers), str(numbers), reason, store.now()),
        )


def open_claim(
    store: Store, order_id: int, line_id: str, quantity: int, what: tuple[Literal["CANCEL", "RETURN"], str, str]
) -> Json:
    """A buyer asks for something; `what` is type, reason and note. Call it in a transaction."""
    require_order(store, order_id)
    body = loads(store.find(order_id) or "")
    kind, reason, note = what
    line, now = units.line_of(body, line_id), store.now()
    state, code = (units.DELIVERED, "NOT_DELIVERED") if kind == "RETURN" else (units.OPEN, "ALREADY_SHIPPED")
    chosen = units.from_the_back(line, quantity, state, claimed(store, line_id))
    if len(chosen) < quantity:
        raise Refusal(409, code, f"of the line's units only {len(chosen)} can be claimed")
    cursor = store.db.execute(
        "INSERT INTO claims (order_id, order_number, line_id, type, quantity, units, reason_code, note, state, "
        "created_ms, modified_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'WAITING', ?, ?)",
        (order_id, body["orderNumber"], line_id, kind, quantity, str(chosen), reason, note, now, now),
    )
    return _claim(_found(store, cursor.lastrowid or 0))


def claimed(store: Store, line_id: str) -> set[int]:
    """Units of a line for which a claim is waiting."""
    rows = store.db.execute("SELECT units FROM claims WHERE line_id = ? AND state = 'WAITING'", (line_id,))
    return {number for row in rows for number in loads(row["units"])}


def _page(
    store: Store, table: str, key: str, window: tuple[int, int, int], after: str | None
) -> tuple[list[Json], str | None]:
    from_ms, to_ms, size = window
    check_window(from_ms, to_ms)
    rows = store.db.execute(
        f"SELECT * FROM {table} WHERE modified_ms >= ? AND modified_ms < ? AND (modified_ms, {key}) > (?, ?) "  # noqa: S608
        f"AND {store.is_listed(key)} ORDER BY modified_ms, {key} LIMIT ?",
        (from_ms, to_ms, *(cursor_key(after, 2) or (-1, -1)), size),
    ).fetchall()
    following = cursor_text((rows[-1]["modified_ms"], rows[-1][key])) if len(rows) == size else None
    return [dict(row) for row in rows], following


def _found(store: Store, claim_id: int) -> Json:
    row = store.db.execute("SELECT * FROM claims WHERE claim_id = ?", (claim_id,)).fetchone()
    if row is None:
        raise Refusal(404, "CLAIM_UNKNOWN", "there is no such claim")
    return dict(row)


def _undecided(store: Store, claim_id: int) -> Json:
    row = _found(store, claim_id)
    if row["state"] != "WAITING":
        raise Refusal(409, f"ALREADY_{row['state']}", "the claim is decided")
    return row


def _decide(store: Store, claim_id: int, state: str, code: str | None, note: str) -> None:
    store.db.execute(
        "UPDATE claims SET state = ?, decision_code = ?, decision_note = ?, modified_ms = ? WHERE claim_id = ?",
        (state, code, note, store.now(), claim_id),
    )


def _claim(row: Json) -> Json:
    return {
        "claimId": row["claim_id"],
        "orderId": row["order_id"],
        "orderNumber": row["order_number"],
        "lineId": row["line_id"],
        "type": row["type"],
        "quantity": row["quantity"],
        "unitNumbers": loads(row["units"]),
        "reasonCode": row["reason_code"],
        "note": row["note"],
        "state": row["state"],
        "decision": {"reasonCode": row["decision_code"], "note": row["decision_note"]},
        "createdAtMs": row["created_ms"],
        "changedAtMs": row["modified_ms"],
    }


def _cancellation(row: Json) -> Json:
    return {
        "cancellationId": row["cancellation_id"],
        "orderId": row["order_id"],
        "orderNumber": row["order_number"],
        "lineId": row["line_id"],
        "quantity": row["quantity"],
        "unitNumbers": loads(row["units"]),
        "reasonCode": row["reason_code"],
        "changedAtMs": row["modified_ms"],
    }
