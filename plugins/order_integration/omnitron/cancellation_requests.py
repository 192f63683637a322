"""Requests to cancel or to return one unit: known by their links, created once, looked for after a lost answer."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from order_integration.errors import RefusedError
from order_integration.omnitron.client import PAGE, Omnitron, Pages, Row, id_of, in_lists
from order_integration.omnitron.customers import refused
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.staging import key_digest
from order_integration.transport import Params

KIND = "cancellationrequest"  # Omnitron's content type
DECIDED_AGAINST = "rejected"
CREATED, MODIFIED = "created_date", "modified_date"  # which of its dates a link has as its version
CLOCKS_APART = timedelta(minutes=5)  # at most, Omnitron's and ours


@dataclass(frozen=True)
class Marks:
    """What tells which of Omnitron's requests is meant before it is linked. `words`: a digest of its description."""

    order_item: int
    cancellation_type: str
    reason: int
    words: str

    def are_on(self, row: Row) -> bool:
        """Whether a request of Omnitron has them."""
        return (
            str(row["order_item"]) == str(self.order_item)
            and row["cancellation_type"] == self.cancellation_type
            and str(row["reason"]) == str(self.reason)
            and _words(row.get("description") or "") == self.words
        )


def _words(description: str) -> str:
    """Omnitron takes blanks off a text's ends."""
    return key_digest(description.strip())


@dataclass(frozen=True)
class Wanted:
    """A request as it is sent."""

    order_item: int
    cancellation_type: str
    reason: int
    description: str = field(repr=False)

    @property
    def marks(self) -> Marks:
        """It is known by them when its answer is lost, whatever the shopper says later."""
        return Marks(self.order_item, self.cancellation_type, self.reason, _words(self.description))


@dataclass
class CancellationRequests:
    """The cancellation requests of one channel. Filters are trusted for speed alone: a server may ignore them.

    Then all are read, once: what others ask for meanwhile is not seen, and a lost one only by the next task.
    """

    omnitron: Omnitron
    _all: list[Row] | None = field(default=None, init=False)
    _created: list[Row] = field(default_factory=list, init=False)
    _reading: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def by_pk(self, pks: Iterable[int]) -> dict[int, Row]:
        """Requests, many a call where the server knows the filter, else one by one; what is gone is left out."""
        wanted = set(pks)
        pages = await asyncio.gather(*(self._page(some) for some in in_lists(sorted(wanted))))
        found = {id_of(row): row for rows in pages for row in rows if id_of(row) in wanted}
        left = sorted(wanted - found.keys())
        rows = await asyncio.gather(*(self.omnitron.row(f"{self._path}{pk}/") for pk in left))
        return found | {id_of(row): row for row in rows if row is not None}

    async def of_items(self, items: Iterable[int]) -> dict[int, list[Row]]:
        """All requests for these order items, oldest first, by item."""
        wanted = set(items)
        found: dict[int, dict[int, Row]] = defaultdict(dict)
        for some in in_lists(sorted(wanted)):
            for row in (*self._created, *await self._about(some)):
                found[int(row["order_item"])][id_of(row)] = row
        return {item: [found[item][pk] for pk in sorted(found[item])] for item in wanted & found.keys()}

    async def create(self, wanted: Wanted, remote_id: str) -> Row:
        """Never sent twice by itself: nothing in Omnitron would refuse the second one.

        Raises RecordError for what Omnitron refuses, UnknownOutcomeError where the answer was lost.
        """
        body = {
            "order_item": wanted.order_item,
            "reason": wanted.reason,
            "remote_id": remote_id,
            "description": wanted.description,
            "cancellation_type": wanted.cancellation_type,
        }
        try:
            row = dict(await self.omnitron.http.call("POST", self._path, body=body, repeatable=False) or {})
        except RefusedError as error:
            raise refused(error, "cancellation_request") from error
        if row:
            self._created.append({"order_item": wanted.order_item, **row})
        return row

    async def unlinked(self, marks: Marks, since: datetime) -> list[Row]:
        """Requests with these marks, made `since` or later, that no channel's id is linked with."""
        found = (await self.of_items([marks.order_item])).get(marks.order_item, [])
        alike = [row for row in found if marks.are_on(row) and _made(row) >= since - CLOCKS_APART]
        actions = await IntegrationActions(self.omnitron).by_object(KIND, map(id_of, alike)) if alike else {}
        return [row for row in alike if not actions.get(id_of(row), {}).get("remote_id")]

    @property
    def _path(self) -> str:
        return self.omnitron.at("cancellation_requests/")

    async def _page(self, pks: str) -> list[Row]:
        """One page is enough for a list of ids; a server that ignores the filter is not read to its end."""
        try:
            query: Params = {"pk__in": pks, "page": 1, "limit": PAGE, "sort": "id"}
            return Pages().take(await self.omnitron.http.get(self._path, query))
        except RefusedError:  # it does not know the filter, and says so
            return []

    async def _about(self, items: str) -> list[Row]:
        """At least the requests of these items. One asks at a time: who sees all of them sees them for everybody."""
        async with self._reading:
            if self._all is not None:
                return self._all
            try:
                rows = await self._rows({"order_item__in": items})
            except RefusedError:  # it does not know the filter, and says so
                rows = self._all = await self._rows({})
            if {str(row["order_item"]) for row in rows} - set(items.split(",")):
                self._all = rows
            return rows

    async def _rows(self, query: Params) -> list[Row]:
        return [row async for page in self.omnitron.pages(self._path, query) for row in page]


def _made(row: Row) -> datetime:
    return datetime.fromisoformat(row[CREATED])


def link_of(row: Row, remote_id: str, version: str) -> Link:
    """What a batch request says of a request of ours.

    `version`: MODIFIED for the answer to our own write. Of one that was found again it is CREATED: somebody may have
    decided it meanwhile, and what was modified after the version that is linked is told to the channel.
    """
    return Link(KIND, id_of(row), remote_id, str(row[version]))
