"""The channels of a story with their stand-ins: who acts there, and how what is there is read."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sandbox.run import check_marketplace, check_medusa, facts_marketplace, facts_medusa, quiet, world
from sandbox.run.expected import Expected
from sandbox.run.facts import Facts
from sandbox.run.merchant import Merchant
from sandbox.run.plan import MARKETPLACE, SEED, Channel
from sandbox.run.ports import Ports
from sandbox.run.quiet import Calls, Content
from sandbox.run.shoppers_marketplace import MarketplaceShop
from sandbox.run.shoppers_medusa import MedusaShop
from sandbox.run.state import State
from sandbox.run.story import Part

# A server that has one account gets both ways to be told, one after the other.
BOTH_WAYS = ({"is_sync": True}, {"is_sync": False})


@dataclass(frozen=True)
class Stand:
    """One channel: its part in the story, and the three ways in which its side is looked at."""

    part: Part
    expected: Expected  # what must arrive
    facts: Callable[[], Facts]
    content: Callable[[], Content]
    calls: Calls | None  # where they are recorded

    @property
    def channel(self) -> Channel:
        return self.part.channel


def marketplace(channel: Channel, state: State, ports: Ports) -> Stand:
    """A seller's account, with orders of its own."""
    url, database = ports.of(channel.name).url, state.marketplace_database(channel.name)
    expected = check_marketplace.expected(channel.seed or SEED)
    shop, is_sync = MarketplaceShop(url, database, is_sync=channel is MARKETPLACE), channel is MARKETPLACE
    window = (expected.start, expected.end)
    return Stand(
        part=Part(channel, _merchant(channel, state, ports), shop, window, gets_feeds=not is_sync),
        expected=expected,
        facts=lambda: facts_marketplace.read(database, _reasons(channel)),
        content=lambda: quiet.of_sqlite(database),
        calls=Calls(channel.name, url),
    )


def medusa(channel: Channel, said: Mapping[str, Any], state: State, ports: Ports) -> Stand:
    """The server that said so of itself."""
    url = said["database_url"]
    expected = check_medusa.expected(url)
    window = (expected.start, expected.end)
    return Stand(
        part=Part(
            channel, _merchant(channel, state, ports), MedusaShop(said), window, modes=BOTH_WAYS, gets_feeds=True
        ),
        expected=expected,
        facts=lambda: facts_medusa.read(url, _reasons(channel)),
        content=lambda: quiet.of_postgres(url),
        calls=None,  # it keeps no record of them, but all that they change is in its tables
    )


def _merchant(channel: Channel, state: State, ports: Ports) -> Merchant:
    return Merchant(ports.omnitron.url, Path(state.omnitron_database), channel.number)


def _reasons(channel: Channel) -> Mapping[str, int]:
    return world.REASON_CODES[channel.name]
