"""What all readings of Medusa share: instants, windows, pages, and one thing by its id."""

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from order_integration.channels.commands import ReadCommand, Record, Window
from order_integration.errors import ConfigurationError, ContractError, RefusedError
from order_integration.exact_json import Json
from order_integration.transport import HttpSession

Query = dict[str, str | int | list[str]]

NOT_FOUND = 404
FEWEST_OF_A_PAGE = 2  # where the last row of the page before is read again
MOST_OF_ONE_ORDER = 1000  # returns: Medusa has no maximum page, and no order has so many


def instant(moment: datetime) -> str:
    """In UTC with a Z, because Medusa answers 500 to an unescaped plus; in milliseconds, which is what it stores.

    Rounded up on both sides of a window, so that what is stored before its start is not in it, and windows still meet.
    """
    begun = timedelta(microseconds=-moment.microsecond % 1000)
    return (moment + begun).astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def checked_window(window: Window) -> Window:
    """Refuse a window that can have nothing in it."""
    if window.start >= window.end:
        raise ConfigurationError("the window ends before it begins", start=window.start, end=window.end)
    return window


def within(field: str, window: Window) -> Query:
    """The window as Medusa's filters."""
    return {f"{field}[$gte]": instant(window.start), f"{field}[$lt]": instant(window.end)}


def of_sales_channels(channels: Iterable[str]) -> Query:
    """Only orders of these; of all where none is named."""
    return {"sales_channel_id[]": list(channels)} if channels else {}


def orders_within(field: str, data: Window, command: ReadCommand[Any], fields: str) -> Query:
    """Orders of the channel's that moved into the window by `field`, a page at a time."""
    limit: Query = {"fields": fields, "limit": command.connector.channel.page_size}
    return within(field, data) | limit | of_sales_channels(command.settings.sales_channels)


async def pages_by_id(http: HttpSession, kind: str, query: Query) -> AsyncIterator[list[Record]]:
    """Pages by keyset on the id, a ULID: what comes or goes meanwhile shifts none of the others."""
    last = ""
    while True:
        answer = await http.get(f"admin/{kind}", {**query, "order": "id"} | ({"id[$gt]": last} if last else {}))
        page, remaining = rows(answer, kind), int(answer.get("count", 0))
        if page:
            # A filter that Medusa doesn't know is ignored without a word, and we would read page one for ever.
            if str(page[0]["id"]) <= last:
                raise ContractError(f"Medusa repeats a page of {kind}", after=last)
            yield page
        if len(page) >= remaining:
            return
        if not page:
            raise ContractError(f"Medusa counts more {kind} than it lists")
        last = str(page[-1]["id"])


async def pages_by_creation(http: HttpSession, kind: str, query: Query) -> AsyncIterator[list[Record]]:
    """The same by the time of creation, for lists that take no `id[$gt]`; the last row of a page is read again."""
    seen: set[str] = set()
    since: Query = {"limit": max(int(str(query["limit"])), FEWEST_OF_A_PAGE)}
    while True:
        answer = await http.get(f"admin/{kind}", {**query, "order": "created_at", **since})
        page = rows(answer, kind)
        if new := [row for row in page if str(row["id"]) not in seen]:
            yield new
        if len(page) >= int(answer.get("count", 0)):
            return
        if not new:
            raise ContractError(f"Medusa repeats a page of {kind}", **since)
        seen |= {str(row["id"]) for row in new}
        since["created_at[$gte]"] = str(page[-1]["created_at"])


async def one(http: HttpSession, kind: str, key: str, query: Query) -> Record | None:
    """One order, return, … as it is now; None: Medusa does not know it."""
    try:
        answer = await http.get(path(kind, key), query)
    except RefusedError as refused:
        if refused.status == NOT_FOUND:
            return None
        raise
    found = answer.get(kind.removesuffix("s")) if isinstance(answer, Mapping) else None
    if not isinstance(found, dict):
        raise ContractError(f"Medusa's answer has none of its {kind}")
    return found


def path(kind: str, key: str, *below: str) -> str:
    """The path of one thing; what comes from outside changes no other part of it."""
    return "/".join(("admin", kind, *(quote(part, safe="") for part in (key, *below))))


def rows(answer: Json, kind: str) -> list[Record]:
    """The rows of a list."""
    if not isinstance(answer, Mapping) or not isinstance(answer.get(kind), list):
        raise ContractError(f"Medusa's answer has no list of {kind}")
    return list(answer[kind])


def moment(row: Mapping[str, Any], name: str) -> datetime | None:
    """A time of a row; None where it has not come yet."""
    return datetime.fromisoformat(row[name]) if row.get(name) else None
