"""Omnitron's services as one channel sees them: paths, pages, and filters that are checked, not trusted."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from order_integration.errors import ConfigurationError, ContractError, RefusedError
from order_integration.exact_json import Json
from order_integration.transport import HttpSession, Params

K = TypeVar("K")
V = TypeVar("V")
Row = dict[str, Any]

NOT_FOUND = 404
PAGE = 100  # the largest page known to be in production use
IN_LIST = 50  # ids in one `__in` filter: half a page, should each have two rows
# Characters of an `__in` filter as the URL holds it. The strictest of the usual servers (gunicorn) refuses a request
# line of more than 4,094; path, page and the other filters need some, one id of 255 letters at most 3,060.
IN_LIST_LENGTH = 3_500


class Memo(Generic[K, V]):
    """What was asked for once is not asked for again; simultaneous askers share one call. Failures are forgotten."""

    def __init__(self) -> None:
        self._asked: dict[K, asyncio.Task[V]] = {}

    async def get(self, key: K, ask: Callable[[], Awaitable[V]]) -> V:
        """The known answer, or that of `ask`."""
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(_as_coroutine(ask))
        try:
            return await asyncio.shield(self._asked[key])
        except Exception:
            self._asked.pop(key, None)
            raise


async def _as_coroutine(ask: Callable[[], Awaitable[V]]) -> V:
    return await ask()


@dataclass
class Pages:
    """Where a list stands: the next page's number, or None behind the last one."""

    limit: int = PAGE
    page: int | None = 1

    def take(self, answer: Json) -> list[Row]:
        """The rows of an answer; some services answer with a bare array, which is the only page."""
        if isinstance(answer, list):
            self.page = None
            return answer
        if not isinstance(answer, dict) or not isinstance(answer.get("results"), list):
            raise ContractError("a list service answered without results")
        rows: list[Row] = answer["results"]
        self.page = self.page + 1 if self.page and answer.get("next") and rows else None
        return rows


@dataclass(frozen=True)
class Omnitron:
    """One channel of one Omnitron. `at` gives a path below the channel."""

    http: HttpSession
    channel_id: int
    _content_types: Memo[str, int] = field(default_factory=Memo, repr=False)

    def at(self, path: str) -> str:
        """`orders/` → `channel/7/orders/`."""
        return f"channel/{self.channel_id}/{path}"

    async def pages(
        self, path: str, params: Params, *, sort: str | None = "id", limit: int = PAGE
    ) -> AsyncIterator[list[Row]]:
        """Page by page, by number: the `next` address may name a host that only the server knows."""
        pages = Pages(limit)
        while pages.page:
            query = {**params, "page": pages.page, "limit": pages.limit, **({"sort": sort} if sort else {})}
            yield pages.take(await self.http.get(path, query))

    async def rows(self, path: str, params: Params, *, sure: Callable[[Row], bool]) -> list[Row]:
        """All rows. `sure` must hold for each of them: a server may ignore a filter it does not know.

        Raises ContractError when it did.
        """
        found = [row async for page in self.pages(path, params) for row in page]
        if not all(sure(row) for row in found):
            raise ContractError(f"Omnitron ignored a filter of {path}: {', '.join(sorted(params))}")
        return found

    async def row(self, path: str) -> Row | None:
        """One object; None: there is none (any more)."""
        try:
            return dict(await self.http.get(path))
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            return None

    async def channel(self) -> Row:
        """The channel's own row.

        Raises ConfigurationError when there is none, or it is not active.
        """
        try:
            row: Row = await self.http.get(f"channels/{self.channel_id}/")
        except RefusedError as error:
            if error.status != NOT_FOUND:
                raise
            sentence = f"Omnitron has no channel {self.channel_id}: correct omnitron_channel_id"
            raise ConfigurationError(sentence) from error
        if not row.get("is_active"):
            raise ConfigurationError(
                f"channel {self.channel_id} is not active in Omnitron: activate it there, or pause the DAG"
            )
        return row

    async def catalog(self, catalog_id: int) -> Row:
        """The catalog whose price and stock list are the items' defaults.

        Raises ConfigurationError when there is none.
        """
        try:
            return dict(await self.http.get(f"catalogs/{catalog_id}/"))
        except RefusedError as error:
            raise ConfigurationError(f"Omnitron has no catalog {catalog_id}: correct catalog_id") from error

    async def content_type(self, model: str) -> int:
        """The id under which reports know a kind of object."""

        async def ask() -> int:
            answer = await self.http.get("content_types/", {"model": model})
            rows = [row for row in Pages().take(answer) if row.get("model") == model]
            if len(rows) != 1:
                raise ContractError(f"Omnitron knows {len(rows)} content types {model!r}; one is expected")
            return id_of(rows[0])

        return await self._content_types.get(model, ask)


def id_of(row: Row) -> int:
    """Some services say `pk`, others `id`."""
    value = row.get("pk", row.get("id")) if isinstance(row, dict) else None
    if value is None:
        raise ContractError("Omnitron answered without a row, or with one that has neither pk nor id")
    return int(value)


def slices(values: Iterable[V], size: int) -> Iterator[list[V]]:
    """`values` in lists of at most `size`."""
    everything = list(values)
    for start in range(0, len(everything), size):
        yield everything[start : start + size]


def in_lists(values: Iterable[str | int]) -> Iterator[str]:
    """`values`, none of them with a comma, as texts for `__in` filters that a URL has room for."""
    some: list[str] = []
    length = 0
    for value in map(str, values):
        own = len(quote(f"{value},", safe=""))
        if some and (len(some) == IN_LIST or length + own > IN_LIST_LENGTH):
            yield ",".join(some)
            some, length = [], 0
        some.append(value)
        length += own
    if some:
        yield ",".join(some)
