"""What a connector implements: the seven commands of the public channel-app guide, and the connector that holds them.

Every command has the same five steps, each with a default; the smallest command writes two of them
(`send_request` and `normalize_response`). A step is `def` or `async def`; plain ones run in a thread.

===================  =============================================================================================
`get_data`           what the command works on: the window, or the objects to send
`validated_data`     refuse what makes no sense
`transform_data`     from our words to the channel's
`send_request`       talk to the channel; reading commands yield pages of raw records
`normalize_response` from the channel's words to ours; reading commands get one raw record at a time
===================  =============================================================================================
"""

from typing import Any

from order_integration.channels.connector import ChannelConnection, Connector, ConnectorSettings
from order_integration.channels.steps import (
    NO_ID,
    SLIPS,
    ChannelCommand,
    ReadCommand,
    Record,
    Window,
    WindowOn,
    WriteCommand,
    bad_record,
    run_step,
)
from order_integration.dto import (
    BatchRequestResponseDto,
    CancellationRequestDto,
    CancelOrderDto,
    ChannelCancellationRequestDto,
    ChannelCreateOrderDto,
    ChannelUpdateOrderItemDto,
    FeedVerdict,
    OrderState,
    Submission,
    Submitted,
)

# All that a connector needs from here.
__all__ = [
    "NO_ID",
    "SLIPS",
    "ChannelCommand",
    "ChannelConnection",
    "CheckOrders",
    "Connector",
    "ConnectorSettings",
    "GetCancellationRequests",
    "GetCancelledOrders",
    "GetChannelConfSchema",
    "GetOrders",
    "GetUpdatedOrderItems",
    "OrderState",
    "ReadCommand",
    "Record",
    "SendUpdatedOrders",
    "UpdateCancellationRequest",
    "Window",
    "WindowOn",
    "WriteCommand",
    "bad_record",
]


class GetOrders(ReadCommand[ChannelCreateOrderDto]):
    """Flow 1: orders of the channel."""

    def order_state(self, record: Record) -> OrderState | None:  # noqa: ARG002
        """How far a raw order is at the channel; None: not known.

        Optional. With it an order that the channel cancelled while it waited is not created any more, and
        reconciliation compares states, not amounts alone.
        """
        return None


class GetCancelledOrders(ReadCommand[CancelOrderDto]):
    """Flow 4: what the channel cancelled by itself. One record an order, with all that is cancelled of it by now.

    Keyed by the channel's id of the order. An item id stands in `cancel_items` as often as its units are cancelled so
    far, not only in this window: overlapping windows then cancel nothing twice.
    """


class GetUpdatedOrderItems(ReadCommand[ChannelUpdateOrderItemDto]):
    """Flow 5: invoices, tracking, deliveries that the channel knows first. One record an item id, as it is now.

    Keyed by the item's remote id; where only orders can be looked up, by both (`<order>|<item>`). `modified_at` decides
    which of two is newer. Give only what the channel knows; a field that is given as None is cleared in Omnitron.
    """


class GetCancellationRequests(ReadCommand[CancellationRequestDto]):
    """Flow 6: cancels and returns that shoppers ask for. One record a unit: a return of three units is three records.

    Their `remote_id` may be the same, so the key must hold the item as well (`<request>|<item>`).
    """


class SendUpdatedOrders(WriteCommand[Submission, Submitted]):
    """Flow 2: orders that changed in Omnitron, with their items.

    Answers with a result for each order, found by its remote id or its number, or with feed ids. One order that fails
    stops no other: it gets a FAIL with a message. An exception means that nothing is known about any of them.
    """

    answer = Submitted

    def _checked(self, answer: Any) -> Submitted:
        if not isinstance(answer, Submitted):
            raise self._wrong(answer)
        return answer

    async def find_submission(self, reference: str) -> Submitted | None:
        """What the channel made of an earlier submission with this reference; None: it never arrived.

        Optional: without it a connector sends at least once, with it exactly once.
        """
        raise NotImplementedError

    def can_find_submission(self) -> bool:
        """Whether this command implements `find_submission`; one that does not sends at least once."""
        return type(self).find_submission is not SendUpdatedOrders.find_submission


class CheckOrders(WriteCommand[list[str], list[FeedVerdict]]):
    """Flow 3: what became of feeds. Given feed ids, it answers a verdict for each; asked often, it changes nothing."""

    answer = FeedVerdict


class UpdateCancellationRequest(WriteCommand[list[ChannelCancellationRequestDto], list[BatchRequestResponseDto]]):
    """Flow 7: what Omnitron decided about requests that the channel answers together; mostly it is one.

    Answers a result for each `remote_id`. A request without a `decision` is still in progress; where the channel can't
    be told before all are decided, SUCCESS means that there is nothing to do yet.
    """

    answer = BatchRequestResponseDto

    async def answered_together(self, remote_id: str) -> list[str]:
        """The remote ids of all requests that the channel answers in one go with this one, itself among them."""
        return [remote_id]


class GetChannelConfSchema(ChannelCommand):
    """What a merchant can set for the channel in Omnitron, besides what every channel has (`reason_mapping`).

    Optional. `send_request` returns key → {required, data_type, key, label}, data types as in the public guide.
    """

    def send_request(self, data: Any) -> dict[str, Record]:  # noqa: ARG002
        """Nothing of its own."""
        return {}

    def normalize_response(self, response: dict[str, Record]) -> dict[str, Record]:
        """As it is."""
        return response

    async def run(self) -> dict[str, Record]:
        """All five steps."""
        found: dict[str, Record] = await run_step(
            self.normalize_response, await run_step(self.send_request, await self._request(None))
        )
        return found
