"""What waits survives everything: a settle that never reached Omnitron, a channel that can't be asked."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest

from order_integration.channels.commands import Record
from order_integration.errors import IntegrationError, RefusedError, RetriableError
from order_integration.flows.handing_over import said_before
from tests.conftest import BackOffice
from tests.flows.steps import DAY, Steps, config, results
from tests.shelf import Shelf, ShelfGetOrders, address, order


class AskedGetOrders(ShelfGetOrders):
    """A shelf that can be asked for one order."""

    answers: ClassVar[dict[str, Any]] = {}

    async def get_by_key(self, key: str) -> Record | None:
        answer = self.answers[key]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Asked(Shelf):
    """`connector: tests.flows.test_parked:Asked`."""

    commands = (AskedGetOrders,)


@pytest.fixture
def asked(steps: Steps) -> Steps:
    steps.channel = config(connector="tests.flows.test_parked:Asked")
    return steps


def park(steps: Steps, *orders: Record) -> None:
    for row in orders:
        steps.parked.put(row["id"], {"reason": "x", "record": row}, run="r", now="2026-01-05T00:00:00Z")


def test_what_a_settle_without_omnitron_was_to_keep_is_kept(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"), order("2", minutes=1), order("3", minutes=2, shipping_address=address(city="Atlantis")))
    chunks, manifest = asyncio.run(steps.staged(DAY, "run"))
    back_office.fault("POST", "/create_orders/$", "status", status=503, skip=1, times=100)
    pushed = [asyncio.run(steps.push(chunks, number, "run")) for number in range(manifest["chunks"])]
    back_office.fault("POST", "/batch_requests/$", "status", status=503, times=100)
    with pytest.raises(RetriableError):
        asyncio.run(steps.settle(chunks, pushed, "run"))

    back_office.delete("/admin/faults")
    shelf()
    balance = steps.run()

    assert {row["extra_field"]["id"] for row in back_office.rows("orders")} == {"1", "2"}
    assert set(back_office.linked("order")) == {"1", "2"}
    assert results(balance) == {"created": 1}
    assert list(steps.quarantine.open_keys()) == ["3"]


@pytest.mark.defect("O2")
def test_what_a_push_created_is_linked_though_its_run_was_never_settled(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("1"))
    chunks, _ = asyncio.run(steps.staged(DAY, "skipped"))
    asyncio.run(steps.push(chunks, 0, "skipped"))
    shelf()

    steps.run()

    assert set(back_office.linked("order")) == {"1"}


@pytest.mark.parametrize("answer", [IntegrationError("down"), TypeError("odd")])
def test_a_parked_order_that_the_channel_can_t_show_is_used_as_it_was(
    asked: Steps, back_office: BackOffice, shelf, answer: Exception
) -> None:
    park(asked, order("1"), order("2"))
    AskedGetOrders.answers = {"1": answer, "2": order("2", minutes=5)}

    balance = asked.run()

    assert results(balance) == {"created": 2}


def test_a_parked_order_that_the_channel_has_no_more_is_closed_and_not_created(
    asked: Steps, back_office: BackOffice, shelf
) -> None:
    park(asked, order("1"))
    AskedGetOrders.answers = {"1": None}

    balance = asked.run()

    assert (balance.distinct, back_office.rows("orders")) == (0, [])
    assert (asked.parked.get("1") or {})["state"] == "gone_at_channel"


@pytest.mark.parametrize("floor", [1, 2])
def test_too_many_that_are_gone_at_once_stay_parked_and_the_run_is_red(
    steps: Steps, back_office: BackOffice, shelf, floor: int
) -> None:
    steps.channel = config(connector="tests.flows.test_parked:Asked", limits={"quarantine_floor": floor})
    park(steps, order("1"), order("2"))
    AskedGetOrders.answers = {"1": None, "2": None}

    said = steps.verdict(steps.run()) or ""

    assert len(steps.parked.open_keys()) == (2 if floor == 1 else 0)
    assert ("the channel knows 2 parked records no more" in said) == (floor == 1)


def test_a_retry_does_not_do_again_what_an_earlier_try_settled(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"), order("2", minutes=1))
    chunks, _ = asyncio.run(steps.staged(DAY, "run"))
    back_office.fault("POST", "/create_orders/$", "status", status=403, skip=1, times=1)
    first = asyncio.run(steps.push(chunks, 0, "run", last_try=False))

    before = said_before(chunks, [first])

    assert len(before) == 1
    assert said_before(steps.folder("another", "transform"), [first]) == {}


def test_what_waits_for_days_is_told_once_though_its_reason_flaps(steps: Steps, back_office: BackOffice, shelf) -> None:
    since = datetime.now(UTC) - timedelta(days=4)
    steps.parked.put("1", {"reason": "order_unknown", "record": order("1")}, run="r", now=since.isoformat())
    back_office.fault("POST", "/create_orders/$", "status", status=503, times=100)
    steps.run()
    [parked] = steps.parked.open_keys().values()
    assert parked["reason"] != "order_unknown"
    assert len(back_office.rows("error_reports")) == 1
    steps.parked.put("1", {**parked, "reason": "order_unknown"}, run="r", now=since.isoformat())

    steps.run()

    assert len(back_office.calls("POST", "/error_reports/")) == 1


def dead(pk: int) -> dict[str, Any]:
    """The link of an order that is not in Omnitron any more."""
    return {"content_type": "order", "pk": pk, "remote_id": f"gone-{pk}", "version_date": "2026-01-05T09:00:00Z"}


@pytest.mark.parametrize("count", [1, 25])
def test_links_of_what_is_gone_stop_no_other_link_and_are_reported_once(
    steps: Steps, back_office: BackOffice, shelf, count: int
) -> None:
    shelf(*([order("1")] if count > 1 else []))
    steps.owed.owe("00-of-a-dead-run", [dead(90_000 + number) for number in range(count)])

    first, second = steps.run(), steps.run()

    assert f"refuses {count} links" in (steps.verdict(first) or "")
    assert steps.verdict(second) is None
    assert steps.owed.all() == {}
    assert set(back_office.linked("order")) == ({"1"} if count > 1 else set())
    assert len(back_office.rows("error_reports")) == count


def test_a_refused_link_of_what_is_there_stays_owed(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))
    back_office.fault("PATCH", "/batch_requests/", "status", status=400, body={"detail": "No."}, times=1000)
    with pytest.raises(RefusedError):
        steps.run()

    back_office.delete("/admin/faults")
    shelf()
    steps.run()

    assert set(back_office.linked("order")) == {"1"}


def test_a_clear_from_fetch_keeps_what_the_run_owed_before(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(order("1"))
    back_office.fault("POST", "/batch_requests/$", "status", status=503, times=100)
    with pytest.raises(RetriableError):
        steps.run(run="r")
    back_office.delete("/admin/faults")
    shelf(order("2", minutes=1))

    steps.run(run="r")

    assert set(back_office.linked("order")) == {"1", "2"}


def test_a_settle_that_is_cleared_late_does_not_reopen_what_has_passed(
    steps: Steps, back_office: BackOffice, shelf
) -> None:
    shelf(order("3", shipping_address=address(city="Atlantis")))
    chunks, _ = asyncio.run(steps.staged(DAY, "r"))
    pushed = [asyncio.run(steps.push(chunks, 0, "r"))]
    back_office.fault("POST", "/batch_requests/$", "status", status=503, times=100)
    with pytest.raises(RetriableError):
        asyncio.run(steps.settle(chunks, pushed, "r"))
    back_office.delete("/admin/faults")
    shelf(order("3"))
    assert results(steps.run()) == {"created": 1}

    late = asyncio.run(steps.settle(chunks, pushed, "r"))

    assert results(late) == {"quarantined": 1}
    assert late.new_in_quarantine == 0
    assert steps.quarantine.open_keys() == {}
    assert back_office.rows("error_reports") == []
