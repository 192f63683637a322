"""Flow 7: a return is received or cancelled, once all of its units are decided.

Medusa answers returns as a whole. What is accepted is received and paid back; where nothing is, the return is
cancelled. What is rejected beside accepted units stays open in a return that is partially received.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from order_integration.channels.commands import Record, UpdateCancellationRequest
from order_integration.channels.medusa.reading import one, path
from order_integration.channels.medusa.receiving import receive
from order_integration.channels.medusa.refunds import refund, value_of
from order_integration.channels.medusa.refusals import said
from order_integration.channels.medusa.returns import FIELDS, ITEM, OPEN, remote_id
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.units import quantity
from order_integration.dto import (
    BatchRequestResponseDto,
    ChannelCancellationRequestDto,
    Decision,
    ResponseStatus,
)
from order_integration.errors import RecordError, RefusedError, UnknownOutcomeError

CANCELED = "canceled"
NOT_YET = "the channel is told when all units of the return are decided"


@dataclass(frozen=True)
class Verdict:
    """What Omnitron says of a whole return; `accepted` are units, by the return's item."""

    accepted: dict[str, list[str]]
    decided: Counter[str]

    def is_whole(self, return_: Record) -> bool:
        """Whether every unit is decided."""
        return all(self.decided[remote_id(return_, item)] >= quantity(item) for item in return_["items"])

    @property
    def units(self) -> list[str]:
        """All units that come back."""
        return [unit for units in self.accepted.values() for unit in units]


class MedusaUpdateCancellationRequest(UpdateCancellationRequest):
    """Safe to repeat after each of its calls: what is done already is seen in Medusa and not done again."""

    async def answered_together(self, remote_id: str) -> list[str]:
        """Every item of the return."""
        return_ = await one(self.http, "returns", remote_id.partition(ITEM)[0], {"fields": FIELDS})
        return _remote_ids(return_) if return_ else [remote_id]

    async def send_request(self, data: list[ChannelCancellationRequestDto]) -> dict[str, tuple[str, bool]]:
        """A message for each remote id, and whether it is one of success."""
        returns: dict[str, list[ChannelCancellationRequestDto]] = defaultdict(list)
        for request in data:
            returns[(request.remote_id or "").partition(ITEM)[0]].append(request)
        found = {}
        for return_, requests in returns.items():
            outcome = await self._answered(return_, requests)
            found.update({request.remote_id or "": outcome for request in requests})
        return found

    def normalize_response(self, response: dict[str, tuple[str, bool]]) -> list[BatchRequestResponseDto]:
        """A result for each remote id."""
        return [
            BatchRequestResponseDto(
                status=ResponseStatus.SUCCESS if well else ResponseStatus.FAIL, remote_id=remote_id, message=message
            )
            for remote_id, (message, well) in response.items()
        ]

    async def _answered(self, key: str, requests: list[ChannelCancellationRequestDto]) -> tuple[str, bool]:
        try:
            return_ = await one(self.http, "returns", key, {"fields": FIELDS})
            if return_ is None:
                return "Medusa has no such return", False
            with shaped_like("a return"):
                return await self._carried_out(return_, _verdict(requests))
        except (RecordError, RefusedError, UnknownOutcomeError) as error:
            return said(error), False

    async def _carried_out(self, return_: Record, verdict: Verdict) -> tuple[str, bool]:
        if not verdict.is_whole(return_):
            return NOT_YET, True
        received = {remote_id(return_, item): quantity(item, "received_quantity") for item in return_["items"]}
        accepted = {key: len(verdict.accepted.get(key, ())) for key in received}
        if return_["status"] == CANCELED:
            return ("", True) if not verdict.units else ("the return was cancelled in Medusa", False)
        if return_["status"] == OPEN:
            return "the return is not requested yet in Medusa", False
        if any(received[key] > accepted[key] for key in received):
            return "more was received in Medusa than was accepted", False
        if not verdict.units:
            await self._cancel(return_)
            return "", True
        order, units = str(return_["order_id"]), verdict.units
        value = await value_of(self.http, order, units)  # before anything is received
        missing: Counter[str] = Counter()
        for item in return_["items"]:
            key = remote_id(return_, item)
            missing[str(item["item_id"])] += accepted[key] - received[key]
        if missing.total():
            await receive(self.http, return_, missing)
        await refund(self.http, order, str(return_["id"]), value, len(units))
        return "", True

    async def _cancel(self, return_: Record) -> None:
        """The courier is told first; Medusa refuses it the other way round."""
        for fulfillment in return_.get("fulfillments") or ():
            if not fulfillment["canceled_at"]:
                await self.http.call("POST", path("fulfillments", str(fulfillment["id"]), "cancel"), body={})
        await self.http.call("POST", path("returns", str(return_["id"]), "cancel"), body={})


def _verdict(requests: Iterable[ChannelCancellationRequestDto]) -> Verdict:
    accepted: dict[str, list[str]] = defaultdict(list)
    decided: Counter[str] = Counter()
    for request in requests:
        key = request.remote_id or ""
        if request.decision:
            decided[key] += 1
        if request.decision is Decision.ACCEPTED:
            accepted[key].append(request.order_item)
    return Verdict(accepted, decided)


def _remote_ids(return_: Record) -> list[str]:
    return [remote_id(return_, item) for item in return_["items"]]
