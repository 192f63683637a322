"""What buyers, couriers and the marketplace do in a week, and Omnitron's OMS after it: drawn once from a seed."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx

from sandbox.marketplace.generator import GeneratedOrder
from sandbox.marketplace.kinds import ODD_EDITS
from sandbox.marketplace.order import millis
from tests.hostile.servers import REASONS

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
# Orders that are put aside, and yet go on at the marketplace: what flows 4 and 5 have to say of them waits.
BAD_THAT_GO_ON = ("product_unknown", "city_unknown", "email_missing", "totals_mismatch")
Json = dict[str, Any]


@dataclass(frozen=True, order=True)
class Event:
    """Something that somebody does to an order."""

    ms: int
    order: int
    what: str  # of the marketplace's admin endpoints
    said: Json = field(compare=False, default_factory=dict)


def events(rows: Iterable[GeneratedOrder], seed: int, end_ms: int) -> list[Event]:
    """All that happens before `end_ms`, in order."""
    found = [event for row in rows for event in _story(row, random.Random(f"{seed}:{row.id}"))]
    return sorted(event for event in found if event.ms < end_ms)


def _story(row: GeneratedOrder, rng: random.Random) -> Iterator[Event]:
    """One order's: nothing, a cancel, a wish to cancel, or a parcel that arrives and perhaps comes back."""
    if row.fault is not None and row.fault not in {*ODD_EDITS, *BAD_THAT_GO_ON}:
        return
    begin, line, reason = millis(row.modified_at) + MINUTE, row.body["lines"][0], rng.choice(list(REASONS))
    share = rng.random()
    at = begin + int(rng.random() ** 3 * DAY)  # mostly soon: often before anybody has read the order
    if share < 0.2:
        some = [{"lineId": line["lineId"], "quantity": 1}] if share < 0.07 else []
        yield Event(at, row.id, "cancel", {"reason": reason, "lines": some})
        if some and line["quantity"] > 1:  # one more: a cancel states a total
            yield Event(at + int(rng.random() * DAY), row.id, "cancel", {"reason": reason, "lines": some})
    elif share < 0.27 and row.reason is None:
        yield Event(at, row.id, "claim", {"type": "CANCEL", "reason": reason, "note": "Vazgeçtim."})
    elif share < 0.7:
        parcel = {"trackingNo": f"T{row.id}", "invoiceNo": f"F{row.id}" if share < 0.5 else None}
        yield Event(at, row.id, "ship", parcel)
        arrived = at + int(rng.random() ** 2 * DAY)
        yield Event(arrived, row.id, "deliver")
        if share < 0.4 and row.reason is None:
            back = {"type": "RETURN", "reason": reason, "note": "Olmadı."}
            yield Event(arrived + int(rng.random() * DAY), row.id, "claim", back)


@dataclass
class Life:
    """Lets time pass at the marketplace, and OMS carry out what Omnitron was asked to cancel."""

    market: httpx.AsyncClient
    office: httpx.AsyncClient
    coming: list[Event]
    done: list[Event] = field(default_factory=list)

    async def until(self, ms: int) -> None:
        """All events before that moment, each at its own; then it is that moment."""
        while self.coming and self.coming[0].ms < ms:
            event = self.coming.pop(0)
            await self.clock(event.ms)
            answer = await self.market.post(f"/admin/orders/{event.order}/{event.what}", json=event.said)
            answer.raise_for_status()
            self.done.append(event)
        await self.clock(ms)

    async def clock(self, ms: int) -> None:
        """What time it is at the marketplace."""
        (await self.market.put(f"/admin/clock/{ms}")).raise_for_status()

    async def carry_out(self) -> None:
        """Every cancellation plan that waits."""
        plans = (await self.office.get("/admin/cancellation_plans")).json()
        for order in {plan["order"] for plan in plans if plan["status"] == "waiting"}:
            answer = await self.office.post(f"/admin/orders/{order}/plan/complete")
            if answer.status_code != httpx.codes.CONFLICT:
                answer.raise_for_status()

    def counts(self) -> Counter[str]:
        """How often what happened."""
        return Counter(f"{event.what}s" for event in self.done)
