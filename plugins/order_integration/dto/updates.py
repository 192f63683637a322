"""Orders as they are in Omnitron, on their way to the channel. Codes and ids, and nobody's data."""

from typing import Annotated

from pydantic import Field

from order_integration.dto.fields import Dto, Id, ZonedDatetime, at_most
from order_integration.dto.statuses import SHIPPED, OrderStatus


class UpdatedOrderItemDto(Dto):
    """One unit. `remote_id` is the channel's id of it; several units may share one."""

    pk: int
    remote_id: Id
    status: Annotated[str, at_most(3)]
    tracking_number: str | None = None
    carrier_shipping_code: str | None = None
    invoice_number: str | None = None
    invoice_date: ZonedDatetime | None = None
    e_archive_url: str | None = None
    delivered_date: ZonedDatetime | None = None

    @property
    def is_shipped(self) -> bool:
        """Whether it has left the house."""
        return self.status in SHIPPED

    @property
    def is_delivered(self) -> bool:
        """Whether it arrived."""
        return self.status == OrderStatus.DELIVERED


class UpdatedOrderDto(Dto):
    """An order that changed in Omnitron, with all its items. `cargo_company` is the carrier's erp_code."""

    pk: int
    remote_id: Id
    number: str
    status: Annotated[str, at_most(3)]
    modified_date: ZonedDatetime
    cargo_company: str | None = None
    tracking_number: str | None = None
    carrier_shipping_code: str | None = None
    invoice_number: str | None = None
    invoice_date: ZonedDatetime | None = None
    e_archive_url: str | None = None
    items: list[UpdatedOrderItemDto] = Field(default_factory=list)


class Submission(Dto):
    """Orders that go to the channel together, at most 100.

    `reference` is ours and unique; the same submission keeps it when it is tried again. With `is_sync` false the
    channel may answer with a feed. A channel without feeds, or with nothing else, does what it can: the answer counts.
    """

    reference: str
    orders: list[UpdatedOrderDto]
    is_sync: bool = True
