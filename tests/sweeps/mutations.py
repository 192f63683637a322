# ruff: noqa: PLC0415, T201
"""The product is broken on purpose, in one way at a time: the cases that are there for it have to see that.

A mutation is a context manager of this module, which changes the product in the process that tries the cases.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import time_ns
from typing import Any
from unittest.mock import patch

from tests.sweeps import engine
from tests.sweeps.engine import Recorded

ENOUGH = 3  # cases of a mutation: one that is seen is seen by one of these


@dataclass(frozen=True)
class Mutation:
    """Its name here, and which cases see it: a sweep, a story, and what is in the cases' names."""

    name: str
    sweep: str
    story: str
    cases: str


@contextmanager
def batches_not_registered() -> Iterator[Any]:
    """Nobody knows which batch requests a killed task leaves open."""
    with patch("order_integration.staging.notes.OpenBatches.register", lambda *_: None) as changed:
        yield changed


@contextmanager
def batches_not_ended() -> Iterator[Any]:
    """The `finally` of a batch request is removed."""

    async def looks_ended(*_: Any) -> bool:
        return True

    with patch("order_integration.flows.linking._failed", looks_ended) as changed:
        yield changed


@contextmanager
def created_orders_not_looked_for() -> Iterator[Any]:
    """After a lost answer the order is sent again, without a look."""

    async def nowhere(*_: Any) -> None:
        return None

    with patch("order_integration.omnitron.orders.Orders.by_number", nowhere) as changed:
        yield changed


@contextmanager
def known_orders_not_looked_for() -> Iterator[Any]:
    """What is linked already is created again."""
    from order_integration.flows.fetch_orders import _Known

    async def nothing_known(*_: Any) -> _Known:
        return _Known({}, set(), set())

    with (
        patch("order_integration.flows.fetch_orders._known", nothing_known),
        created_orders_not_looked_for() as changed,
    ):
        yield changed


@contextmanager
def no_overlap() -> Iterator[Any]:
    """A window begins where the one before ends."""
    from order_integration.channels.commands import Window
    from order_integration.flows import windows

    def without(*given: Any) -> windows.Reading:
        reading = known(*given)
        begin, end = reading.fresh_from, reading.window.end if reading.window else reading.fresh_from
        return windows.Reading(Window(begin, max(begin, end)), begin)

    known = windows.scheduled
    with patch.object(windows, "scheduled", without) as changed:
        yield changed


@contextmanager
def a_reference_a_try() -> Iterator[Any]:
    """What the channel may have received is not found, and it can't tell that it has."""
    from order_integration.channels.marketplace.shipments import MarketplaceSendUpdatedOrders

    async def submit(self: MarketplaceSendUpdatedOrders, reference: str, lines: list[Any]) -> str:
        return str(await known(self, f"{reference}-{time_ns()}", lines))

    known = MarketplaceSendUpdatedOrders._submit
    with patch.object(MarketplaceSendUpdatedOrders, "_submit", submit) as changed:
        yield changed


@contextmanager
def owed_links_forgotten() -> Iterator[Any]:
    """A settle links what its own run created, and nothing that a dead one left."""
    from order_integration.staging import OwedLinks

    mine: list[str] = []

    def owe(self: OwedLinks, name: str, links: list[Any]) -> None:
        if "-settle-" in name:
            mine[:] = [f"{name}.json"]
            known[0](self, name, links)

    def all_of_mine(self: OwedLinks) -> dict[str, Any]:
        return {name: rows for name, rows in known[1](self).items() if name in mine}

    known = OwedLinks.owe, OwedLinks.all
    with patch.object(OwedLinks, "owe", owe), patch.object(OwedLinks, "all", all_of_mine) as changed:
        yield changed


@contextmanager
def parked_records_forgotten() -> Iterator[Any]:
    """A run reads its window, and nothing that waits."""

    async def none(*_: Any) -> list[Any]:
        return []

    with patch("order_integration.flows.inbound._parked_records", none) as changed:
        yield changed


@contextmanager
def requests_repeated_blindly() -> Iterator[Any]:
    """A request whose answer was lost is sent again, though nothing refuses the second one."""
    with _repeated("cancellation_requests/") as changed:
        yield changed


@contextmanager
def cancels_repeated_blindly() -> Iterator[Any]:
    """A cancel whose answer was lost is sent again, without a look at the items."""
    from order_integration.errors import RefusedError, UnknownOutcomeError
    from order_integration.omnitron.cancels import Cancelled, Cancels
    from order_integration.omnitron.customers import refused

    async def cancel(self: Cancels, order: int, reasons: Mapping[int, int], flags: Any) -> Cancelled:
        try:
            answer = await self._post(order, reasons, flags)
        except UnknownOutcomeError:
            try:
                answer = await self._post(order, reasons, flags)
            except RefusedError as error:
                raise refused(error, "order") from error
        return Cancelled(await self._carried_out(order, reasons, answer), by_us=True)

    with patch.object(Cancels, "cancel", cancel) as changed:
        yield changed


@contextmanager
def notes_ignored() -> Iterator[Any]:
    """Nobody reads that a write was begun."""
    from order_integration.staging import Begun

    with patch.object(Begun, "get", lambda *_: None) as changed:
        yield changed


@contextmanager
def version_of_now() -> Iterator[Any]:
    """What the channel was told of an order counts as told of all that happened to it until now."""
    from order_integration.flows.outbound import Sent
    from order_integration.omnitron.integration_actions import Link

    def link(self: Sent, content_type: str) -> Link:
        return replace(known(self, content_type), version_date=f"{datetime.now(UTC).replace(tzinfo=None).isoformat()}Z")

    known = Sent.link
    with patch.object(Sent, "link", link) as changed:
        yield changed


@contextmanager
def older_overwrites_newer() -> Iterator[Any]:
    """Whatever is read last counts."""
    with patch("order_integration.omnitron.customers.is_newer", lambda *_: True) as changed:
        yield changed


@contextmanager
def a_token_a_process() -> Iterator[Any]:
    """Each process logs in for itself."""
    with _token_file(lambda self: self.folder / f"{os.getpid()}.json") as changed:
        yield changed


@contextmanager
def one_token_for_all_hosts() -> Iterator[Any]:
    """Whoever logged in last, wherever that was."""
    with _token_file(lambda self: self.folder / "token.json") as changed:
        yield changed


@contextmanager
def _repeated(ending: str) -> Iterator[Any]:
    from order_integration.transport import HttpSession

    async def call(self: HttpSession, method: str, path: str, **given: Any) -> Any:
        if path.endswith(ending):
            given["repeatable"] = True
        return await known(self, method, path, **given)

    known = HttpSession.call
    with patch.object(HttpSession, "call", call) as changed:
        yield changed


@contextmanager
def _token_file(path: Callable[[Any], Any]) -> Iterator[Any]:
    from order_integration.omnitron.shared_token import SharedToken

    with patch.object(SharedToken, "_path", property(path)) as changed:
        yield changed


FEED = "update_orders (feed)"
REQUESTS = "fetch_and_create_cancellation_requests"
MUTATIONS = (
    Mutation("batches_not_registered", "kills", "fetch_orders", r"killed after settle: .*PATCH .*batch_requests"),
    Mutation("batches_not_ended", "faults", "fetch_orders", r"a try long at settle: .*PATCH .*batch_requests"),
    Mutation("created_orders_not_looked_for", "faults", "fetch_orders", r"cut after once at push: .*create_orders"),
    Mutation("known_orders_not_looked_for", "windows", "fetch_orders", "each twice"),
    Mutation("no_overlap", "windows", "fetch_and_create_cancel", "comes late"),
    Mutation("a_reference_a_try", "kills", FEED, r"killed after send: channel POST"),
    Mutation("owed_links_forgotten", "kills", "fetch_orders", r"for good .*settle: .*(POST .*/batch|PATCH)"),
    Mutation("parked_records_forgotten", "faults", "fetch_orders", r"in all tries at push: .*POST"),
    Mutation(
        "requests_repeated_blindly", "faults", REQUESTS, r"cut after once at push: .*POST .*cancellation_requests"
    ),
    Mutation("cancels_repeated_blindly", "faults", "fetch_and_create_cancel", r"cut after once at push: .*/cancel"),
    Mutation("notes_ignored", "kills", REQUESTS, r"killed after push: .*POST .*cancellation_requests"),
    Mutation("version_of_now", "races", "update_orders", "more of the same order, at send: channel"),
    Mutation("older_overwrites_newer", "windows", "fetch_orders", "backwards"),
    Mutation("a_token_a_process", "races", "fetch_orders", "the token expires"),
    Mutation("one_token_for_all_hosts", "races", "check_orders", "two addresses"),
)


def are_seen(
    executor: ProcessPoolExecutor, records: Mapping[str, Recorded], mutations: Sequence[Mutation] = MUTATIONS
) -> bool:
    """A line each; one that no case sees is a hole in the sweeps."""
    unseen = 0
    for mutation in mutations:
        if mutation.story not in records:
            continue
        cases = engine.module(mutation.sweep).cases(records[mutation.story])
        chosen = engine.matching(cases, mutation.cases, mutation=mutation.name)[:ENOUGH]
        seen = sum(bool(one.differences) for one in engine.tried(executor, chosen))
        unseen += not seen
        print(f"{mutation.name:40} seen by {seen} of {len(chosen)} {mutation.sweep}", flush=True)
    return not unseen
