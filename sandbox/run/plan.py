"""Which channels a story has, and what they read: always the same day of the same marketplaces."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

SEED = 1923
RATE = 12.0  # orders an hour
BAD = 6.0  # percent: with this rate each of the 18 bad kinds comes once in 24 hours
START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=1)
MEDUSA_ORDERS = 30  # each takes Medusa a second to place


@dataclass(frozen=True)
class Channel:
    """One channel of the story: its name in `channels.yaml`, its number in Omnitron, and a marketplace's seed."""

    name: str
    number: int
    seed: int | None = None


MARKETPLACE = Channel("marketplace", 1, SEED)
MEDUSA = Channel("medusa", 2)
MARKETPLACE_ASYNC = Channel("marketplace_async", 3, SEED + 1)
STORIES = {"marketplace": (MARKETPLACE, MARKETPLACE_ASYNC), "medusa": (MEDUSA,)}
