"""The links between Omnitron's objects and the channel's: one per (channel, content type, object)."""

import asyncio
from collections import defaultdict
from collections.abc import Coroutine, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from order_integration.errors import RefusedError
from order_integration.omnitron.client import Omnitron, Row, id_of, in_lists

T = TypeVar("T")


@dataclass(frozen=True)
class Link:
    """An object as a batch request, or an integration action, names it. `version_date`: its modified_date as read.

    In a batch request, an empty `remote_id` leaves the one that Omnitron knows; no `failed_reason_type` is a success.
    """

    content_type: str
    pk: int
    remote_id: str
    version_date: str
    failed_reason_type: str | None = None

    def as_object(self) -> Row:
        """One entry of a batch request's `objects`."""
        return {**asdict(self), "remote_id": self.remote_id or None}


class IntegrationActions:
    """Look-ups are in bulk; a remote id may have several objects, so all are returned."""

    def __init__(self, omnitron: Omnitron) -> None:
        self._omnitron = omnitron

    async def by_remote_id(self, content_type: str, remote_ids: Iterable[str]) -> dict[str, list[Row]]:
        """The actions of each remote id that has one."""
        wanted = sorted(set(remote_ids))
        # A comma would split an id in two, so such an id is asked for alone.
        queries = [{"remote_id__in": some} for some in in_lists(i for i in wanted if "," not in i)]
        queries += [{"remote_id__exact": remote_id} for remote_id in wanted if "," in remote_id]
        found: dict[str, list[Row]] = defaultdict(list)
        known = set(wanted)
        for query in queries:
            rows = await self._omnitron.rows(
                self._omnitron.at("integration_actions/"),
                {"content_type_name": content_type, **query},
                sure=lambda row: row.get("remote_id") in known and _model(row) in {content_type, None},
            )
            for row in rows:
                found[row["remote_id"]].append(row)
        return found

    async def by_object(self, content_type: str, pks: Iterable[int]) -> dict[int, Row]:
        """The action of each object that has one."""
        return {pk: row for (_, pk), row in (await self._by_object((content_type, pk) for pk in pks)).items()}

    async def all_by_object(self, content_type: str, pks: Iterable[int]) -> dict[int, list[Row]]:
        """Every action of each object, for whoever must not take one of several for the right one."""
        pages = await _all(self._actions(content_type, some) for some in in_lists(sorted(set(pks))))
        found: dict[int, list[Row]] = defaultdict(list)
        for row in (row for rows in pages for row in rows):
            found[int(row["object_id"])].append(row)
        return found

    async def write(self, links: Iterable[Link]) -> dict[Link, RefusedError]:
        """Links without a batch request: for when an asynchronous one holds the lock for hours.

        An action that is there already gets the remote id, if it has another one. Where one link fails, the others
        are written all the same; those that Omnitron refuses are returned, the first other error is raised.
        """
        wanted = {(link.content_type, link.pk): link for link in links}
        known = await self._by_object(wanted)
        done = await _all(self._write(link, known.get(key)) for key, link in wanted.items())
        return {link: error for link, error in done if error}

    async def missing(self, links: Iterable[Link]) -> list[Link]:
        """Those whose objects have no action with this remote id. The others keep theirs, with its version_date."""
        wanted = {(link.content_type, link.pk): link for link in links}
        known = await self._by_object(wanted)
        return [link for key, link in wanted.items() if known.get(key, {}).get("remote_id") != link.remote_id]

    async def _by_object(self, objects: Iterable[tuple[str, int]]) -> dict[tuple[str, int], Row]:
        pks: dict[str, list[int]] = defaultdict(list)
        for content_type, pk in objects:
            pks[content_type].append(pk)
        slices = [(content_type, some) for content_type, all_pks in pks.items() for some in in_lists(all_pks)]
        pages = await _all(self._actions(content_type, some) for content_type, some in slices)
        return {(str(_model(row)), int(row["object_id"])): row for rows in pages for row in rows}

    async def _actions(self, content_type: str, pks: str) -> list[Row]:
        """Of another kind's action with one of these numbers, the remote id would be overwritten: both are checked."""
        asked = set(pks.split(","))
        return await self._omnitron.rows(
            self._omnitron.at("integration_actions/"),
            {"content_type_name": content_type, "object_id__in": pks},
            sure=lambda row: str(row.get("object_id")) in asked and _model(row) == content_type,
        )

    async def _write(self, link: Link, known: Row | None) -> tuple[Link, RefusedError | None]:
        path = self._omnitron.at("integration_actions/")
        body = {
            "channel_id": self._omnitron.channel_id,
            "content_type": link.content_type,
            "object_id": link.pk,
            "remote_id": link.remote_id,
            "version_date": link.version_date,
        }
        try:
            if known is None:
                await self._omnitron.http.call("POST", path, body=body, repeatable=False)
            elif known.get("remote_id") != link.remote_id:
                await self._omnitron.http.call("PATCH", f"{path}{id_of(known)}/", body=body, repeatable=True)
        except RefusedError as error:
            return link, error
        return link, None


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All at once, as far as the session lets them; none is left under way when the first error is raised."""
    done = await asyncio.gather(*calls, return_exceptions=True)
    for one in done:
        if isinstance(one, BaseException):
            raise one
    return [one for one in done if not isinstance(one, BaseException)]


def _model(row: Row) -> str | None:
    kind = row.get("content_type")
    return kind.get("model") if isinstance(kind, dict) else None
