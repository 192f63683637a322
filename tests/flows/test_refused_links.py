"""Links that Omnitron refuses, in a batch request or one by one: none of them stops another one."""

from dataclasses import asdict
from typing import Any

import pytest

from order_integration.errors import RefusedError
from order_integration.omnitron.integration_actions import Link
from tests.conftest import BackOffice
from tests.flows.steps import Steps, results
from tests.flows.test_batches import batch, has_links, move
from tests.shelf import item, order

GONE = 987654


def link(kind: str, pk: int, version: str = "2026-01-05T00:00:00Z") -> dict[str, Any]:
    return asdict(Link(kind, pk, f"{kind}-{pk}", version))


@pytest.fixture(params=["in a batch request", "beside a job of the channel"])
def how(request: pytest.FixtureRequest, back_office: BackOffice, steps: Steps, shelf) -> str:
    """An order is in Omnitron, and linked; what comes next is linked in one of the two ways."""
    shelf(order("0"))
    steps.run()
    if request.param != "in a batch request":
        pk = batch(back_office)
        move(back_office, pk, "commit", content_type="order", objects=[])
        move(back_office, pk, "sent_to_remote", remote_batch_id="feed-1")
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"), order("2"))
    return str(request.param)


def links_of(office: BackOffice, how: str) -> set[tuple[str, str]]:
    """Those of the run: one that is written alone has no status."""
    status = "success" if how == "in a batch request" else None
    return {one for one in has_links(office, status) if not one[1].startswith("0")}


EVERYTHING = {("order", "1"), ("orderitem", "1-1/1"), ("orderitem", "1-1/2"), ("order", "2"), ("orderitem", "2-1/1")}


def test_a_link_that_can_t_be_written_stops_no_other_and_alone_stays_owed(
    steps: Steps, back_office: BackOffice, shelf, how: str
) -> None:
    pk = back_office.rows("orders")[0]["pk"]
    steps.owed.owe("00-of-a-dead-run", [link("order", pk, "nonsense")])

    for _ in range(2):  # the next run meets the same
        with pytest.raises(RefusedError, match=f"link its order {pk},"):
            steps.run()
        assert links_of(back_office, how) == EVERYTHING
        assert list(steps.owed.all().values()) == [[link("order", pk, "nonsense")]]

    steps.owed.owe("still", [{**link("order", pk), "remote_id": "0"}])
    assert results(steps.run()) == {"already_there": 2}
    assert steps.owed.all() == {}


@pytest.mark.parametrize("kind", ["order", "orderitem"])
def test_a_link_whose_object_is_gone_stops_no_other_and_is_reported_once(
    steps: Steps, back_office: BackOffice, shelf, how: str, kind: str
) -> None:
    steps.owed.owe("00-of-a-dead-run", [link(kind, GONE)])

    first, second = steps.run(), steps.run()

    assert (first.links_refused, second.links_refused) == (1, 0)
    assert results(first) == {"created": 2}
    assert links_of(back_office, how) == EVERYTHING
    assert steps.owed.all() == {}
    assert len(back_office.rows("error_reports")) == 1


def test_where_all_are_refused_not_each_is_tried_alone(steps: Steps, back_office: BackOffice, shelf) -> None:
    shelf(*(order(str(number), minutes=number) for number in range(60)))
    back_office.fault("PATCH", "/batch_requests/", "status", status=400, body={"detail": "No."}, times=1000)

    with pytest.raises(RefusedError):
        steps.run()

    assert sum(map(len, steps.owed.all().values())) == 120
    assert len(back_office.rows("batch_requests")) < 60
    back_office.delete("/admin/faults")
    shelf()
    steps.run()
    assert len(has_links(back_office)) == 120
