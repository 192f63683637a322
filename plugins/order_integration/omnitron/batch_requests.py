"""Batch requests: how a set of objects is linked, and the lock of (channel, content type) that an open one holds."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from order_integration.errors import ContractError, LockedError, RefusedError
from order_integration.omnitron.client import Omnitron, Row, id_of
from order_integration.omnitron.integration_actions import Link

ALREADY_FINAL = "batch_request_status_100_1"


class BatchStatus(StrEnum):
    """initialized → commit → sent_to_remote → ongoing; done and fail end each of them."""

    INITIALIZED = "initialized"
    COMMIT = "commit"
    SENT_TO_REMOTE = "sent_to_remote"
    ONGOING = "ongoing"
    DONE = "done"
    FAIL = "fail"


HOLDS_LOCK = (BatchStatus.COMMIT, BatchStatus.SENT_TO_REMOTE, BatchStatus.ONGOING)
ENDED = frozenset({BatchStatus.DONE, BatchStatus.FAIL})
# An asynchronous job that the channel has accepted: it may take hours, and only the channel knows how it ends.
ACCEPTED_BY_CHANNEL = frozenset({BatchStatus.SENT_TO_REMOTE, BatchStatus.ONGOING})
LOOKS = 5  # for what is in a commit's way: several short batch requests may take turns
REMOTE_ID_LENGTH = 255  # characters of remote_batch_id, which holds a job's feed ids


@dataclass(frozen=True)
class Batch:
    """One batch request of ours."""

    pk: int
    local_batch_id: str


@dataclass(frozen=True)
class BatchState:
    """A batch request as it stands."""

    pk: int
    local_batch_id: str
    status: BatchStatus
    content_type: str | None
    feed_ids: tuple[str, ...]
    modified_date: str
    objects: tuple[Row, ...]  # empty in lists

    @classmethod
    def of(cls, row: Row) -> "BatchState":
        """From Omnitron's own row."""
        return cls(
            id_of(row),
            str(row["local_batch_id"]),
            BatchStatus(row["status"]),
            row.get("content_type"),
            tuple(one for one in (row.get("remote_batch_id") or "").split(",") if one),
            str(row.get("modified_date") or ""),
            tuple(row.get("objects") or ()),
        )

    @property
    def is_over(self) -> bool:
        """Whether it ended, well or badly."""
        return self.status in ENDED

    @property
    def is_accepted(self) -> bool:
        """Whether the channel works on it."""
        return self.status in ACCEPTED_BY_CHANNEL


class BatchRequests:
    """Every PATCH may be repeated: a second commit of the same objects, a second end, change nothing."""

    def __init__(self, omnitron: Omnitron) -> None:
        self._omnitron = omnitron
        self._path = omnitron.at("batch_requests/")

    async def create(self) -> Batch:
        """A new one. If the answer is lost, an empty `initialized` one stays behind: no lock, no objects."""
        row = await self._omnitron.http.call(
            "POST", self._path, body={"channel": self._omnitron.channel_id}, repeatable=True
        )
        return Batch(id_of(row), str(row.get("local_batch_id", "")))

    async def commit(self, batch: Batch, content_type: str, links: Sequence[Link]) -> None:
        """Take the lock and hand the objects over.

        Raises LockedError, naming the batch in the way, while another one is open.
        """
        body = {"content_type": content_type, "objects": [link.as_object() for link in links]}
        for left in reversed(range(LOOKS)):
            try:
                return await self._patch(batch.pk, BatchStatus.COMMIT, **body)
            except RefusedError as error:
                # The refusal's code is nowhere documented; an open batch beside ours is the evidence.
                for other in await self.open_ones(content_type):
                    if id_of(other) != batch.pk:
                        raise LockedError(
                            "another batch request is open", batch=id_of(other), batch_status=other["status"]
                        ) from error
                if not left:  # before, the other one may have ended while we looked for it
                    raise
        return None

    async def sent_to_remote(self, pk: int, feed_ids: Sequence[str]) -> None:
        """The channel accepted the job; its feed ids, comma-joined, are kept in `remote_batch_id`.

        Raises ContractError where it has ended meanwhile.
        """
        await self._step(pk, BatchStatus.SENT_TO_REMOTE, remote_batch_id=",".join(feed_ids))

    async def ongoing(self, pk: int) -> None:
        """It was asked for, and is not finished yet."""
        await self._step(pk, BatchStatus.ONGOING)

    async def done(self, pk: int, links: Sequence[Link] = ()) -> None:
        """End it well, with the result of each object."""
        await self._end(pk, BatchStatus.DONE, [link.as_object() for link in links])

    async def fail(self, pk: int, links: Sequence[Link] = ()) -> None:
        """End it badly; its objects are no longer held. One that has ended already, either way, stays as it is."""
        await self._end(pk, BatchStatus.FAIL, [link.as_object() for link in links] or None)

    async def status(self, pk: int) -> str:
        """The status of a batch request."""
        return str((await self._omnitron.http.get(f"{self._path}{pk}/"))["status"])

    async def read(self, pk: int) -> BatchState | None:
        """One batch request, with its objects; None: Omnitron knows it no more."""
        row = await self._omnitron.row(f"{self._path}{pk}/")
        return BatchState.of(row) if row else None

    async def open_ones(self, content_type: str | None, statuses: Collection[BatchStatus] = HOLDS_LOCK) -> list[Row]:
        """All in these statuses, whoever opened them: of a content type, or of any."""
        kind = {"content_type": content_type} if content_type else {}
        rows = await self._omnitron.rows(
            self._path,
            {"status": [status.value for status in statuses], **kind},
            sure=lambda row: row.get("status") in statuses,
        )
        return [row for row in rows if content_type in {row.get("content_type"), None}]

    async def objects(self, local_batch_id: str, content_type: str) -> list[Row]:
        """The actions of the objects that a batch request still processes: their ids, versions and remote ids."""
        rows = await self._omnitron.rows(
            self._omnitron.at("integration_actions/"),
            {"local_batch_id": local_batch_id, "status": "processing", "content_type_name": content_type},
            sure=lambda row: row.get("local_batch_id") == local_batch_id and row.get("status") == "processing",
        )
        return [row for row in rows if (row.get("content_type") or {}).get("model") == content_type]

    async def _patch(self, pk: int, status: BatchStatus, **body: object) -> None:
        content = {"channel": self._omnitron.channel_id, "status": status.value, **body}
        await self._omnitron.http.call("PATCH", f"{self._path}{pk}/", body=content, repeatable=True)

    async def _step(self, pk: int, wanted: BatchStatus, **body: object) -> None:
        try:
            await self._patch(pk, wanted, **body)
        except RefusedError as error:
            if error.code != ALREADY_FINAL:
                raise
            found = await self.status(pk)
            if found not in ACCEPTED_BY_CHANNEL:  # else the answer of an earlier try was lost
                raise ContractError(f"a batch request is {found}, not {wanted}", batch=pk) from error

    async def _end(self, pk: int, wanted: BatchStatus, objects: list[Row] | None) -> None:
        try:
            await self._patch(pk, wanted, objects=objects)
        except RefusedError as error:
            if error.code != ALREADY_FINAL:
                raise
            found = await self.status(pk)
            if found not in ENDED or (wanted is BatchStatus.DONE and found != wanted):
                raise ContractError(f"a batch request is {found}, not {wanted}", batch=pk) from error


def is_held_by_channel(error: LockedError) -> bool:
    """Whether the batch request in the way is a job that the channel has accepted: it may take hours."""
    return error.ids.get("batch_status") in ACCEPTED_BY_CHANNEL
