"""Flow 4: what a channel cancelled is cancelled in Omnitron, each unit once, and nothing is guessed."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from order_integration.channels.commands import Window
from order_integration.dto import CancelOrderDto
from order_integration.errors import ConfigurationError
from order_integration.flows.fetch_and_create_cancel import reasons_of, todo_of
from order_integration.flows.reasons import ReasonMapping
from order_integration.flows.windows import Reading
from tests.conftest import BackOffice
from tests.flows.cancelling import (
    BROKEN,
    FALLBACK,
    LATE,
    arrive,
    asked,
    carry_out,
    change,
    conf,
    order_of,
    plans,
    put,
    start,
    states,
    writes,
)
from tests.flows.state import no_batch_is_open
from tests.flows.steps import Steps, results
from tests.shelf import NOON, cancel, item, order

LINE = "1-1/1"  # the first unit of order 1


@pytest.fixture
def cancelling(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Iterator[Steps]:
    yield start(omnitron_url, tmp_path, back_office)
    put()


def shared(key: str, units: int) -> dict[str, Any]:
    """An order whose units share one id, as connectors of others have them."""
    items = [item(key, remote_id=f"{key}-line") for _ in range(units)]
    return order(key, items=items, amount=f"{50 * units + 10}.00")


@pytest.mark.defect("C1", "C3", "C7", "B3")
def test_what_the_channel_cancelled_is_cancelled_with_its_reason_and_its_money(
    cancelling: Steps, back_office: BackOffice
) -> None:
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    put(cancel("1", LINE, reason="broken", is_cargo_refund=True, refund_invoice_number="INV-7"))

    balance = cancelling.run()

    assert results(balance) == {"created": 1}
    assert cancelling.verdict(balance) is None
    assert states(back_office) == {LINE: ["50"], "1-1/2": ["400"]}
    [plan] = plans(back_office)
    assert list(plan["reasons"].values()) == [BROKEN]
    assert (plan["is_cargo_refund"], plan["refund_invoice_number"], plan["is_all"]) == (True, "INV-7", False)
    assert no_batch_is_open(back_office)


def test_a_refund_that_the_channel_forces_is_carried(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1"))
    put(cancel("1", LINE, forced_refund_amount="12.50"))

    cancelling.run()

    assert [plan["forced_refund_amount"] for plan in plans(back_office)] == ["12.50"]


@pytest.mark.parametrize(
    ("flag", "nothing"), [("is_cargo_refund", False), ("forced_refund_amount", None), ("refund_invoice_number", None)]
)
def test_what_is_said_of_the_money_is_said_once_an_order(
    cancelling: Steps, back_office: BackOffice, flag: str, nothing: Any
) -> None:
    said = {"is_cargo_refund": True, "forced_refund_amount": "10.00", "refund_invoice_number": "INV-7"}[flag]
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    put(cancel("1", LINE, **{flag: said}))
    cancelling.run()
    carry_out(back_office, "1")

    put(cancel("1", LINE, "1-1/2", minutes=20, **{flag: said}))
    assert results(cancelling.run()) == {"created": 1}

    assert [plan[flag] for plan in plans(back_office)] == [said, nothing]


@pytest.mark.defect("C7", "I5")
def test_items_are_linked_as_they_are_after_it_and_the_order_is_not(cancelling: Steps, back_office: BackOffice) -> None:
    """The order's version decides what flow 2 offers; a merchant's change in between must not be hidden."""
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    [before] = back_office.rows("integration_actions", content_type_name="order")
    put(cancel("1", LINE))

    cancelling.run()

    assert back_office.rows("integration_actions", content_type_name="order") == [before]
    versions = {row["pk"]: row["modified_date"] for row in back_office.rows("order_items")}
    first, second = back_office.rows("integration_actions", content_type_name="orderitem")
    assert first["version_date"] == versions[first["object_id"]]
    assert (first["status"], first["local_batch_id"] != second["local_batch_id"]) == ("success", True)
    assert [row["pk"] for row in back_office.rows("orders/updates")] == [order_of(back_office, "1")["pk"]]


@pytest.mark.parametrize("status", ["50", "100", "600"])
def test_what_is_cancelled_already_is_there_and_nothing_is_written(
    cancelling: Steps, back_office: BackOffice, status: str
) -> None:
    arrive(cancelling, back_office, order("1"))
    change(back_office, LINE, status)
    put(cancel("1", LINE, reason="nobody mapped this"))

    balance = cancelling.run()

    assert results(balance) == {"already_there": 1}
    assert writes(back_office) == []


def test_a_second_run_and_an_overlapping_one_write_nothing(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1"), shared("2", 3))
    put(cancel("1", LINE), cancel("2", "2-line", "2-line", minutes=10))
    first = Reading(Window(NOON, NOON + timedelta(minutes=15)), NOON)
    second = Reading(Window(NOON, NOON + timedelta(minutes=30)), NOON + timedelta(minutes=15))
    assert results(cancelling.run(first)) == {"created": 2}
    back_office.delete("/admin/requests")

    assert results(cancelling.run(first)) == {"already_there": 2}
    assert results(cancelling.run(second)) == {"seen_before": 2}

    assert writes(back_office) == []
    assert states(back_office, "2") == {"2-line": ["50", "50", "400"]}


@pytest.mark.defect("C6")
def test_a_total_that_grows_cancels_the_difference_lowest_first(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, shared("1", 4))
    put(cancel("1", "1-line"))
    cancelling.run()
    assert states(back_office) == {"1-line": ["50", "400", "400", "400"]}
    carry_out(back_office, "1")
    put(cancel("1", "1-line", "1-line", "1-line", minutes=1))

    assert results(cancelling.run()) == {"created": 1}

    assert states(back_office) == {"1-line": ["100", "50", "50", "400"]}
    assert [len(plan["items"]) for plan in plans(back_office)] == [1, 2]


@pytest.mark.defect("C6")
def test_units_that_somebody_else_cancelled_count_whichever_they_are(
    cancelling: Steps, back_office: BackOffice
) -> None:
    arrive(cancelling, back_office, shared("1", 3))
    change(back_office, "1-line", "100", nth=2)
    put(cancel("1", "1-line", "1-line"))

    cancelling.run()

    assert states(back_office) == {"1-line": ["50", "400", "100"]}


def test_an_id_that_several_orders_have_is_one_within_its_order(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(
        cancelling,
        back_office,
        order("1", items=[item("1", remote_id="SKU-1")]),
        order("2", items=[item("2", remote_id="SKU-1")]),
    )
    put(cancel("2", "SKU-1"))

    assert results(cancelling.run()) == {"created": 1}

    assert (states(back_office, "1"), states(back_office, "2")) == ({"SKU-1": ["400"]}, {"SKU-1": ["50"]})


@pytest.mark.defect("C2", "B4", "B5")
def test_orders_that_are_not_there_yet_wait_and_stop_no_other(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("3"))
    put(cancel("1", LINE), cancel("2", "2-1/1"), cancel("3", "3-1/1"))

    balance = cancelling.run()
    put()

    assert results(balance) == {"created": 1, "parked": 2}
    assert cancelling.verdict(balance) is None
    assert cancelling.keys(cancelling.parked) == dict.fromkeys(("1", "2"), ("order_unknown", "order"))
    assert results(cancelling.run()) == {"parked": 2}
    arrive(cancelling, back_office, order("1"))
    assert results(cancelling.run()) == {"created": 1, "parked": 1}
    assert list(cancelling.keys(cancelling.parked)) == ["2"]
    assert states(back_office) == {"3-1/1": ["50"], LINE: ["50"]}


@pytest.mark.defect("C2", "C1")
def test_a_bad_record_stops_no_other(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1"), order("2"), order("3"))
    put(
        cancel("1", LINE),
        cancel("2", "2-1/1", reason="unheard of"),
        cancel("3", "3-1/1", "3-1/1"),
        {**cancel("4", "4-1/1"), "dto": {"order": "4", "cancel_items": [], "reasons": {}}},
    )

    balance = cancelling.run()

    assert results(balance) == {"created": 1, "quarantined": 3}
    assert cancelling.keys(cancelling.quarantine) == {
        "2": ("reason_unmapped", "reasons"),
        "3": ("conflict", "cancel_items"),
        "4": ("field_malformed", "CancelOrderDto.cancel_items"),
    }
    assert len(back_office.rows("error_reports")) == 3
    assert no_batch_is_open(back_office)


def test_an_item_that_is_not_linked_waits_and_the_others_are_cancelled(
    cancelling: Steps, back_office: BackOffice
) -> None:
    """What can still be stopped is not shipped because of it; the money goes with the first of them."""
    arrive(cancelling, back_office, order("1"))
    put(cancel("1", LINE, "1-9/1", is_cargo_refund=True))

    balance = cancelling.run()

    assert results(balance) == {"parked": 1}
    assert cancelling.verdict(balance) is None
    assert cancelling.keys(cancelling.parked) == {"1": ("item_unknown", "cancel_items")}
    assert states(back_office) == {LINE: ["50"]}
    assert [plan["is_cargo_refund"] for plan in plans(back_office)] == [True]
    assert results(cancelling.run()) == {"parked": 1}
    assert asked(back_office) == 1


def test_units_that_are_not_all_linked_yet_wait_for_it(cancelling: Steps, back_office: BackOffice) -> None:
    """Flow 1 may still be linking them: a person has nothing to do with it."""
    arrive(cancelling, back_office, shared("1", 3))
    actions = back_office.rows("integration_actions", content_type_name="orderitem")

    def link(remote_id: str) -> None:
        for row in actions[1:]:
            path = f"/api/v1/channel/1/integration_actions/{row['pk']}/"
            back_office.patch(path, json={"remote_id": remote_id}).raise_for_status()

    link("not yet")
    put(cancel("1", "1-line", "1-line"))

    assert results(cancelling.run()) == {"parked": 1}
    assert cancelling.keys(cancelling.parked) == {"1": ("item_unknown", "cancel_items")}
    assert asked(back_office) == 0

    link("1-line")
    assert results(cancelling.run()) == {"created": 1}
    assert states(back_office) == {"1-line": ["50", "50", "400"]}
    assert cancelling.keys(cancelling.parked) == {}


def test_an_order_that_is_linked_twice_is_nobody_s_to_guess(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1"), order("2"))
    for row in back_office.rows("integration_actions", content_type_name="order"):
        body = {"channel_id": 1, "content_type": "order", "object_id": row["object_id"], "remote_id": "1"}
        back_office.patch(f"/api/v1/channel/1/integration_actions/{row['pk']}/", json=body).raise_for_status()
    back_office.delete("/admin/requests")
    put(cancel("1", LINE))

    assert results(cancelling.run()) == {"quarantined": 1}

    assert cancelling.keys(cancelling.quarantine) == {"1": ("conflict", "order")}
    assert asked(back_office) == 0


def test_more_units_than_there_are_cancels_nothing_and_says_both_numbers(
    cancelling: Steps, back_office: BackOffice
) -> None:
    arrive(cancelling, back_office, shared("1", 2))
    put(cancel("1", "1-line", "1-line", "1-line"))

    assert results(cancelling.run()) == {"quarantined": 1}

    assert asked(back_office) == 0
    [report] = back_office.rows("error_reports")
    assert "3 units of an item are to be cancelled, and Omnitron has 2 of it" in report["error_desc"]


# reasons --------------------------------------------------------------------------------------------------------------


@pytest.mark.defect("C4")
def test_a_code_that_nobody_mapped_takes_the_fallback_where_there_is_one(
    cancelling: Steps, back_office: BackOffice
) -> None:
    conf(back_office, reason_mapping='{"late": 1}', cancellation_reason_id=FALLBACK)
    arrive(cancelling, back_office, order("1"), order("2"))
    put(cancel("1", LINE), cancel("2", "2-1/1", reason="unheard of"))

    assert results(cancelling.run()) == {"created": 2}

    assert sorted(pk for plan in plans(back_office) for pk in plan["reasons"].values()) == [LATE, FALLBACK]


@pytest.mark.defect("C4")
def test_a_code_that_nobody_mapped_is_named_and_sent_once_it_is_mapped(
    cancelling: Steps, back_office: BackOffice
) -> None:
    arrive(cancelling, back_office, order("1"))
    put(cancel("1", LINE, reason="unheard of"))
    assert results(cancelling.run()) == {"quarantined": 1}
    assert asked(back_office) == 0
    [report] = back_office.rows("error_reports")
    assert "'unheard of' is not in reason_mapping" in report["error_desc"]
    conf(back_office, reason_mapping={"unheard of": BROKEN})

    assert results(cancelling.run()) == {"created": 1}

    assert cancelling.keys(cancelling.quarantine) == {}


@pytest.mark.defect("C5")
def test_reasons_of_what_is_not_to_be_cancelled_are_in_nobody_s_way(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    change(back_office, LINE, "100")
    put(cancel("1", LINE, "1-1/2", reasons={LINE: "unheard of", "1-1/2": "late", "1-1/3": "unheard of"}))

    assert results(cancelling.run()) == {"created": 1}

    assert [list(plan["reasons"].values()) for plan in plans(back_office)] == [[LATE]]


@pytest.mark.parametrize("wrong", [{"reason_mapping": "late: 1"}, {"cancellation_reason_id": "four"}])
def test_a_mapping_that_can_t_be_read_is_said_before_anything_is_read(
    cancelling: Steps, back_office: BackOffice, wrong: dict[str, str]
) -> None:
    conf(back_office, **wrong)

    with pytest.raises(ConfigurationError, match=next(iter(wrong))):
        cancelling.run()


@pytest.mark.defect("K2")
def test_what_the_channel_said_is_left_as_it_is() -> None:
    said = CancelOrderDto(order="1", cancel_items=["a", "a"], reasons={"a": "late", "b": "late"})
    before = said.model_dump()
    linked = {"a": [{"object_id": 8}, {"object_id": "7"}, {"object_id": 99}]}

    todo = todo_of(said, linked, {pk: {"pk": pk, "status": "400"} for pk in (7, 8, 9)})

    assert reasons_of(said, todo, ReasonMapping({"late": LATE})) == {7: LATE, 8: LATE}
    assert said.model_dump() == before


# One plan at a time ---------------------------------------------------------------------------------------------------


def test_an_order_whose_earlier_cancel_still_waits_is_tried_again_later(
    cancelling: Steps, back_office: BackOffice
) -> None:
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    put(cancel("1", LINE))
    cancelling.run()
    put(cancel("1", LINE, "1-1/2", minutes=1))

    balance = cancelling.run()

    assert results(balance) == {"parked": 1}
    assert cancelling.verdict(balance) is None
    assert cancelling.keys(cancelling.parked) == {"1": ("cancel_waiting", "order")}
    assert asked(back_office) == 1
    put()
    carry_out(back_office, "1")
    assert results(cancelling.run()) == {"created": 1}
    assert states(back_office) == {LINE: ["100"], "1-1/2": ["50"]}
    assert cancelling.keys(cancelling.parked) == {}


def test_what_is_still_in_the_house_is_stopped_first_and_the_money_goes_with_it(
    cancelling: Steps, back_office: BackOffice
) -> None:
    """Omnitron takes no plan that mixes what is shipped with what is not."""
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    change(back_office, LINE, "500")
    put(cancel("1", LINE, "1-1/2", is_cargo_refund=True))

    balance = cancelling.run()

    assert results(balance) == {"parked": 1}
    assert cancelling.keys(cancelling.parked) == {"1": ("cancel_waiting", "order")}
    assert states(back_office) == {LINE: ["500"], "1-1/2": ["50"]}
    put()
    assert results(cancelling.run()) == {"parked": 1}
    carry_out(back_office, "1")
    assert results(cancelling.run()) == {"created": 1}
    kinds = [(plan["cancellation_type"], plan["is_cargo_refund"]) for plan in plans(back_office)]
    assert kinds == [("cancel", True), ("refund", False)]
    assert states(back_office) == {LINE: ["50"], "1-1/2": ["100"]}


def test_two_records_of_one_order_in_a_run_make_one_plan_and_the_other_waits(
    cancelling: Steps, back_office: BackOffice
) -> None:
    """A connector of others may give a record a cancel."""
    cancelling.channel = cancelling.channel.model_copy(
        update={"limits": cancelling.channel.limits.model_copy(update={"chunk_size": 1})}
    )
    arrive(cancelling, back_office, order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    put({**cancel("1", LINE), "id": "c-1"}, {**cancel("1", "1-1/2", minutes=1), "id": "c-2"})

    assert results(cancelling.run()) == {"created": 1, "parked": 1}

    assert states(back_office) == {LINE: ["50"], "1-1/2": ["400"]}
    assert cancelling.keys(cancelling.parked) == {"c-2": ("cancel_waiting", "order")}


def test_cancels_go_on_while_the_channel_works_on_a_feed(cancelling: Steps, back_office: BackOffice) -> None:
    arrive(cancelling, back_office, order("1"))
    path = "/api/v1/channel/1/batch_requests/"
    back_office.rows("orders")  # logs in
    pk = back_office.post(path, json={"channel": 1}).json()["pk"]
    for body in ({"status": "commit", "content_type": "order", "objects": []}, {"status": "sent_to_remote"}):
        back_office.patch(f"{path}{pk}/", json={"channel": 1, **body}).raise_for_status()
    put(cancel("1", LINE))

    balance = cancelling.run()

    assert results(balance) == {"created": 1}
    assert cancelling.owed.all() == {}
    assert states(back_office) == {LINE: ["50"]}
