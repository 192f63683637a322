"""Buyers and couriers of a sandbox marketplace, and its own clerk, who refuses what he is told to."""

import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from sandbox.run.errors import RunError

CANCEL_REASON, RETURN_REASON = "ORDERED_TWICE", "WRONG_SIZE"
NOTES = "Beğenmedim"
OPEN_FEEDS = "SELECT feed_id FROM feeds WHERE state = 'IN_PROGRESS' AND created_ms <= ?"
REFUSED = {"code": "CARRIER_REFUSES", "message": "the carrier does not go there today"}
UNPROCESSABLE = 422


class MarketplaceShop:
    """One seller's account."""

    invoices = True
    cancels_on_request = True
    refuses = True
    patience = 40.0  # seconds, after which a feed is decided though nobody waits for it

    def __init__(self, url: str, database: Path, *, is_sync: bool) -> None:
        self._http = httpx.Client(base_url=url, timeout=30, trust_env=False)
        self._database, self._is_sync = database, is_sync
        self.takes_its_time = not is_sync
        self._refuse: set[int] = set()

    def close(self) -> None:
        self._http.close()

    def cancel(self, order: str) -> None:
        self._do(f"orders/{order}/cancel", {"reason": CANCEL_REASON})

    def take_back(self, order: str, line: str, units: int) -> None:
        self._do(f"orders/{order}/cancel", {"reason": "OUT_OF_STOCK", "lines": [{"lineId": line, "quantity": units}]})

    def deliver(self, order: str) -> None:
        self._do(f"orders/{order}/deliver", {})

    def invoice(self, order: str, number: str) -> None:
        self._do(f"orders/{order}/invoice", {"number": number})

    def ask_for_return(self, order: str, units: Mapping[str, int]) -> None:
        for line, quantity in units.items():
            self._claim(order, {"type": "RETURN", "reason": RETURN_REASON, "lineId": line, "quantity": quantity})

    def ask_for_cancel(self, order: str, line: str) -> None:
        self._claim(order, {"type": "CANCEL", "reason": "CHANGED_MIND", "lineId": line, "quantity": 1})

    def refuse_next(self, order: str) -> None:
        if self._is_sync:
            action = {"kind": "status", "status": UNPROCESSABLE, "body": REFUSED}
            self._do("faults", {"method": "POST", "path": f"/orders/{order}/shipment$", "times": 1, "action": action})
        else:
            self._refuse.add(int(order))

    def work(self, *, awaited: bool) -> None:
        """Feeds are decided when somebody waits for them."""
        if self._is_sync:
            return
        before = (time.time() - (0 if awaited else self.patience)) * 1000
        with closing(sqlite3.connect(f"{self._database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            feeds = [feed for (feed,) in connection.execute(OPEN_FEEDS, [before])]
        for feed in feeds:
            self._do(f"feeds/{feed}/decide", {"refuse": sorted(self._refuse), "code": REFUSED["code"]})
            self._refuse.clear()

    def _claim(self, order: str, claim: dict[str, Any]) -> None:
        self._do(f"orders/{order}/claim", {**claim, "note": NOTES})

    def _do(self, path: str, body: dict[str, Any]) -> None:
        answer = self._http.post(f"/admin/{path}", json=body)
        if answer.is_error:
            raise RunError(f"The marketplace answers {answer.status_code} to {path}: {answer.text[:300]}")
