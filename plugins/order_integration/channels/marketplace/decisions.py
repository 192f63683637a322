"""Answering claims: approved or rejected, each claim whole."""

from order_integration.channels.commands import UpdateCancellationRequest
from order_integration.channels.marketplace.claims import ClaimState
from order_integration.channels.marketplace.reading import read, shaped_like
from order_integration.channels.marketplace.units import unit_id
from order_integration.dto import BatchRequestResponseDto, ChannelCancellationRequestDto, Decision, ResponseStatus
from order_integration.errors import ConfigurationError, RecordError, RefusedError
from order_integration.exact_json import Json

Requests = list[ChannelCancellationRequestDto]
Verdict = BatchRequestResponseDto

WANTED = {Decision.ACCEPTED: ClaimState.APPROVED, Decision.REJECTED: ClaimState.REJECTED}


class MarketplaceUpdateCancellationRequest(UpdateCancellationRequest):
    """Flow 7. A claim's units share its id, so they come together; one that is undecided holds the answer back."""

    async def send_request(self, data: Requests) -> list[Verdict]:
        """A verdict for each claim.

        Raises ConfigurationError where a claim has to be rejected and `reject_reason` can't be used.
        """
        claims: dict[str, Requests] = {}
        for one in data:
            claims.setdefault(one.remote_id or "", []).append(one)
        return [await self._alone(claim_id, requests) for claim_id, requests in claims.items()]

    def normalize_response(self, response: list[Verdict]) -> list[Verdict]:
        """Ours already."""
        return response

    async def _alone(self, claim_id: str, requests: Requests) -> Verdict:
        try:
            return await self._answer(claim_id, requests)
        except RefusedError as refused:
            return _fail(claim_id, f"the marketplace refused it: {refused.code or refused.status}")
        except RecordError as error:
            return _fail(claim_id, f"{error.field}: {error.sentence}")

    async def _answer(self, claim_id: str, requests: Requests) -> Verdict:
        claim = await read(self.http, "api/claims/{}", claim_id)
        if claim is None:
            return _fail(claim_id, "the marketplace does not know the claim")
        with shaped_like("claim"):
            units = {unit_id(claim["lineId"], number) for number in claim["unitNumbers"]}
            state = claim["state"]
        decisions = {one.order_item: one.decision for one in requests}
        wanted = {WANTED[made] for made in decisions.values() if made}
        if decisions.keys() - units:
            return _fail(claim_id, "a request is for a unit that the claim does not have")
        if not all(decisions.get(unit) for unit in units):  # one whose request is not in Omnitron is undecided, too
            return _success(claim_id, "nothing to do before all units of the claim are decided")
        if len(wanted) > 1:
            return _fail(claim_id, "some units accepted, some rejected: the claim can only be answered whole")
        return await self._bring(claim_id, state, wanted.pop())

    async def _bring(self, claim_id: str, state: str, wanted: ClaimState) -> Verdict:
        if state == wanted:
            return _success(claim_id, f"{wanted.lower()} already")
        if state != ClaimState.WAITING:
            known = state in tuple(ClaimState)
            return _fail(claim_id, f"it is {state.lower()} already" if known else "not a claim's state that we know")
        path, body = self._call(claim_id, wanted)
        try:
            # Harmless twice: the second time the claim is decided.
            await self.http.call("POST", path, body=body, repeatable=True)
        except RefusedError as refused:
            if refused.code == "REASON_UNKNOWN":
                raise self._wrong_reason("is none of the marketplace's") from None
            if refused.code != f"ALREADY_{wanted}":
                raise
        return _success(claim_id, "")

    def _call(self, claim_id: str, wanted: ClaimState) -> tuple[str, Json]:
        if wanted is ClaimState.APPROVED:
            return f"api/claims/{claim_id}/approve", {}
        if not self.settings.reject_reason:
            raise self._wrong_reason("is needed to reject a claim")
        return f"api/claims/{claim_id}/reject", {"reasonCode": self.settings.reject_reason}

    def _wrong_reason(self, what: str) -> ConfigurationError:
        return ConfigurationError(
            f"channel {self.connector.channel.name}, settings: reject_reason {what}; take a code of rejectReasons of "
            "GET /api/claims/reasons"
        )


def _success(claim_id: str, message: str) -> Verdict:
    return Verdict(status=ResponseStatus.SUCCESS, remote_id=claim_id, message=message)


def _fail(claim_id: str, message: str) -> Verdict:
    return Verdict(status=ResponseStatus.FAIL, remote_id=claim_id, message=message)
