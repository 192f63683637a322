"""A channel of the deployment: an Omnitron and a marketplace of its own, so that each can be spoilt for itself."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from sandbox.faults import running
from sandbox.marketplace.app import create_app as create_marketplace
from sandbox.omnitron import create_app as create_omnitron
from sandbox.run import facts_marketplace, plan, world
from sandbox.run.facts import Facts
from sandbox.run.merchant import Merchant
from sandbox.run.shoppers_marketplace import MarketplaceShop
from sandbox.run.state import Secrets
from tests.sweeps.scheduler.gate import Door, Gate

ORDERS = (plan.START, plan.START + timedelta(hours=3))
TIMEOUT = 3  # seconds for an answer
Json = dict[str, Any]


class Shop(MarketplaceShop):
    """Told both ways; its clerk refuses nothing, and decides feeds when somebody waits for them."""

    refuses = False


@dataclass(frozen=True)
class Side:
    """One of a channel's two servers."""

    url: str  # as Airflow sees it
    http: httpx.Client  # past the door
    gate: Gate
    door: Door | None
    database: Path


@dataclass(frozen=True)
class Stand:
    """`name` is the channel's, and says what is done to it."""

    name: str
    omnitron: Side
    market: Side
    merchant: Merchant
    shop: Shop
    orders: tuple[datetime, datetime] = ORDERS

    def side(self, name: str) -> Side:
        side: Side = getattr(self, name)
        return side

    def facts(self) -> Facts:
        return facts_marketplace.read(self.market.database, world.MARKETPLACE_REASONS)

    def entry(self) -> Json:
        """In the channel file."""
        return {
            "connector": "marketplace",
            "connection": f"{self.name}_market",
            "omnitron_connection": f"{self.name}_omnitron",
            "omnitron_channel_id": world.MARKETPLACE,
            "catalog_id": world.CATALOG,
            "active_from": "2099-01-01T00:00:00+00:00",
            "catchup": False,
            "retry_delay": "1s",
            "feed_poll": "1s",
            "settings": {"reject_reason": "USED"},
            "limits": {
                "requests_per_second": 100, "omnitron_requests_per_second": 200, "in_flight": 2, "push_tasks": 1,
                "timeout": f"{TIMEOUT}s",
            },
        }  # fmt: skip

    def connections(self, secrets: Secrets) -> Json:
        """Airflow's."""
        return {
            f"{self.name}_omnitron": _connection(self.omnitron.url, world.USER, secrets.omnitron_password),
            f"{self.name}_market": _connection(self.market.url, "", secrets.marketplace_key),
        }


@contextmanager
def standing(home: Path, name: str, secrets: Secrets, *, doors: bool) -> Iterator[Stand]:
    """Both servers of a channel, up. `doors`: their connections can be refused."""
    folder = home / name
    folder.mkdir()
    omnitron, market = folder / "omnitron.sqlite", folder / "market.sqlite"
    with ExitStack() as undo:
        here = _side(undo, create_omnitron(str(omnitron), world.world(secrets)), omnitron, doors)
        here.http.put("/admin/switches", json={"login_limit_per_minute": None}).raise_for_status()
        there = _side(undo, _market(market, secrets), market, doors)
        merchant = Merchant(str(here.http.base_url), omnitron, world.MARKETPLACE)
        undo.callback(merchant.close)
        shop = Shop(str(there.http.base_url), market, is_sync=False)
        undo.callback(shop.close)
        yield Stand(name, here, there, merchant, shop)


def _market(database: Path, secrets: Secrets) -> Any:
    return create_marketplace(
        str(database), seed=plan.SEED, rate=plan.RATE, bad=plan.BAD, until=plan.END, api_key=secrets.marketplace_key,
        calls_per_second=None, feed_seconds=None,
    )  # fmt: skip


def _side(undo: ExitStack, app: Any, database: Path, doors: bool) -> Side:
    gate = Gate(app)
    url = undo.enter_context(running(gate))
    http = undo.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
    if not doors:
        return Side(url, http, gate, None, database)
    door = Door(int(urlsplit(url).port or 0))
    undo.callback(door.close)
    gate.is_shut = lambda: door.is_shut
    return Side(f"http://127.0.0.1:{door.port}", http, gate, door, database)


def _connection(url: str, login: str, password: str) -> Json:
    parts = urlsplit(url)
    return {
        "conn_type": "http", "host": f"http://{parts.hostname}", "port": parts.port, "login": login,
        "password": password,
    }  # fmt: skip
