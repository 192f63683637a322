"""What all endpoints share: how they answer, refuse, and cut a list into pages."""

import hmac
from typing import Annotated, Any, cast

from fastapi import Depends, Query, Request, Response

from sandbox.marketplace.store import Store, dumps

LONGEST_WINDOW_MS = 31 * 24 * 3_600_000
LARGEST_PAGE = 200

FromMs = Annotated[int, Query(ge=0, description="milliseconds since 1970, included")]
ToMs = Annotated[int, Query(ge=0, description="milliseconds since 1970, excluded")]
Page = Annotated[int, Query(ge=1)]
Size = Annotated[int, Query(ge=1, le=LARGEST_PAGE)]


class Refusal(Exception):  # noqa: N818 - an answer, not an accident
    """A definite no: `code` is for programs, `message` for people."""

    def __init__(self, status: int, code: str, message: str, **more: Any) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.more = status, code, message, more


def json_response(content: Any, status: int = 200) -> Response:
    text = content if isinstance(content, str) else dumps(content)
    return Response(text.encode(), status, media_type="application/json")


async def _store(request: Request) -> Store:
    return cast("Store", request.app.state.store)


StoreOf = Annotated[Store, Depends(_store)]


async def check_key(request: Request) -> None:
    """Every call of the API says who calls."""
    given = request.headers.get("X-Api-Key", "")
    if not hmac.compare_digest(given.encode(), request.app.state.api_key.encode()):
        raise Refusal(401, "KEY_UNKNOWN", "X-Api-Key is missing or wrong")


KEY_NEEDED = [Depends(check_key)]


def check_window(from_ms: int, to_ms: int) -> None:
    if not from_ms <= to_ms <= from_ms + LONGEST_WINDOW_MS:
        raise Refusal(400, "WINDOW_INVALID", "modified_from <= modified_to, and 31 days apart at most")


def cursor_key(after: str | None, length: int) -> tuple[int, ...] | None:
    """The place in a list that an earlier answer's `next` names."""
    if after is None:
        return None
    parts = after.split("-")
    if len(parts) != length or not all(part.isascii() and part.isdigit() and len(part) < 20 for part in parts):
        raise Refusal(400, "CURSOR_INVALID", "after is the `next` of an earlier answer")
    return tuple(int(part) for part in parts)


def cursor_text(key: tuple[int, ...]) -> str:
    return "-".join(map(str, key))
