"""What waits does not wait for ever: payloads that name people go after a time, and somebody is told."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from order_integration.channels.registry import ChannelConfig
from order_integration.staging import Ended, Places, Staging, Waiting, moment_of

CLOSED_KEPT = timedelta(days=365)  # key and reason, without the record: what became of an old order can be looked up


@dataclass
class Expired:
    """What of one flow and channel is over, by reason; and how many old keys were forgotten."""

    parked: Counter[str] = field(default_factory=Counter)
    quarantined: Counter[str] = field(default_factory=Counter)
    forgotten: int = 0

    def sentence(self, kept: ChannelConfig) -> str:
        """For whoever has to know; empty where nothing is over."""
        told = []
        if self.parked:
            told.append(f"parked for more than {kept.parked_kept.days} days, and given up: {_counts(self.parked)}")
        if self.quarantined:
            days = kept.quarantine_kept.days
            told.append(f"in quarantine and not seen for {days} days, its record removed: {_counts(self.quarantined)}")
        return "; ".join(told)


def expire(staging: Staging, flow: str, kept: ChannelConfig, now: datetime) -> Expired:
    """End what has waited for too long; key and reason stay for a year."""
    places = Places.of(staging, kept.name, flow)
    found = Expired(
        _ended(places.parked, "first_seen", now - kept.parked_kept, now),
        _ended(places.quarantine, "last_seen", now - kept.quarantine_kept, now),
    )
    for place in (places.quarantine, places.parked):
        found.forgotten += staging.purge(place.closed_folder, now - CLOSED_KEPT)
    return found


def _ended(place: Waiting, since: str, before: datetime, now: datetime) -> Counter[str]:
    """As old as it was: what a run that is under way read later may wait again."""
    over = [row for row in place.open_keys().values() if datetime.fromisoformat(str(row[since])) < before]
    closed = (
        row for row in over if place.close(row["key"], Ended.EXPIRED, now=now.isoformat(), read_at=moment_of(row))
    )
    return Counter(str(row["reason"]) for row in closed)


def _counts(reasons: Counter[str]) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
