"""Reading orders: the window on their creation, a page at a time."""

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from decimal import InvalidOperation
from typing import Any
from urllib.parse import quote

from order_integration.channels.commands import GetOrders, Record, Window, WindowOn, bad_record
from order_integration.channels.medusa.mapping import order_dto
from order_integration.dto import ChannelCreateOrderDto
from order_integration.errors import ConfigurationError, ContractError, Reason, RefusedError

Query = dict[str, str | int | list[str]]

# Only what is used: fewer people's data travel, and Medusa's own choice of fields has no e-mail and no address.
FIELDS = ",".join(
    (
        *("id", "display_id", "status", "email", "currency_code", "created_at", "updated_at", "locale", "total"),
        *("customer.id", "customer.email", "customer.first_name", "customer.last_name", "customer.phone"),
        *("*items", "*shipping_methods", "*shipping_address", "*billing_address"),
    )
)
NOT_FOUND = 404


class MedusaGetOrders(GetOrders):
    """Flow 1. Cancelled orders are read too: their cancel, which is flow 4's, needs something to cancel."""

    window_on = WindowOn.CREATION

    def record_time(self, record: Record) -> datetime:
        """When the cart became an order."""
        return datetime.fromisoformat(record["created_at"])

    def validated_data(self, data: Window) -> Window:
        """Refuse a window that can have nothing in it."""
        if data.start >= data.end:
            raise ConfigurationError("the window ends before it begins", start=data.start, end=data.end)
        return data

    def transform_data(self, data: Window) -> Query:
        """The window as Medusa's filters."""
        query: Query = {
            "created_at[$gte]": _instant(data.start),
            "created_at[$lt]": _instant(data.end),
            "fields": FIELDS,
            "order": "id",
            "limit": self.connector.channel.page_size,
        }
        channels = self.settings.sales_channels
        return {**query, "sales_channel_id[]": list(channels)} if channels else query

    async def send_request(self, data: Query) -> AsyncIterator[list[Record]]:
        """Pages by keyset on the id, a ULID: an order that comes or goes meanwhile shifts none of the others."""
        last = ""
        while True:
            page, remaining = _page(await self.http.get("admin/orders", {**data, "id[$gt]": last} if last else data))
            if page:
                # A filter that Medusa doesn't know is ignored without a word, and we would read page one for ever.
                if str(page[0]["id"]) <= last:
                    raise ContractError("Medusa repeats a page of orders", after=last)
                yield page
            if len(page) >= remaining:
                return
            if not page:
                raise ContractError("Medusa counts more orders than it lists")
            last = str(page[-1]["id"])

    async def get_by_key(self, key: str) -> Record | None:
        """The order as it is now."""
        try:
            answer = await self.http.get(f"admin/orders/{quote(key, safe='')}", {"fields": FIELDS})
        except RefusedError as refused:
            if refused.status == NOT_FOUND:
                return None
            raise
        return dict(answer["order"])

    def normalize_response(self, response: Record) -> ChannelCreateOrderDto:
        """One order; what has another shape than an order is refused by name, not by accident."""
        try:
            return order_dto(response, self.settings)
        except KeyError as missing:
            raise bad_record(str(missing.args[0]), "missing in the order", Reason.FIELD_MISSING) from None
        except (TypeError, AttributeError, InvalidOperation) as error:
            what = f"not shaped like an order: {type(error).__name__}"
            raise bad_record("order", what, Reason.RECORD_MALFORMED) from None


def _instant(moment: datetime) -> str:
    """In UTC with a Z, because Medusa answers 500 to an unescaped plus; in milliseconds, which is what it stores."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _page(answer: Any) -> tuple[list[Record], int]:
    if not isinstance(answer, Mapping) or not isinstance(answer.get("orders"), list):
        raise ContractError("Medusa's answer has no list of orders")
    return answer["orders"], int(answer.get("count", 0))
