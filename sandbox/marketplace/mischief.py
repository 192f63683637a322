"""What a hostile marketplace does with a page of a list, and behind the reader's back; else nothing."""

from sandbox.marketplace.hostility import NOT_LATE, Hostility, Json
from sandbox.marketplace.store import Store, dumps, loads

UNTOUCHED = (
    "SELECT order_id FROM orders WHERE listed_later = 0 AND modified_ms >= ? AND modified_ms < ? "  # noqa: S608
    f"AND (fault IS NULL OR fault NOT IN ({NOT_LATE})) AND (modified_ms, order_id) {{}} (?, ?) LIMIT 1"
)
Key = tuple[int, ...]  # a place in the list of orders: listed_later, modified_ms, order_id, place


def orders_as_shown(
    store: Store, hostility: Hostility, bodies: list[str], place: tuple[tuple[int, int], Key | None, Key | None]
) -> list[str]:
    """The page's rows. `place`: the window, the cursor it began behind, and the one it ends at where it goes on."""
    window, begin, end = place
    found = [loads(body) for body in bodies]
    shown = hostility.entries("orders", found, store.listed_at(begin) if begin else None)
    if end and hostility.moves("orders", *window, *end):
        _move_orders(store, hostility, window, end)
    return [dumps(row) for row in shown]


def entries_as_shown(store: Store, kind: str, found: list[Json]) -> list[Json]:
    """A page of another list."""
    return store.hostility.entries(kind, found) if store.hostility else found


def move_claims(store: Store, last: int) -> None:
    """Somebody writes a remark on a claim that was read, and on the next one, which was not."""
    if store.hostility and store.hostility.moves("claims", last, store.now()):
        store.hostility.struck["moved between pages"] += 1
        with store.transaction():
            store.db.execute(
                "UPDATE claims SET modified_ms = max(?, modified_ms + 1) WHERE claim_id IN (?, ?)",
                (store.now(), last, last + 1),
            )


def _move_orders(store: Store, hostility: Hostility, window: tuple[int, int], end: Key) -> None:
    """Somebody touches an order that was read, and one that was not: both leave the window, or move to its end."""
    found = [
        store.db.execute(UNTOUCHED.format(sign), (*window, *end[1:3])).fetchone()
        for sign in ("<=", ">")  # read, and not read yet
    ]
    with store.transaction():
        for row in found:
            if row:
                store.change(row["order_id"], _touch)
                hostility.struck["moved between pages"] += 1


def _touch(body: Json) -> None:
    body["touched"] = body.get("touched", 0) + 1
