"""Flows 6 and 7: what shoppers ask for, and what they are answered."""

from typing import Any

import pytest

from order_integration.channels.commands import GetCancellationRequests, UpdateCancellationRequest
from order_integration.conformance.bench import Bench
from order_integration.conformance.judging import Order, done, entries, placed
from order_integration.dto import (
    BatchRequestResponseDto,
    CancellationRequestDto,
    CancellationType,
    ChannelCancellationRequestDto,
    ResponseStatus,
)

Requests = dict[str, CancellationRequestDto]

kinds = pytest.mark.parametrize("kind", list(CancellationType))


def asked(bench: Bench, order: Order) -> Requests:
    """Requests for an order's items, by key."""
    found: list[Any] = [entry for entry in entries(bench, GetCancellationRequests, order.window) if entry.dto]
    return {entry.key: entry.dto for entry in found if entry.dto.order_item in order.items}


def told(bench: Bench, requests: Requests, status: str) -> list[BatchRequestResponseDto]:
    """Each request of them as Omnitron decided it, with all that are answered together with it, in one call."""

    async def send(command: UpdateCancellationRequest) -> list[BatchRequestResponseDto]:
        open_ids, answers = {request.remote_id for request in requests.values()}, []
        while open_ids:
            together = set(await command.answered_together(min(open_ids)))
            assert min(open_ids) in together, "answered_together leaves out the request itself"
            given = [request for request in requests.values() if request.remote_id in together]
            answers += await command.run([_decided(request, status) for request in given])
            open_ids -= together
        return answers

    return done(bench, UpdateCancellationRequest, send)


def _decided(request: CancellationRequestDto, status: str) -> ChannelCancellationRequestDto:
    return ChannelCancellationRequestDto(
        cancellation_type=request.cancellation_type,
        status=status,
        order_item=request.order_item,
        reason=request.reason,
        description=request.description,
        remote_id=request.remote_id,
    )


@kinds
def test_a_request_of_several_units_is_one_record_a_unit(bench: Bench, kind: CancellationType) -> None:
    order = placed(bench, units=3)

    bench.ask(order.key, order.items[-2:], kind)

    found = asked(bench, order)
    assert sorted(request.order_item for request in found.values()) == sorted(order.items[-2:])
    assert {request.cancellation_type for request in found.values()} == {kind}
    assert all(request.reason for request in found.values())


@kinds
def test_a_request_without_a_decision_changes_nothing(bench: Bench, kind: CancellationType) -> None:
    order = placed(bench, units=3)
    bench.ask(order.key, order.items[-2:], kind)
    requests, before = asked(bench, order), bench.state(order.key)

    answers = told(bench, requests, "waiting")

    assert {answer.status for answer in answers} == {ResponseStatus.SUCCESS}
    assert bench.state(order.key) == before


@kinds
@pytest.mark.parametrize("status", ["completed", "rejected"])
def test_a_decision_is_told_once(bench: Bench, kind: CancellationType, status: str) -> None:
    order = placed(bench, units=3)
    bench.ask(order.key, order.items[-2:], kind)
    requests, before = asked(bench, order), bench.state(order.key)

    answers = told(bench, requests, status)
    after = bench.state(order.key)
    again = told(bench, requests, status)

    wanted = {request.remote_id for request in requests.values()}
    assert {answer.remote_id for answer in answers} == wanted, "a result for each remote_id"
    assert {answer.status for answer in answers} == {ResponseStatus.SUCCESS}, answers
    assert after != before, "the channel knows nothing of the decision"
    assert {answer.remote_id for answer in again} == wanted
    assert {answer.status for answer in again} == {ResponseStatus.SUCCESS}, "already in that state is a SUCCESS"
    assert bench.state(order.key) == after, "something was written a second time"


def test_a_request_that_the_channel_does_not_know_fails_and_says_so(bench: Bench) -> None:
    request = CancellationRequestDto(
        order_item="conformance-no-item", reason="1", remote_id="conformance-no-request", description=""
    )

    answers = told(bench, {"": request}, "completed")

    assert [(one.remote_id, one.status) for one in answers] == [("conformance-no-request", ResponseStatus.FAIL)]
    assert answers[0].message
