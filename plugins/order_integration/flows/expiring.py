"""What waits does not wait for ever: payloads that name people go after a time, and somebody is told before."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from order_integration.channels.registry import ChannelConfig
from order_integration.staging import Ended, Places, Staging, Waiting, key_digest, moment_of
from order_integration.staging.area import Row

CLOSED_KEPT = timedelta(days=365)  # key and reason, without the record: what became of an old order can be looked up


@dataclass(frozen=True)
class Overdue:
    """What of one flow and channel has waited for too long."""

    places: Places
    parked: list[Row]
    quarantined: list[Row]

    def sentence(self, kept: ChannelConfig) -> str:
        """For whoever has to know; empty where nothing is over."""
        told = []
        if self.parked:
            told.append(f"parked for more than {kept.parked_kept.days} days, and given up: {_counts(self.parked)}")
        if self.quarantined:
            days = kept.quarantine_kept.days
            told.append(f"in quarantine and not seen for {days} days, its record removed: {_counts(self.quarantined)}")
        return "; ".join(told)

    @property
    def digest(self) -> str:
        """Which ones these are: others of the same day are news, the same ones after a kill are not."""
        return key_digest(repr([sorted(str(row["key"]) for row in rows) for rows in (self.parked, self.quarantined)]))

    def end(self, now: datetime) -> None:
        """As old as they were: what a run read later may wait again. What was seen since goes on waiting."""
        for place, rows in ((self.places.parked, self.parked), (self.places.quarantine, self.quarantined)):
            for row in rows:
                known = place.get(row["key"])
                if known and known["last_seen"] == row["last_seen"]:
                    place.close(row["key"], Ended.EXPIRED, now=now.isoformat(), read_at=moment_of(row))


def overdue(staging: Staging, flow: str, kept: ChannelConfig, now: datetime) -> Overdue:
    """What is to be told, and ended then."""
    places = Places.of(staging, kept.name, flow)
    return Overdue(
        places,
        _older(places.parked, "first_seen", now - kept.parked_kept),
        _older(places.quarantine, "last_seen", now - kept.quarantine_kept),
    )


def forget(staging: Staging, flow: str, channel: str, now: datetime) -> int:
    """Key and reason of what waits no longer stay for a year; returns how many went."""
    places = Places.of(staging, channel, flow)
    return sum(staging.purge(place.closed_folder, now - CLOSED_KEPT) for place in (places.quarantine, places.parked))


def _older(place: Waiting, since: str, before: datetime) -> list[Row]:
    return [row for row in place.open_keys().values() if datetime.fromisoformat(str(row[since])) < before]


def _counts(rows: Iterable[Row]) -> str:
    reasons = Counter(str(row["reason"]) for row in rows)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
