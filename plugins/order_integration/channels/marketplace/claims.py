"""Claims, by which buyers ask for a cancel or a return. The seller answers a claim whole, however many units it has."""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Any

from order_integration.channels.commands import GetCancellationRequests, Record, WindowOn, bad_record
from order_integration.channels.marketplace.mapping import moment
from order_integration.channels.marketplace.reading import Query, WindowReader, read, shaped_like, told
from order_integration.channels.marketplace.units import unit_id
from order_integration.dto import CancellationRequestDto, CancellationType

TYPES = {"CANCEL": CancellationType.CANCEL, "RETURN": CancellationType.REFUND}
KEY_SEPARATOR = "|"


class ClaimState(StrEnum):
    """The marketplace's words."""

    WAITING = "WAITING"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class MarketplaceGetCancellationRequests(WindowReader, GetCancellationRequests):
    """Flow 6. Claims that wait for an answer, a record for each unit; what is decided asks for nothing any more."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """`<claim>|<line>/<n>`."""
        if record["claimId"] is None:
            return ""
        return f"{record['claimId']}{KEY_SEPARATOR}{unit_id(record['lineId'], record['unit'])}"

    def record_time(self, record: Record) -> datetime:
        """When the claim was made."""
        return moment(record["changedAtMs"])

    async def send_request(self, data: list[Query]) -> AsyncIterator[list[Record]]:
        """A page of claims becomes a page of units."""
        async for page in self.listed("claims", data):
            if records := [record for claim in page for record in _records(claim)]:
                yield records

    async def get_by_key(self, key: str) -> Record | None:
        """The request as it is now; None also where it is decided meanwhile."""
        claim = await read(self.http, "api/claims/{}", key.partition(KEY_SEPARATOR)[0])
        return next((record for record in _records(claim) if self.key_of(record) == key), None) if claim else None

    def normalize_response(self, response: Record) -> CancellationRequestDto:
        """One unit's request."""
        with shaped_like("claim"):
            if response["state"] != ClaimState.WAITING:
                raise bad_record("state", "not a claim's state that we know")
            if response["type"] not in TYPES:
                raise bad_record("type", "neither a cancel nor a return")
            if len(response["unitNumbers"]) != response["quantity"]:
                raise bad_record("unitNumbers", "not as many as quantity says")
            return CancellationRequestDto(
                remote_id=told(response, "claimId"),
                order_item=unit_id(response["lineId"], response["unit"]),
                reason=told(response, "reasonCode"),
                description=response["note"] or "",
                cancellation_type=TYPES[response["type"]],
            )


def _records(claim: Any) -> list[Record]:
    """A claim that can't be taken apart, or whose state nobody knows, is left to be refused by name."""
    if not isinstance(claim, dict):
        return [{"claim": claim}]
    if claim.get("state") in (ClaimState.APPROVED, ClaimState.REJECTED):
        return []
    numbers = claim.get("unitNumbers")
    if not isinstance(numbers, list) or not numbers:
        return [{**claim, "unit": None}]
    return [{**claim, "unit": number} for number in numbers]
