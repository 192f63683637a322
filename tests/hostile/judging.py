"""Whether both sides say the same in the end, judged by the stand-ins' databases and the generator alone."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from order_integration.flows.reconcile_orders import reconcile
from order_integration.flows.reconciliation import DIFFERENCES, Reconciliation
from order_integration.staging import Places
from sandbox.marketplace.hostility import OLD
from sandbox.run import agree, compare, facts_marketplace, facts_omnitron
from sandbox.run.expected import Expected
from sandbox.run.facts import Facts
from tests.hostile.deployment import Deployment
from tests.hostile.servers import CHANNEL, REASONS, Servers

ORDERS, CANCELS, ITEMS, REQUESTS = (
    "fetch_orders",
    "fetch_and_create_cancel",
    "fetch_and_update_order_items",
    "fetch_and_create_cancellation_requests",
)
# What one person's address is; the same one twice is one too many.
SAME_ADDRESS = """
    SELECT count(*) FROM addresses WHERE customer IN (SELECT pk FROM customers WHERE channel = ?)
    GROUP BY customer, line, city, township, district, first_name, last_name, phone_number, company_name, tax_no,
    title, postcode HAVING count(*) > 1"""
# What passed in between is told again; a bad order never passes.
SAME_REPORT = """
    SELECT error_code FROM error_reports WHERE channel = ? AND error_code LIKE 'fetch_orders-%'
    GROUP BY error_code HAVING count(*) > 1"""
# Their creation was not answered: empty, without a lock, and nobody's.
NOBODYS = "SELECT pk FROM batch_requests WHERE channel = ? AND status = 'initialized' AND content_type IS NULL"
# Bad ones as well, which no facts are read of.
CANCELLED = """
    SELECT order_id FROM orders
    WHERE state = 'CANCELLED' AND row_id IN (SELECT MAX(row_id) FROM orders GROUP BY order_id)"""
OLD_NEWS = "SELECT extra_field FROM orders WHERE channel = ? AND notes = ?"


def differences(servers: Servers, expected: Expected, flows: Mapping[str, Deployment]) -> list[str]:
    """A sentence each; nothing when Omnitron has what the channel has, and all that is bad waits with its reason."""
    there = facts_marketplace.read(servers.marketplace_database, REASONS)
    here = facts_omnitron.read(servers.omnitron_database, CHANNEL)
    gone = cancelled_meanwhile(servers, flows[ORDERS]) - set(here.orders)
    bad = {key: reason for key, reason in expected.quarantined.items() if key not in gone}
    expected = replace(expected, orders=[one for one in expected.orders if one.key not in gone], quarantined=bad)
    return [
        *compare.differences(servers.omnitron_database, CHANNEL, expected),
        *_both_sides(there, here, expected, gone),
        *_unfinished(servers),
        *_twice(servers),
        *_quarantine(flows[ORDERS], expected),
    ]


async def reconciled(flow: Deployment, since: datetime, counts: Counter[str]) -> list[str]:
    """What the product's own reconciliation has to say of everything since then; nothing may be missing or extra."""
    # Omnitron's orders are as old as this test: nothing is to be too young to be judged.
    now = datetime.now(UTC) + flow.channel.reconcile_grace + timedelta(minutes=1)

    async def compare_both(_: int) -> Reconciliation:
        async with flow.omnitron() as omnitron, flow.connector() as connector:
            return await reconcile(omnitron, connector, flow.staging, now, days=(now - since) / timedelta(days=1))

    found = await flow.task(compare_both)
    counts["orders that reconciliation compared"] = found.compared
    counts.update({f"  it says: {name}": count for name, count in found.counts().items() if count})
    return [f"reconciliation: {one.as_row()}" for one in found.of(*DIFFERENCES)]


def cancelled_meanwhile(servers: Servers, orders: Deployment) -> set[str]:
    """Orders that the channel cancelled while they waited, bad ones, too: nothing is left to create, or to cancel."""
    places = Places.of(orders.staging, orders.channel.name, ORDERS)
    with closing(sqlite3.connect(servers.marketplace_database)) as marketplace:
        cancelled = [str(key) for (key,) in marketplace.execute(CANCELLED)]
    return {key for key in cancelled if places.was_cancelled_at_channel(key)}


def _both_sides(there: Facts, here: Facts, expected: Expected, gone: set[str]) -> list[str]:
    """Units, parcels, invoices, cancels and requests. What was done to an order that is put aside waits with it."""
    mine = {order.key for order in expected.orders}
    orders = {key: order for key, order in there.orders.items() if key not in gone}
    cancels = {unit: reason for unit, reason in there.cancels.items() if unit.partition("-")[0] in mine}
    return agree.differences(replace(there, orders=orders, cancels=cancels), here)


def _unfinished(servers: Servers) -> Iterator[str]:
    with closing(sqlite3.connect(servers.omnitron_database)) as omnitron:
        empty = [
            f"batch request {pk} of None is still in initialized" for (pk,) in omnitron.execute(NOBODYS, (CHANNEL,))
        ]
    for sentence in facts_omnitron.unfinished(servers.omnitron_database, CHANNEL):
        if sentence not in empty:
            yield sentence


def _twice(servers: Servers) -> Iterator[str]:
    """Reports and addresses have no key of the channel's; what is only in an older version shall be nowhere."""
    with closing(sqlite3.connect(servers.omnitron_database)) as omnitron:
        yield from (f"an address is there {times} times" for (times,) in omnitron.execute(SAME_ADDRESS, (CHANNEL,)))
        yield from (f"report {code} is there twice" for (code,) in omnitron.execute(SAME_REPORT, (CHANNEL,)))
        for (extra,) in omnitron.execute(OLD_NEWS, (CHANNEL, OLD)):
            yield f"order {json.loads(extra)['id']} was made of an older version"


def _quarantine(orders: Deployment, expected: Expected) -> Iterator[str]:
    found = {key: reason for key, (reason, _) in orders.keys(orders.quarantine).items()}
    for key in sorted(found.keys() | expected.quarantined.keys()):
        if found.get(key) != expected.quarantined.get(key):
            yield f"order {key} is in quarantine for {found.get(key)}, expected {expected.quarantined.get(key)}"
    yield from (f"order {key} is still parked: {reason}" for key, (reason, _) in orders.keys(orders.parked).items())
