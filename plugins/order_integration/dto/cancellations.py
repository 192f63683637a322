"""Cancels, item updates and cancellation requests, in the directions they travel."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from order_integration.dto.fields import Dto, ExtraField, Id, Personal, ZonedDatetime, at_most, problem
from order_integration.errors import Reason


class CancellationType(StrEnum):
    """A refund is a return of what was shipped."""

    CANCEL = "cancel"
    REFUND = "refund"


class CancelOrderDto(Dto):
    """What of an order is cancelled by now. An item id stands in `cancel_items` as often as its units are cancelled.

    What it says of the money (`is_cargo_refund`, `forced_refund_amount`, `refund_invoice_number`) is told Omnitron
    once, with the first cancel of the order: said again with a later one, it would be paid back again.
    """

    order: Id
    cancel_items: list[Id] = Field(min_length=1)
    reasons: dict[str, str]
    is_cargo_refund: bool = False
    forced_refund_amount: str | None = None
    refund_invoice_number: str | None = None
    modified_at: ZonedDatetime | None = None

    @model_validator(mode="after")
    def _has_reasons(self) -> Self:
        if missing := set(self.cancel_items) - set(self.reasons):
            raise problem(Reason.FIELD_MISSING, f"no reason for {len(missing)} of the items", "reasons")
        return self


class CancellationRequestDto(Dto):
    """A shopper asks for a cancel or a refund of one item; `reason` is the channel's code."""

    order_item: Id
    reason: Id
    remote_id: Id
    description: Annotated[str, Personal()]
    cancellation_type: CancellationType = CancellationType.CANCEL


class Decision(StrEnum):
    """What a request's status means to the channel; every other status is still in progress."""

    ACCEPTED = "completed"
    REJECTED = "rejected"


class ChannelCancellationRequestDto(Dto):
    """What Omnitron decided about a request, for the channel; `reason` is the channel's code again."""

    cancellation_type: CancellationType
    status: Annotated[str, at_most(32)]
    order_item: Id
    reason: Id
    description: Annotated[str | None, Personal()]
    remote_id: Id | None

    @property
    def decision(self) -> Decision | None:
        """None: nobody has decided yet."""
        return Decision(self.status) if self.status in set(Decision) else None


class ChannelUpdateOrderItemDto(Dto):
    """News of one item. A field that is not given stays; one that is given as None is cleared."""

    remote_id: Id
    order_remote_id: Id | None = None
    order_number: Annotated[str, at_most(128)] | None = None
    status: Annotated[str, at_most(3)] | None = None
    invoice_number: Annotated[str, at_most(128)] | None = None
    invoice_date: ZonedDatetime | None = None
    tracking_number: Annotated[str, at_most(256)] | None = None
    extra_field: Annotated[ExtraField | None, Personal()] = None
    modified_at: ZonedDatetime | None = None
