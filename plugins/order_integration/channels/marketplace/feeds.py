"""What became of feeds."""

from typing import Any

from order_integration.channels.commands import CheckOrders, Record
from order_integration.channels.marketplace.reading import read, together
from order_integration.dto import FeedState, FeedVerdict, OrderBatchRequestResponseDto, ResponseStatus
from order_integration.errors import ContractError

RUNNING, DONE = "IN_PROGRESS", "DONE"
OK, FAILED = "OK", "FAILED"
IN_THAT_STATE = ("ALREADY_SHIPPED", "ALREADY_DELIVERED")  # what the line wanted, told by somebody before


class MarketplaceCheckOrders(CheckOrders):
    """Flow 3. Feeds are worked through line by line; an order with several lines is as good as the worst of them."""

    async def send_request(self, data: list[str]) -> list[tuple[str, Record | None]]:
        """Each feed as it is now; None: the marketplace does not know it."""
        found = await together(read(self.http, "api/feeds/{}", feed_id) for feed_id in data)
        return list(zip(data, found, strict=True))

    def normalize_response(self, response: list[tuple[str, Record | None]]) -> list[FeedVerdict]:
        """A verdict each."""
        return [_verdict(feed_id, feed) for feed_id, feed in response]


def _verdict(feed_id: str, feed: Record | None) -> FeedVerdict:
    if feed is None:
        return FeedVerdict(feed_id=feed_id, state=FeedState.UNKNOWN)
    if feed.get("state") == RUNNING:
        return FeedVerdict(feed_id=feed_id, state=FeedState.RUNNING)
    if feed.get("state") != DONE or not isinstance(feed.get("lines"), list):
        raise ContractError("the marketplace's feed has no state that we know", feed=feed_id)
    codes: dict[str, list[str]] = {}
    for line in feed["lines"]:
        codes.setdefault(str(line["orderId"]), []).extend(_failures(line, feed_id))
    results = [_result(order, failures) for order, failures in codes.items()]
    return FeedVerdict(feed_id=feed_id, state=FeedState.DONE, results=results)


def _failures(line: dict[str, Any], feed_id: str) -> list[str]:
    """The code of a line that failed."""
    if line.get("result") not in {OK, FAILED}:
        raise ContractError("a line of the marketplace's feed has no result that we know", feed=feed_id)
    code = str(line.get("code") or "no code")
    return [] if line["result"] == OK or code in IN_THAT_STATE else [code]


def _result(order: str, failures: list[str]) -> OrderBatchRequestResponseDto:
    if not failures:
        return OrderBatchRequestResponseDto(status=ResponseStatus.SUCCESS, remote_id=order)
    message = f"the marketplace refused it: {', '.join(dict.fromkeys(failures))}"
    return OrderBatchRequestResponseDto(status=ResponseStatus.FAIL, remote_id=order, message=message)
