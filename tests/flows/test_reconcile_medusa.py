"""Reconciliation of a Medusa shop, whose window is on creation, with its recorded orders."""

import asyncio
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from order_integration.channels.commands import ChannelConnection, Window
from order_integration.flows.reconcile_orders import reconcile
from order_integration.flows.reconciliation import Kind, Reconciliation, What
from order_integration.flows.windows import Reading
from tests.channels.medusa_kit import CANCELLED, REGISTERED, SETTINGS, RecordedMedusa, recorded
from tests.conftest import BackOffice
from tests.flows.steps import Steps, config

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)  # before all that was recorded


async def arrive_and_reconcile(steps: Steps, medusa: RecordedMedusa, later: list[dict]) -> list[Reconciliation]:
    """Orders arrive; both sides are compared; then `later` is what the shop has."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(medusa.served())
        steps = replace(steps, connection=ChannelConnection(url, password="sk_test"))
        await steps.whole(Reading(Window(BEGIN, datetime.now(UTC)), BEGIN))
        return [await compared(steps)] + [await compared(steps) for medusa.orders in (later,)]


async def compared(steps: Steps) -> Reconciliation:
    now = datetime.now(UTC)
    async with steps.omnitron() as omnitron, steps.connector() as connector:
        return await reconcile(omnitron, connector, steps.staging, now, days=(now - BEGIN).days + 1)


def test_a_shop_that_arrived_agrees_and_what_was_cancelled_or_is_gone_is_named(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path
) -> None:
    orders = recorded()
    variants = {line["variant_id"] for order in orders for line in order["items"]}
    back_office.told(
        products=[{"channel": 1, "remote_id": one, "sku": one} for one in variants],
        cargos=[{"erp_code": "aras", "name": "Aras", "shipping_company": "aras"}],
    )
    channel = config(name="shop", connector="medusa", settings=SETTINGS, reconcile_grace="0s")
    steps = Steps(omnitron_url, tmp_path, channel)
    open_ones = [order for order in orders if order["display_id"] != CANCELLED]
    cancelled = [{**deepcopy(order), "status": "canceled"} for order in open_ones if order["display_id"] == REGISTERED]

    first, second = asyncio.run(arrive_and_reconcile(steps, RecordedMedusa(open_ones), cancelled))

    arrived = {order["id"] for order in open_ones}
    assert set(back_office.linked("order")) == arrived
    assert (first.compared, first.findings) == (len(arrived), [])
    assert {one.key for one in second.of(Kind.EXTRA)} == arrived - {cancelled[0]["id"]}
    [different] = second.of(Kind.DIFFERENT)
    assert (different.key, different.kind, different.what) == (cancelled[0]["id"], Kind.DIFFERENT, (What.STATUS,))
    assert (different.channel, different.omnitron) == ("cancelled", "open")
