"""The links between Omnitron's objects and the channel's: one per (channel, content type, object)."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from order_integration.omnitron.client import Omnitron, Row, in_lists


@dataclass(frozen=True)
class Link:
    """An object as a batch request, or an integration action, names it. `version_date`: its modified_date as read."""

    content_type: str
    pk: int
    remote_id: str
    version_date: str

    def as_object(self) -> Row:
        """One entry of a batch request's `objects`, as a success."""
        return {**asdict(self), "failed_reason_type": None}


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

    async def write(self, links: Iterable[Link]) -> None:
        """Links without a batch request: for when an asynchronous one holds the lock for hours.

        An action that is there already gets the remote id, if it has another one.
        """
        path = self._omnitron.at("integration_actions/")
        for link in links:
            existing = await self._omnitron.rows(
                path,
                {"content_type_name": link.content_type, "object_id": link.pk},
                sure=lambda row, link=link: str(row.get("object_id")) == str(link.pk),  # type: ignore[misc]
            )
            body = {
                "channel_id": self._omnitron.channel_id,
                "content_type": link.content_type,
                "object_id": link.pk,
                "remote_id": link.remote_id,
                "version_date": link.version_date,
            }
            if not existing:
                await self._omnitron.http.call("POST", path, body=body, repeatable=False)
            elif existing[0].get("remote_id") != link.remote_id:
                pk = existing[0].get("pk", existing[0].get("id"))
                await self._omnitron.http.call("PATCH", f"{path}{pk}/", body=body, repeatable=True)


def _model(row: Row) -> str | None:
    kind = row.get("content_type")
    return kind.get("model") if isinstance(kind, dict) else None
