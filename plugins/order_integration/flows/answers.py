"""What a channel answered, order by order: found by its remote id or its number, whichever the answer carries."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from order_integration.dto import FailedReasonType, OrderBatchRequestResponseDto, ResponseStatus
from order_integration.flows.outbound import Sent, State


def matched(
    sents: Iterable[Sent], results: Iterable[OrderBatchRequestResponseDto]
) -> dict[int, OrderBatchRequestResponseDto]:
    """The result of each order that has one, by pk; of two, the worse counts.

    Some connectors answer with a job's id as `remote_id`, some with the remote id as `number`: both are looked for,
    the remote id first.
    """
    by_remote_id: dict[str, list[int]] = defaultdict(list)
    by_number: dict[str, list[int]] = defaultdict(list)
    for sent in sents:
        by_remote_id[sent.remote_id].append(sent.pk)
        by_number[sent.number].append(sent.pk)
    found: dict[int, OrderBatchRequestResponseDto] = {}
    for result in results:
        number = result.number or result.remote_id
        for pk in by_remote_id.get(result.remote_id) or by_number.get(number) or by_remote_id.get(number, []):
            if pk not in found or result.status is ResponseStatus.FAIL:
                found[pk] = result
    return found


def told(
    sents: Sequence[Sent], results: Iterable[OrderBatchRequestResponseDto], otherwise: dict[int, Sent] | None = None
) -> list[Sent]:
    """Orders with what the channel said of them; one without a result is as in `otherwise`, or our own slip."""
    found = matched(sents, results)
    return [
        _told(sent, found[sent.pk]) if sent.pk in found else (otherwise or {}).get(sent.pk) or unanswered(sent)
        for sent in sents
    ]


def unanswered(sent: Sent) -> Sent:
    """The channel's answer is there, but says nothing about this order."""
    return sent.failed(FailedReasonType.CHANNEL_APP, "the channel's answer has no result for it", technical=True)


def handed_over(sents: Iterable[Sent]) -> dict[int, Sent]:
    """Orders whose result a feed will tell."""
    return {sent.pk: sent.moved(State.HANDED_OVER) for sent in sents}


def _told(sent: Sent, result: OrderBatchRequestResponseDto) -> Sent:
    if result.status is ResponseStatus.SUCCESS:
        return sent.succeeded()
    return sent.failed(FailedReasonType.REMOTE, result.message)
