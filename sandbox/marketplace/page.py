"""The page at `/`: what there is, for people."""

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from sandbox.faults import Faults
from sandbox.marketplace.answers import StoreOf
from sandbox.marketplace.order import ISTANBUL, moment
from sandbox.marketplace.store import Store

ROWS = 50
RECENT_MS = 24 * 3_600_000
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:76rem;padding:0 1rem;color:#223;background:#faf8f4}
h1{font-weight:600;margin-bottom:0}h2{margin-top:2.2rem;font-weight:600}p{color:#667;margin-top:.2rem}
table{border-collapse:collapse;width:100%;background:#fff;box-shadow:0 1px 3px #0002;border-radius:6px}
th,td{text-align:left;padding:.35rem .7rem;border-bottom:1px solid #eee;white-space:nowrap;overflow:hidden;
text-overflow:ellipsis;max-width:18rem}th{color:#889;font-weight:500;font-size:.85em}tr:last-child td{border:0}
.bad td{background:#fff0ee}.odd td{background:#fff9e8}
"""
router = APIRouter()


@router.get("/health")
async def health() -> dict[str, str]:
    """Ready to answer."""
    return {"status": "ok"}


@router.get("/")
async def overview(request: Request, store: StoreOf) -> Response:
    """The newest orders of a day, feeds, claims, cancellations and faults."""
    now = store.now()
    store.materialise(now - RECENT_MS, now)
    parts = [_orders(store), _feeds(store), _claims(store), _cancellations(store), _faults(request.app.state.faults)]
    plan = store.plan
    head = (
        f"<h1>Kervan</h1><p>a sandbox marketplace · seed {plan.seed} · {plan.rate:g} orders/h · bad {plan.bad:g} %</p>"
    )
    page = f"<!doctype html><html lang=en><meta charset=utf-8><title>Kervan</title><style>{STYLE}</style>{head}"
    return HTMLResponse(page + "".join(parts))


def _orders(store: Store) -> str:
    found = store.db.execute("SELECT * FROM orders ORDER BY modified_ms DESC, row_id DESC LIMIT ?", (ROWS,)).fetchall()
    (total,) = store.db.execute("SELECT count(*) FROM orders").fetchone()
    rows = [
        (
            "bad" if row["reason"] else "odd" if row["fault"] else "",
            (_time(row["modified_ms"]), row["number"][:24], row["order_id"], row["state"], row["payable"],
             row["carrier"], row["fault"] or "", row["expected"]),
        )
        for row in found
    ]  # fmt: skip
    return _table(
        f"Orders ({total})", ("modified", "number", "id", "state", "payable", "carrier", "special", "expected"), rows
    )


def _feeds(store: Store) -> str:
    found = store.db.execute("SELECT * FROM feeds ORDER BY feed_id DESC LIMIT ?", (ROWS,)).fetchall()
    rows = [("", (row["feed_id"], row["reference"], row["state"], _time(row["created_ms"]))) for row in found]
    return _table("Feeds", ("id", "reference", "state", "received"), rows)


def _claims(store: Store) -> str:
    found = store.db.execute("SELECT * FROM claims ORDER BY claim_id DESC LIMIT ?", (ROWS,)).fetchall()
    names = ("claim_id", "order_number", "line_id", "type", "quantity", "reason_code", "state")
    return _table("Claims", names, [("", [row[name] for name in names]) for row in found])


def _cancellations(store: Store) -> str:
    found = store.db.execute("SELECT * FROM cancellations ORDER BY cancellation_id DESC LIMIT ?", (ROWS,)).fetchall()
    names = ("cancellation_id", "order_number", "line_id", "quantity", "reason_code")
    return _table("Cancellations", names, [("", [row[name] for name in names]) for row in found])


def _faults(faults: Faults) -> str:
    rows = [("", (rule.id, rule.method or "any", rule.path, rule.action["kind"], rule.fired)) for rule in faults.rules]
    return _table("Faults", ("id", "method", "path", "kind", "fired"), rows)


def _table(title: str, columns: Sequence[str], rows: Sequence[tuple[str, Sequence[Any]]]) -> str:
    if not rows:
        return f"<h2>{escape(title)}</h2><p>none</p>"
    head = "".join(f"<th>{escape(name.replace('_', ' '))}" for name in columns)
    lines = "".join(
        f"<tr class='{kind}'>" + "".join(f"<td>{escape(str(cell))}" for cell in cells) for kind, cells in rows
    )
    return f"<h2>{escape(title)}</h2><table><tr>{head}{lines}</table>"


def _time(ms: int) -> str:
    when: datetime = moment(ms).astimezone(ISTANBUL)
    return when.strftime("%d.%m. %H:%M:%S")
