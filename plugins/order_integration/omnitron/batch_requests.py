"""Batch requests: how a set of objects is linked, and the lock of (channel, content type) that an open one holds."""

from collections.abc import Sequence
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


@dataclass(frozen=True)
class Batch:
    """One batch request of ours."""

    pk: int
    local_batch_id: str


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
        try:
            await self._patch(batch.pk, BatchStatus.COMMIT, **body)
        except RefusedError as error:
            # The refusal's code is nowhere documented; an open batch beside ours is the evidence.
            for other in await self.open_ones(content_type):
                if id_of(other) != batch.pk:
                    raise LockedError(
                        "another batch request is open", batch=id_of(other), batch_status=other["status"]
                    ) from error
            raise

    async def done(self, pk: int, links: Sequence[Link] = ()) -> None:
        """End it well, with the result of each object."""
        await self._end(pk, BatchStatus.DONE, [link.as_object() for link in links])

    async def fail(self, pk: int) -> None:
        """End it badly; its objects are no longer held. One that has ended already, either way, stays as it is."""
        await self._end(pk, BatchStatus.FAIL, None)

    async def status(self, pk: int) -> str:
        """The status of a batch request."""
        return str((await self._omnitron.http.get(f"{self._path}{pk}/"))["status"])

    async def open_ones(self, content_type: str) -> list[Row]:
        """All that hold the lock of a content type, whoever opened them."""
        rows = await self._omnitron.rows(
            self._path,
            {"status": [status.value for status in HOLDS_LOCK], "content_type": content_type},
            sure=lambda row: row.get("status") in HOLDS_LOCK,
        )
        return [row for row in rows if row.get("content_type") == content_type]

    async def _patch(self, pk: int, status: BatchStatus, **body: object) -> None:
        content = {"channel": self._omnitron.channel_id, "status": status.value, **body}
        await self._omnitron.http.call("PATCH", f"{self._path}{pk}/", body=content, repeatable=True)

    async def _end(self, pk: int, wanted: BatchStatus, objects: list[Row] | None) -> None:
        try:
            await self._patch(pk, wanted, objects=objects)
        except RefusedError as error:
            if error.code != ALREADY_FINAL:
                raise
            found = await self.status(pk)
            if found not in ENDED or (wanted is BatchStatus.DONE and found != wanted):
                raise ContractError(f"a batch request is {found}, not {wanted}", batch=pk) from error
