"""Flow 7: claims are approved or rejected, each whole and once."""

from collections.abc import Iterator

import pytest

from order_integration.channels.commands import GetCancellationRequests, UpdateCancellationRequest
from order_integration.dto import CancellationType, ChannelCancellationRequestDto, ResponseStatus
from order_integration.errors import ConfigurationError, UnknownOutcomeError
from tests.channels.marketplace_kit import REJECTING, Kervan, kervan, unit_ids

SUCCESS, FAIL = ResponseStatus.SUCCESS, ResponseStatus.FAIL
ACCEPTED, REJECTED, OPEN = "completed", "rejected", "waiting"


@pytest.fixture(scope="module")
def running_market() -> Iterator[Kervan]:
    with kervan() as market:
        yield market


@pytest.fixture
def market(running_market: Kervan) -> Kervan:
    return running_market.start_again()


@pytest.fixture
def claim(market):
    """Somebody asks to cancel the last two units of an order."""
    order = market.order()
    return {**market.happens(order, "claim", type="CANCEL", quantity=2), "units": unit_ids(order)[-2:], "order": order}


def requests(claim, *statuses, **fields):
    """The claim's requests as Omnitron decided them, the last ones left out where fewer are said."""
    return [
        ChannelCancellationRequestDto(
            **{
                "cancellation_type": CancellationType.CANCEL,
                "status": status,
                "order_item": unit,
                "reason": "CHANGED_MIND",
                "description": "",
                "remote_id": str(claim["claimId"]),
                **fields,
            }
        )
        for unit, status in zip(claim["units"], statuses, strict=False)
    ]


def answered(market, *told, **settings):
    return market.run(UpdateCancellationRequest, list(told), **{**REJECTING, **settings})


def state(market, claim):
    return market.did("GET", f"/api/claims/{claim['claimId']}")["state"]


@pytest.mark.parametrize(("decision", "wanted"), [(ACCEPTED, "APPROVED"), (REJECTED, "REJECTED")])
def test_a_claim_is_answered_once_all_its_units_are_decided(market, claim, decision, wanted):
    told = requests(claim, decision, decision)

    first = answered(market, *told)
    again = market.wrote_nothing(lambda: answered(market, *told))

    assert [(one.remote_id, one.status) for one in first] == [(str(claim["claimId"]), SUCCESS)]
    assert [one.status for one in again] == [SUCCESS]
    assert state(market, claim) == wanted


def test_an_approved_cancel_cancels_the_units_and_a_rejected_one_none(market, claim):
    answered(market, *requests(claim, ACCEPTED, ACCEPTED))

    assert market.states(claim["order"])[-2:] == ["CANCELLED", "CANCELLED"]


def test_a_rejection_carries_the_reason_that_was_set(market, claim):
    answered(market, *requests(claim, REJECTED, REJECTED), reject_reason="ALREADY_SENT")

    assert market.did("GET", f"/api/claims/{claim['claimId']}")["decision"]["reasonCode"] == "ALREADY_SENT"


@pytest.mark.parametrize("statuses", [(OPEN, OPEN), (ACCEPTED, OPEN), (REJECTED, OPEN), (ACCEPTED,), (REJECTED,)])
def test_a_claim_with_a_unit_that_is_not_decided_waits(market, claim, statuses):
    (answer,) = market.wrote_nothing(lambda: answered(market, *requests(claim, *statuses)))

    assert answer.status is SUCCESS
    assert "nothing to do" in answer.message
    assert state(market, claim) == "WAITING"


def test_decisions_that_contradict_each_other_are_told_to_a_person(market, claim):
    (answer,) = market.wrote_nothing(lambda: answered(market, *requests(claim, ACCEPTED, REJECTED)))

    assert answer.status is FAIL
    assert "only be answered whole" in answer.message
    assert state(market, claim) == "WAITING"


@pytest.mark.defect("P4")
@pytest.mark.parametrize(
    ("decision", "other", "body"),
    [(ACCEPTED, "reject", {"reasonCode": "USED"}), (REJECTED, "approve", {})],
)
def test_a_claim_that_was_answered_otherwise_is_a_failure(market, claim, decision, other, body):
    market.did("POST", f"/api/claims/{claim['claimId']}/{other}", body)

    (answer,) = market.wrote_nothing(lambda: answered(market, *requests(claim, decision, decision)))

    assert answer.status is FAIL
    assert "already" in answer.message


@pytest.mark.defect("P5")
def test_a_claim_that_fails_stops_no_other(market, claim):
    order, gone = market.order(), {"claimId": 999999, "units": claim["units"]}
    shipped = {**market.happens(order, "claim", type="CANCEL"), "units": unit_ids(order)[-1:]}
    market.ship(order, *shipped["unitNumbers"])
    odd = requests(claim, ACCEPTED, remote_id="elsewhere")

    answers = answered(
        market, *odd, *requests(gone, ACCEPTED), *requests(shipped, ACCEPTED), *requests(claim, ACCEPTED, ACCEPTED)
    )

    assert [one.status for one in answers] == [FAIL, FAIL, FAIL, SUCCESS]
    assert [one.remote_id for one in answers] == ["elsewhere", "999999", str(shipped["claimId"]), str(claim["claimId"])]
    assert answers[2].message.endswith("ALREADY_SHIPPED")


def test_a_unit_that_the_claim_does_not_have_is_not_overlooked(market, claim):
    strangers = requests({**claim, "units": ["elsewhere/1"]}, ACCEPTED)

    (answer,) = market.wrote_nothing(lambda: answered(market, *requests(claim, ACCEPTED, ACCEPTED), *strangers))

    assert (answer.status, state(market, claim)) == (FAIL, "WAITING")


@pytest.mark.parametrize("setting", ["", "NO_SUCH_REASON"])
def test_a_rejection_without_a_reason_that_can_be_used_names_the_setting(market, claim, setting):
    with pytest.raises(ConfigurationError, match="channel kervan, settings: reject_reason"):
        answered(market, *requests(claim, REJECTED, REJECTED), reject_reason=setting)

    assert state(market, claim) == "WAITING"
    assert answered(market, *requests(claim, OPEN, REJECTED), reject_reason=setting)[0].status is SUCCESS


@pytest.mark.parametrize("decision", [ACCEPTED, REJECTED])
@pytest.mark.parametrize("kind", ["cut_after", "cut_before", "truncate"])
def test_a_lost_answer_is_no_failure(market, claim, decision, kind):
    market.fault("claims/.*/(approve|reject)", kind)

    (answer,) = answered(market, *requests(claim, decision, decision))

    assert answer.status is SUCCESS
    assert state(market, claim) != "WAITING"


def test_a_marketplace_that_does_not_answer_is_no_verdict(market, claim):
    market.fault("approve", "status", status=503, times=None)

    with pytest.raises(UnknownOutcomeError):
        answered(market, *requests(claim, ACCEPTED, ACCEPTED))


@pytest.mark.parametrize("change", [{"state": "PAUSED"}, {"unitNumbers": None}, {"unitNumbers": [0]}])
def test_a_claim_that_can_not_be_understood_is_not_answered(market, claim, change):
    shown = market.did("GET", f"/api/claims/{claim['claimId']}")
    market.fault("claims", "status", status=200, body={**shown, **change})

    (answer,) = market.wrote_nothing(lambda: answered(market, *requests(claim, ACCEPTED, ACCEPTED)))

    assert answer.status is FAIL
    assert answer.message


def test_what_was_read_is_what_is_answered(market, claim):
    """The requests' remote id leads back to the claim, and all units of it share that id."""
    found = market.records(GetCancellationRequests, order=claim["order"])
    made = market.connector().command(GetCancellationRequests)

    assert {made.normalize_response(row).remote_id for row in found} == {str(claim["claimId"])}
    together = market.command(
        UpdateCancellationRequest, lambda command: command.answered_together(str(claim["claimId"]))
    )
    assert together == [str(claim["claimId"])]
