"""What the end of an inbound run writes into."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from order_integration.omnitron.client import Omnitron
from order_integration.staging import OpenBatches, OwedLinks, Waiting, key_digest

Row = dict[str, Any]


@dataclass(frozen=True)
class Books:
    """Of one flow and channel, at one try of settle."""

    omnitron: Omnitron
    flow: str
    content_type: str
    quarantine: Waiting
    parked: Waiting
    batches: OpenBatches
    owed: OwedLinks
    owner: Row  # dag, run, task, try: who opens the batch requests
    now: datetime  # of this try, zoned
    link_beside_open_jobs: bool = True  # the channel's choice: what to do while it works on a feed
    lock_waits: tuple[float, ...] = ()  # seconds between the tries to get a lock that somebody may hold for a moment

    @property
    def run(self) -> str:
        """A digest of the run."""
        return key_digest(str(self.owner["run"]))
