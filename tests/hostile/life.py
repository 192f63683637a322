"""What buyers, couriers and the marketplace do in a week, and the merchant in Omnitron: drawn once from a seed."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from sandbox.marketplace.generator import GeneratedOrder
from sandbox.marketplace.kinds import ODD_EDITS
from sandbox.marketplace.order import millis
from sandbox.run.merchant import Asked, Merchant
from tests.hostile.patience import Patient
from tests.hostile.servers import REASONS

MINUTE = 60_000
DAY = 24 * 60 * MINUTE
DELIVERED = "550"
NOBODYS = 0.85  # share from which on nothing happens to an order at the marketplace, so that the merchant ships it
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
    share = _share(str(row.id))
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
    """Lets time pass at the marketplace."""

    market: httpx.AsyncClient
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

    def counts(self) -> Counter[str]:
        """How often what happened."""
        return Counter(f"{event.what}s" for event in self.done)


@dataclass
class BackOffice:
    """The merchant, whose warehouse ships what the marketplace's does not, and their OMS."""

    merchant: Merchant
    shipped: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)

    @classmethod
    def opened(cls, url: str, database: Path, channel: int) -> Self:
        """Patient: the server refuses connections now and then."""
        merchant = Merchant(url, database, channel)
        merchant._http = httpx.Client(base_url=url, timeout=30, transport=Patient())
        return cls(merchant)

    def carry_out(self) -> None:
        """Every cancellation plan that waits."""
        self.merchant.carry_out_plans()

    def work(self) -> None:
        """Parcels of what nobody else ships, and an answer to most of what was asked."""
        sold = self.merchant.sold()
        for order in sold:
            if _share(order.key) >= NOBODYS and order.key not in self.shipped and order.is_untouched:
                self.merchant.ship(order.units, f"M{order.key}")
                self.shipped.add(order.key)
                self.counts["parcels of the merchant"] += 1
        alone = {order.key for order in sold if len(order.units) == 1}
        arrived = {unit.pk for order in sold for unit in order.units if unit.status == DELIVERED}
        for request in self.merchant.asked():
            if request.kind == "cancel" or request.item in arrived:  # nobody takes back what has not arrived yet
                self._answer(request, is_alone=request.order in alone)

    def _answer(self, request: Asked, *, is_alone: bool) -> None:
        """An order's only unit is not cancelled here: this OMS forgets the order's own status."""
        share = _share(request.unit)
        if share < 0.5 and not (is_alone and request.kind == "cancel"):
            self.merchant.approve(request)
            self.counts["requests approved"] += 1
        elif share < 0.8:
            self.merchant.reject(request)
            self.counts["requests rejected"] += 1


def _share(key: str) -> float:
    return random.Random(f"story:{key}").random()
