"""A process's own world: both servers, a staging area, a token folder, Airflow's connections; and who acts in it."""

import asyncio
import json
import os
import shutil
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from sandbox.marketplace.app import LOOPBACK_KEY
from sandbox.run.merchant import Merchant, Sold, Unit
from sandbox.run.shoppers_marketplace import MarketplaceShop
from tests.conftest import PASSWORD, USER, BackOffice
from tests.sweeps import home as airflow
from tests.sweeps.home import CHANNEL
from tests.sweeps.servers import Servers
from tests.sweeps.wire import LONGEST_PAUSE, WIRE, tap

PATIENCE = timedelta(hours=1)  # until a window of what happens now ends: longer than any sweep
# A connection a call: a kept one may be closed by the server just when it is used, and the servers outlive no fork.
CLIENT: dict[str, Any] = {"timeout": 30, "trust_env": False, "limits": httpx.Limits(max_keepalive_connections=0)}
KEPT_ROOMS = ("staging", "state")
_HERE: list["World"] = []


def enter(shared: Path, number: int) -> "World":
    """After a fork: this process's world, below `shared`."""
    world = World(shared, shared / f"world-{number}")
    _HERE[:] = [world]
    return world


def here() -> "World":
    """The world of this process."""
    return _HERE[0]


class World:
    """Kept situations are shared by all processes, in `shared/kept`."""

    def __init__(self, shared: Path, own: Path) -> None:
        self.shared, self.own = shared, own
        airflow.move_to(own, shared / "loaded")
        self.servers = Servers(own)
        connect("omnitron", self.servers.omnitron, login=USER, password=PASSWORD)
        connect(CHANNEL, self.servers.channel, password=LOOPBACK_KEY)
        tap()
        hurry()
        self.office = BackOffice(base_url=self.servers.omnitron, **CLIENT)
        self.market = httpx.Client(base_url=self.servers.channel, headers={"X-Api-Key": LOOPBACK_KEY}, **CLIENT)
        self.merchant = Merchant(self.servers.omnitron, self.servers.omnitron_database, 1)
        self.clerks = {
            is_sync: MarketplaceShop(self.servers.channel, self.servers.channel_database, is_sync=is_sync)
            for is_sync in (True, False)
        }
        for client, url in (
            (self.merchant, self.servers.omnitron),
            *((one, self.servers.channel) for one in self.clerks.values()),
        ):
            client._http.close()
            client._http = httpx.Client(base_url=url, **CLIENT)
        self.shop = self.clerks[True]
        self.keep("empty")

    @property
    def staging(self) -> Path:
        return self.own / "staging"

    def keep(self, name: str) -> None:
        """The world as it is, under a name; nobody sees half of it."""
        draft = self.shared / "kept" / f"{name}.{os.getpid()}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        self.servers.keep(draft)
        for room in KEPT_ROOMS:
            if (self.own / room).exists():
                shutil.copytree(self.own / room, draft / room)
        try:
            draft.rename(self.shared / "kept" / name)
        except OSError:  # another process was sooner
            shutil.rmtree(draft)

    def knows(self, name: str) -> bool:
        return (self.shared / "kept" / name).exists()

    def put_back(self, name: str) -> None:
        """The world as it was, with nobody logged in, no faults, no calls, and nothing on the wire."""
        kept = self.shared / "kept" / name
        self.quiet()
        for room in KEPT_ROOMS:
            shutil.rmtree(self.own / room, ignore_errors=True)
        if (kept / "staging").exists():
            shutil.copytree(kept / "staging", self.staging)
        self.servers.put_back(kept)
        airflow.configure(self.own)
        self.office.headers.pop("Authorization", None)
        for server in (self.office, self.market):
            server.delete("/admin/requests").raise_for_status()

    def quiet(self) -> None:
        """No faults any more, and nobody meddles."""
        for server in (self.office, self.market):
            server.delete("/admin/faults").raise_for_status()
        WIRE.start_again(self.servers.channel)

    def sold(self) -> list[Sold]:
        """Orders that are in Omnitron, the smallest first."""
        return sorted(self.merchant.sold(), key=lambda order: (len(order.units), order.key))

    def ship(self, order: Sold, units: Iterable[Unit] | None = None) -> None:
        """A parcel leaves the merchant's warehouse."""
        self.merchant.ship(order.units if units is None else units, f"TRK-{order.key[-4:]}")

    def parcel(self, order: Sold, **own: Any) -> None:
        """A parcel leaves, and only the channel knows."""
        answer = self.market.post(f"/api/orders/{order.key}/shipment", json={"trackingNo": f"KRV-{order.key}", **own})
        answer.raise_for_status()

    def close(self) -> None:
        for client in (self.office, self.market):
            client.close()
        self.servers.close()


def hurry() -> None:
    """Triggers ask without a pause."""
    from order_integration.triggers.feeds import FeedsTrigger  # noqa: PLC0415 - Airflow is loaded by now

    FeedsTrigger._pause = lambda self: asyncio.sleep(LONGEST_PAUSE)  # type: ignore[method-assign]


def connect(name: str, url: str, **own: str) -> None:
    """An Airflow connection."""
    address = httpx.URL(url)
    known = {"conn_type": "http", "host": f"http://{address.host}", "port": address.port, **own}
    os.environ[f"AIRFLOW_CONN_{name.upper()}"] = json.dumps(known)


def window(start: datetime, end: datetime) -> dict[str, str]:
    """What is typed for a run by hand."""
    return {"window_start": start.isoformat(), "window_end": end.isoformat()}


def lately() -> dict[str, str]:
    """A window around now."""
    now = datetime.now(UTC)
    return window(now - PATIENCE, now + PATIENCE)


def later() -> dict[str, str]:
    """A window in which nothing happened: what a run with it does, it does with what waits."""
    now = datetime.now(UTC)
    return window(now + 2 * PATIENCE, now + 3 * PATIENCE)
