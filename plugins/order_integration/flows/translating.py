"""Cancellation requests of Omnitron in the channel's words: its ids, its reason codes. Nothing is guessed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from order_integration.dto import ChannelCancellationRequestDto, FailedReasonType, record_error
from order_integration.flows.outbound import Sent
from order_integration.flows.reasons import MAPPING, ReasonMapping
from order_integration.omnitron.cancellation_requests import KIND
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.integration_actions import IntegrationActions

Row = dict[str, Any]
Told = ChannelCancellationRequestDto


async def backwards(omnitron: Omnitron) -> ReasonMapping:
    """The channel's reasons as the merchant mapped them.

    Raises ConfigurationError where a reason of Omnitron stands for two codes: the channel would be told the wrong one.
    """
    mapping = ReasonMapping.of((await omnitron.channel()).get("conf") or {})
    mapping.check_backwards()
    return mapping


@dataclass(frozen=True)
class Request:
    """A request of Omnitron in the channel's words; without `told`, `sent` says why there are none."""

    sent: Sent
    told: Told | None = None

    @property
    def remote_id(self) -> str:
        """The channel's id of it; several units may share one."""
        return self.sent.remote_id

    def as_row(self) -> Row:
        """For staging."""
        return {"sent": self.sent.as_row(), "told": self.told.model_dump(mode="json") if self.told else None}

    @classmethod
    def from_row(cls, row: Row) -> "Request":
        """From staging."""
        return cls(Sent.from_row(row["sent"]), Told.model_validate(row["told"]) if row["told"] else None)


class _UnmappedError(Exception):
    """What the channel has no word for; the text says what."""


@dataclass(frozen=True)
class Translator:
    """From Omnitron's requests to the channel's. Links are read in bulk."""

    omnitron: Omnitron
    mapping: ReasonMapping

    async def requests(self, rows: Sequence[Row]) -> list[Request]:
        """One for each row; one that can't be told keeps none of the others back."""
        actions = IntegrationActions(self.omnitron)
        own = await actions.all_by_object(KIND, map(id_of, rows))
        items = await actions.all_by_object("orderitem", (int(row["order_item"]) for row in rows))
        return [self._request(row, own, items) for row in rows]

    def _request(self, row: Row, own: Mapping[int, list[Row]], items: Mapping[int, list[Row]]) -> Request:
        pk = id_of(row)
        ids = {str(action["remote_id"]) for action in own.get(pk, ()) if action.get("remote_id")}
        remote_id = next(iter(ids)) if len(ids) == 1 else ""
        sent = Sent(remote_id or f"request {pk}", pk, str(row["modified_date"]), remote_id)
        try:
            _only(ids, "this request")
            item = int(row["order_item"])
            linked = {str(action["remote_id"]) for action in items.get(item, ()) if action.get("remote_id")}
            told = Told(
                cancellation_type=row["cancellation_type"],
                status=row["status"],
                order_item=_only(linked, f"order item {item}"),
                reason=self._reason(row),
                description=row.get("description"),
                remote_id=remote_id,
            )
        except _UnmappedError as error:
            return Request(sent.failed(FailedReasonType.MAPPING, str(error)))
        except ValidationError as error:
            return Request(sent.failed(FailedReasonType.MAPPING, record_error(error).sentence))
        return Request(sent, told)

    def _reason(self, row: Row) -> str:
        code = self.mapping.to_channel(int(row["reason"]))
        if code is None:
            raise _UnmappedError(f"cancellation reason {row['reason']} is not in {MAPPING}")
        return code


def _only(ids: set[str], what: str) -> str:
    if len(ids) != 1:
        raise _UnmappedError(f"{what} is linked with {len(ids) or 'none'} of the channel's ids; one is expected")
    return next(iter(ids))
