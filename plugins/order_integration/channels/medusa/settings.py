"""What can be set under `settings:` of a Medusa channel."""

from pydantic import Field

from order_integration.channels.commands import ConnectorSettings


class MedusaSettings(ConnectorSettings):
    """All of it is optional, but an order whose shipping option has no carrier is quarantined.

    The order's number is `number_prefix` and Medusa's display id. `carriers` gives each shipping option, by the name
    that the shopper sees, the erp_code of a cargo company in Omnitron; `default_carrier` is for all others, and for
    orders without shipping. With `sales_channels` (ids, `sc_…`) only their orders are read.
    """

    number_prefix: str = Field(default="", max_length=32)
    carriers: dict[str, str] = Field(default_factory=dict)
    default_carrier: str = ""
    sales_channels: tuple[str, ...] = ()
