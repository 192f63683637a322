"""Reading the marketplace's lists: windows in pieces that it takes, pages by cursor, one thing by its id."""

import asyncio
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, TypeVar

from order_integration.channels.commands import ChannelCommand, Record, Window, bad_record
from order_integration.channels.marketplace.mapping import EPOCH
from order_integration.errors import ConfigurationError, ContractError, Reason, RefusedError
from order_integration.transport import HttpSession

LONGEST_WINDOW = timedelta(days=31)  # the marketplace refuses more
LARGEST_PAGE = 200
NOT_FOUND = 404
NUMBER = re.compile(r"[0-9]{1,18}")
MILLISECOND = timedelta(milliseconds=1)

Query = dict[str, str | int]
T = TypeVar("T")


class WindowReader(ChannelCommand):
    """What all reading commands share; put it before the command's own base class."""

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        if data.start >= data.end:
            raise ConfigurationError("the window ends before it begins", start=data.start, end=data.end)
        return data

    def transform_data(self, data: Window) -> list[Query]:
        """The window as the marketplace's filters, in pieces that it takes."""
        size = min(self.connector.channel.page_size, LARGEST_PAGE)
        return [
            {"modified_from": _milliseconds(piece.start), "modified_to": _milliseconds(piece.end), "size": size}
            for piece in _pieces(data)
        ]

    async def listed(self, name: str, queries: list[Query]) -> AsyncIterator[list[Record]]:
        """Pages of `api/<name>` by cursor: a row that moves out of the window meanwhile shifts none of the others."""
        for query in queries:
            cursor: str | None = ""
            seen = set()
            while cursor is not None:
                answer = await self.http.get(f"api/{name}", {**query, "after": cursor} if cursor else query)
                page, cursor = _page(answer, name)
                if page:
                    yield page
                if cursor in seen:
                    raise ContractError("the marketplace's cursor does not move")
                seen.add(cursor)


async def read(http: HttpSession, path: str, key: str, shape: re.Pattern[str] = NUMBER) -> Record | None:
    """`path` with a key in it; None: there is no such thing, or the key is not one that the marketplace gives.

    Raises ContractError for an answer that is not one thing.
    """
    if not shape.fullmatch(key):  # such as the digest that stands in for a missing id
        return None
    try:
        found = await http.get(path.format(key))
    except RefusedError as refused:
        if refused.status == NOT_FOUND:
            return None
        raise
    if not isinstance(found, dict):
        raise ContractError("the marketplace's answer is not an object", path=path)
    return found


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """At the same time, as far as the limits go; all have ended when the first error is raised."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers  # type: ignore[return-value]


@contextmanager
def shaped_like(what: str) -> Iterator[None]:
    """What has another shape is refused by name, not by accident."""
    try:
        yield
    except KeyError as missing:
        raise bad_record(str(missing.args[0]), f"missing in the {what}", Reason.FIELD_MISSING) from None
    except (TypeError, AttributeError) as error:
        sentence = f"not shaped like {what}: {type(error).__name__}"
        raise bad_record(what, sentence, Reason.RECORD_MALFORMED) from None


def told(record: Record, name: str) -> str:
    """An id or a code that has to be there, as a text.

    Raises RecordError where it is empty, and KeyError where there is none.
    """
    if record[name] is None or record[name] == "":
        raise bad_record(name, "missing", Reason.FIELD_MISSING)
    return str(record[name])


def _pieces(window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(start + LONGEST_WINDOW, window.end)
        yield Window(start, end)
        start = end


def _milliseconds(moment: datetime) -> int:
    """Rounded up on both sides, so that two windows that meet share no millisecond and leave none out."""
    return -((EPOCH - moment) // MILLISECOND)


def _page(answer: Any, name: str) -> tuple[list[Record], str | None]:
    if not isinstance(answer, Mapping) or not isinstance(answer.get(name), list):
        raise ContractError(f"the marketplace's answer has no list of {name}")
    following = answer.get("next")
    return answer[name], str(following) if following else None
