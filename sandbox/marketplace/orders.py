"""`GET /api/orders`: what was modified in a window, and one order, by its id or by that of a line."""

from fastapi import APIRouter, Response

from sandbox.marketplace.answers import (
    KEY_NEEDED,
    FromMs,
    Page,
    Refusal,
    Size,
    StoreOf,
    ToMs,
    check_window,
    cursor_key,
    cursor_text,
    json_response,
)
from sandbox.marketplace.mischief import orders_as_shown
from sandbox.marketplace.store import dumps, loads

router = APIRouter(prefix="/api/orders", dependencies=KEY_NEEDED)
lines = APIRouter(prefix="/api/lines", dependencies=KEY_NEEDED)


@router.get("")
async def listed(
    store: StoreOf, modified_from: FromMs, modified_to: ToMs, page: Page = 1, size: Size = 50, after: str | None = None
) -> Response:
    """Orders modified in [modified_from, modified_to), by modification date, then id.

    Go on with `after=<next>` until `next` is null: an order that is modified while somebody reads leaves the window
    and would move the pages behind it forward, so that `page` skips one; a cursor skips nothing.
    """
    check_window(modified_from, modified_to)
    skip, cursor = 0 if after else (page - 1) * size, cursor_key(after, 4)
    bodies, total, last = store.page(modified_from, modified_to, after=cursor, skip=skip, size=size)
    following = dumps(cursor_text(last) if last and len(bodies) == size else None)
    if store.hostility:
        window = (modified_from, modified_to)
        bodies = orders_as_shown(
            store, store.hostility, bodies, (window, cursor, last if len(bodies) == size else None)
        )
    # The rows are JSON already.
    head = f'{{"page":{page},"size":{size},"total":{total},"next":{following},"orders":['
    return json_response(head + ",".join(bodies) + "]}")


@router.get("/{order_id}")
async def one(store: StoreOf, order_id: int) -> Response:
    """One order, as the list shows it now."""
    body = store.find(order_id)
    if body is None:
        raise Refusal(404, "ORDER_UNKNOWN", "there is no such order")
    return json_response(body)


@lines.get("/{line_id}")
async def by_line(store: StoreOf, line_id: str) -> Response:
    """The order that a line is of, as `GET /api/orders/{id}` shows it."""
    order = line_id.partition("-")[0]  # nobody else has to know that
    body = store.find(int(order)) if order.isascii() and order.isdigit() and len(order) < 19 else None
    if body is None or line_id not in {line["lineId"] for line in loads(body)["lines"]}:
        raise Refusal(404, "LINE_UNKNOWN", "there is no such line")
    return json_response(body)
