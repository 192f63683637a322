"""Reading orders: the window on their modification, a page at a time."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from order_integration.channels.commands import GetOrders, Record, Window, WindowOn, bad_record
from order_integration.channels.marketplace.mapping import EPOCH, moment, order_dto
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import ConfigurationError, ContractError, Reason, RefusedError

LONGEST_WINDOW = timedelta(days=31)  # the marketplace refuses more
LARGEST_PAGE = 200
NOT_FOUND = 404
MILLISECOND = timedelta(milliseconds=1)

Query = dict[str, str | int]


class MarketplaceGetOrders(GetOrders):
    """Flow 1. Cancelled orders are read too: their cancel, which is flow 4's, needs something to cancel."""

    window_on = WindowOn.MODIFICATION

    def record_key(self, record: Record) -> str:
        """The marketplace's id; the number that people see may come twice."""
        return "" if record["orderId"] is None else str(record["orderId"])

    def record_time(self, record: Record) -> datetime:
        """The last change of the order."""
        return moment(record["changedAtMs"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        if data.start >= data.end:
            raise ConfigurationError("the window ends before it begins", start=data.start, end=data.end)
        return data

    def transform_data(self, data: Window) -> list[Query]:
        """The window as the marketplace's filters, in pieces that it takes."""
        size = min(self.connector.channel.page_size, LARGEST_PAGE)
        return [
            {"modified_from": _milliseconds(piece.start), "modified_to": _milliseconds(piece.end), "size": size}
            for piece in _pieces(data)
        ]

    async def send_request(self, data: list[Query]) -> AsyncIterator[list[Record]]:
        """Pages by cursor: an order that moves out of the window meanwhile shifts none of the others."""
        for query in data:
            cursor: str | None = ""
            while cursor is not None:
                answer = await self.http.get("api/orders", {**query, "after": cursor} if cursor else query)
                page, following = _page(answer)
                if page:
                    yield page
                if following is not None and following == cursor:
                    raise ContractError("the marketplace's cursor does not move")
                cursor = following

    async def get_by_key(self, key: str) -> Record | None:
        """The order as it is now."""
        if not (key.isascii() and key.isdigit()):  # the digest that stands in for a missing id
            return None
        try:
            return dict(await self.http.get(f"api/orders/{key}"))
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return None
            raise

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        """One order; what has another shape than an order is refused by name, not by accident."""
        try:
            return order_dto(response, self.settings)
        except KeyError as missing:
            raise bad_record(str(missing.args[0]), "missing in the order", Reason.FIELD_MISSING) from None
        except (TypeError, AttributeError) as error:
            what = f"not shaped like an order: {type(error).__name__}"
            raise bad_record("order", what, Reason.RECORD_MALFORMED) from None


def _pieces(window: Window) -> Iterator[Window]:
    start = window.start
    while start < window.end:
        end = min(start + LONGEST_WINDOW, window.end)
        yield Window(start, end)
        start = end


def _milliseconds(moment: datetime) -> int:
    """Rounded up on both sides, so that two windows that meet share no millisecond and leave none out."""
    return -((EPOCH - moment) // MILLISECOND)


def _page(answer: Any) -> tuple[list[Record], str | None]:
    if not isinstance(answer, Mapping) or not isinstance(answer.get("orders"), list):
        raise ContractError("the marketplace's answer has no list of orders")
    following = answer.get("next")
    return answer["orders"], str(following) if following else None
