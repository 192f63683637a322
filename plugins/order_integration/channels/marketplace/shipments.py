"""Telling the marketplace what was shipped and what arrived: order by order, or many as a feed."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from order_integration.channels.commands import SendUpdatedOrders
from order_integration.channels.marketplace.missing import Step, missing
from order_integration.channels.marketplace.reading import read, together
from order_integration.dto import OrderBatchRequestResponseDto, ResponseStatus, Submission, Submitted, UpdatedOrderDto
from order_integration.errors import ContractError, Reason, RecordError, RefusedError, RetriableError
from order_integration.exact_json import Json

Verdict = OrderBatchRequestResponseDto
T = TypeVar("T")
Needed = list[tuple[UpdatedOrderDto, list[Step]]]

LARGEST_FEED = 1000  # lines; the marketplace refuses more
CONFLICT = 409
ALREADY = "the marketplace has it so already"


@dataclass(frozen=True)
class _Lost:
    """No answer came."""

    error: RetriableError


class MarketplaceSendUpdatedOrders(SendUpdatedOrders):
    """Flow 2. Only what the marketplace does not know yet is sent, so that sending twice writes once.

    At once: a call for each parcel and for what arrived, which names its units. As a feed: a line each, in one feed.
    """

    async def send_request(self, data: Submission) -> Submitted:
        """A verdict for each order; or a feed for those that need one, and a verdict for the others."""
        if data.is_sync:
            return Submitted(results=await self._each(data.orders, self._tell))
        answers = list(zip(data.orders, await self._each(data.orders, self._missing), strict=True))
        results = [answer for _, answer in answers if isinstance(answer, Verdict)]
        results += [_success(order, ALREADY) for order, answer in answers if answer == []]
        needed = [(order, answer) for order, answer in answers if isinstance(answer, list) and answer]
        return await self._feed(data.reference, needed, results)

    def normalize_response(self, response: Submitted) -> Submitted:
        """Ours already."""
        return response

    async def find_submission(self, reference: str) -> Submitted | None:
        """The feed that came with this reference.

        None also for what was told at once: that leaves nothing but the orders' state, and may be told again.
        """
        answer = await self.http.get("api/feeds", {"reference": reference})
        feeds = answer.get("feeds") if isinstance(answer, dict) else None
        if not isinstance(feeds, list):
            raise ContractError("the marketplace's answer has no list of feeds")
        return Submitted(feed_ids=[_feed_id(feed) for feed in feeds]) if feeds else None

    async def _each(
        self, orders: list[UpdatedOrderDto], do: Callable[[UpdatedOrderDto], Awaitable[T]]
    ) -> list[T | Verdict]:
        """All orders at the same time; what befalls one is its own. Raises where no order got an answer at all."""
        answers = await together(_alone(order, do) for order in orders)
        lost = [answer for answer in answers if isinstance(answer, _Lost)]
        if lost and len(lost) == len(answers):
            raise lost[0].error
        return [
            _fail(order, "no answer of the marketplace") if isinstance(answer, _Lost) else answer
            for order, answer in zip(orders, answers, strict=True)
        ]

    async def _missing(self, order: UpdatedOrderDto) -> list[Step]:
        if not any(item.is_shipped for item in order.items):
            return []
        known = await read(self.http, "api/orders/{}", order.remote_id)
        if known is None:
            raise RecordError(Reason.ORDER_UNKNOWN, "order", "the marketplace does not know it")
        return missing(order, known, self.settings.carriers)

    async def _tell(self, order: UpdatedOrderDto) -> Verdict:
        """What is refused may be there meanwhile, by an answer that was lost or by somebody else: then look again."""
        steps = await self._missing(order)
        message = "" if steps else ALREADY
        while steps:
            try:
                for step in steps:
                    # Harmless twice: the units are named, and the second time they are not open any more.
                    path = f"api/orders/{order.remote_id}/{step.path}"
                    await self.http.call("POST", path, body=step.body, repeatable=True)
                break
            except RefusedError as refused:
                before, steps = steps, await self._missing(order)
                if refused.status != CONFLICT or steps == before:
                    raise
        return _success(order, message)

    async def _feed(self, reference: str, needed: Needed, results: list[Verdict]) -> Submitted:
        """One feed, at most; an order that does not fit in any more is offered again."""
        lines: list[Json] = []
        told = []
        for order, steps in needed:
            if len(lines) + len(steps) > LARGEST_FEED:
                results.append(_fail(order, f"did not fit in a feed of {LARGEST_FEED} lines"))
                continue
            told.append(order)
            lines += [{"orderId": int(order.remote_id), "status": step.status.value, **step.body} for step in steps]
        if not lines:
            return Submitted(results=results)
        try:
            feed_id = await self._submit(reference, lines)
        except RefusedError as refused:
            return Submitted(results=[*results, *(_fail(order, _words(refused)) for order in told)])
        return Submitted(results=results, feed_ids=[feed_id])

    async def _submit(self, reference: str, lines: list[Json]) -> str:
        """Harmless twice: a reference is taken once, and then names the feed that came with it."""
        body = {"reference": reference, "lines": lines}
        try:
            return _feed_id(await self.http.call("POST", "api/feeds/shipments", body=body, repeatable=True))
        except RefusedError as refused:
            if refused.code != "REFERENCE_USED":
                raise
            return _feed_id(refused.body)


async def _alone(order: UpdatedOrderDto, do: Callable[[UpdatedOrderDto], Awaitable[T]]) -> T | Verdict | _Lost:
    try:
        return await do(order)
    except RefusedError as refused:
        return _fail(order, _words(refused))
    except RecordError as error:
        return _fail(order, f"{error.field}: {error.sentence}")
    except RetriableError as error:
        return _Lost(error)


def _words(refused: RefusedError) -> str:
    """The code only: what the marketplace writes for people may be about people."""
    return f"the marketplace refused it: {refused.code or refused.status}"


def _success(order: UpdatedOrderDto, message: str) -> Verdict:
    return Verdict(status=ResponseStatus.SUCCESS, remote_id=order.remote_id, number=order.number, message=message)


def _fail(order: UpdatedOrderDto, message: str) -> Verdict:
    return Verdict(status=ResponseStatus.FAIL, remote_id=order.remote_id, number=order.number, message=message)


def _feed_id(answer: Json) -> str:
    if not isinstance(answer, dict) or answer.get("feedId") is None:
        raise ContractError("the marketplace's answer names no feed")
    return str(answer["feedId"])
