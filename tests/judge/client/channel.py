"""A sales channel for the existing client: what the test's story says is there, and what is sent to it is accepted."""

import json
import os
from datetime import datetime
from pathlib import Path
from typing import Any

from channel_app.channel.integration import ChannelIntegration as Base
from channel_app.core.commands import ChannelCommandInterface
from channel_app.core.data import (
    AddressDto,
    CancellationRequestDto,
    CancelOrderDto,
    ChannelCreateOrderDto,
    ChannelOrderDto,
    ChannelUpdateOrderItemDto,
    CustomerDto,
    OrderBatchRequestResponseDto,
    OrderItemDto,
)
from channel_app.omnitron.constants import ResponseStatus
from lend import story

People = {"customer": CustomerDto, "shipping_address": AddressDto, "billing_address": AddressDto}


class Command(ChannelCommandInterface):
    kind = ""

    def get_data(self) -> Any:
        return self.objects

    def validated_data(self, data: Any) -> Any:
        return data

    def transform_data(self, data: Any) -> Any:
        return data

    def send_request(self, transformed_data: Any) -> Any:
        return story()[self.kind]

    def normalize_response(self, data: Any, validated_data: Any, transformed_data: Any, response: Any) -> Any:
        for row in response:
            yield self.dto(row), self.create_report(row), None

    def dto(self, row: dict[str, Any]) -> Any:
        raise NotImplementedError


class Orders(Command):
    kind = "orders"

    def dto(self, row: dict[str, Any]) -> ChannelCreateOrderDto:
        head = {**row["order"], "created_at": datetime.fromisoformat(row["order"]["created_at"])}
        head |= {name: people(**head[name]) for name, people in People.items()}
        return ChannelCreateOrderDto(ChannelOrderDto(**head), [OrderItemDto(**item) for item in row["order_item"]])


class SentOrders(Command):
    def send_request(self, transformed_data: Any) -> Any:
        sent = [{"number": order.number, "items": len(order.orderitem_set)} for order in transformed_data]
        Path(os.environ["JUDGE_SENT"]).write_text(json.dumps(sent), "utf-8")
        return transformed_data

    def normalize_response(self, data: Any, validated_data: Any, transformed_data: Any, response: Any) -> Any:
        said = [
            OrderBatchRequestResponseDto(
                # The client finds the order by comparing this number with the link's remote id.
                status=ResponseStatus.success, remote_id=order.extra_field["id"], number=order.extra_field["id"]
            )
            for order in response
        ]  # fmt: skip
        return said, self.create_report("accepted"), data


class Cancels(Command):
    kind = "cancels"

    def normalize_response(self, data: Any, validated_data: Any, transformed_data: Any, response: Any) -> Any:
        for row in response:
            yield CancelOrderDto(**row), None, None  # its own reports, a list, would kill the flow


class ItemUpdates(Command):
    kind = "item_updates"

    def dto(self, row: dict[str, Any]) -> ChannelUpdateOrderItemDto:
        return ChannelUpdateOrderItemDto(**row)


class Requests(Command):
    kind = "cancellation_requests"

    def dto(self, row: dict[str, Any]) -> CancellationRequestDto:
        return CancellationRequestDto(**row)


class ChannelIntegration(Base):
    actions = {  # noqa: RUF012
        "get_orders": Orders,
        "send_updated_orders": SentOrders,
        "get_cancelled_orders": Cancels,
        "get_updated_order_items": ItemUpdates,
        "get_cancellation_requests": Requests,
    }
