"""What can be set under `settings:` of a marketplace channel."""

from pydantic import Field

from order_integration.channels.commands import ConnectorSettings


class MarketplaceSettings(ConnectorSettings):
    """All of it is optional.

    `carriers` gives a carrier's code in the marketplace the erp_code of a cargo company in Omnitron; a code that is
    not in it is taken as it is, and Omnitron's list decides; what is shipped is told with the code read backwards.
    `number_prefix` stands before every order number. `reject_reason` is the marketplace's code for why a claim is
    rejected: Omnitron says that it was, but not why.
    """

    carriers: dict[str, str] = Field(default_factory=dict)
    number_prefix: str = Field(default="", max_length=32)
    reject_reason: str = Field(default="", max_length=64)
