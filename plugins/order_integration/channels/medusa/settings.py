"""What can be set under `settings:` of a Medusa channel."""

from pydantic import Field

from order_integration.channels.commands import ConnectorSettings


class MedusaSettings(ConnectorSettings):
    """All of it is optional, but an order whose shipping option has no carrier is quarantined.

    The order's number is `number_prefix` and Medusa's display id. `carriers` gives each shipping option, by the name
    that the shopper sees, the erp_code of a cargo company in Omnitron; `default_carrier` is for all others, and for
    orders without shipping. With `sales_channels` (ids, `sc_…`) only their orders are read.

    Orders are sent from the stock location `location_id` (`sloc_…`), which has to be named where there are several.
    `feed_workflow` is the workflow on Medusa's engine that takes orders as a feed where the channel's `is_sync` is
    false. `cancel_reason_field` names a key of an order's metadata in which the shop writes why it was cancelled.
    """

    number_prefix: str = Field(default="", max_length=32)
    carriers: dict[str, str] = Field(default_factory=dict)
    default_carrier: str = ""
    sales_channels: tuple[str, ...] = ()
    location_id: str = ""
    feed_workflow: str = "ship-orders"
    cancel_reason_field: str = ""
