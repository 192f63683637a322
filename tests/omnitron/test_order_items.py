"""Items: what is given and differs is sent, and nothing else."""

from decimal import Decimal
from typing import Any

import pytest

from order_integration.dto import ChannelUpdateOrderItemDto
from order_integration.errors import Reason, RecordError
from order_integration.omnitron import order_items
from order_integration.omnitron.client import Omnitron, Row
from order_integration.omnitron.order_items import OrderItems, learnt, word_of
from tests.conftest import BackOffice
from tests.flows.steps import Steps
from tests.omnitron.conftest import Ask
from tests.shelf import item, order

EARLIER, NOW, LATER = "2026-01-06T09:00:00+00:00", "2026-01-06T10:00:00+00:00", "2026-01-06T11:00:00+00:00"


def news(**own: Any) -> ChannelUpdateOrderItemDto:
    return ChannelUpdateOrderItemDto.model_validate({"remote_id": "1-1/1", **own})


def row(**own: Any) -> Row:
    known = {"status": "400", "invoice_number": "INV-1", "invoice_date": "2026-01-05T09:00:00.000000Z"}
    return {"pk": 1, **known, "tracking_number": None, "extra_field": {"id": "1-1/1", "floor": 3}, **own}


def changes(there: Row, dto: ChannelUpdateOrderItemDto, run: str = "", **said: Any) -> Row:
    return order_items.changes(there, dto, said, run)


# What is sent --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"status": "400"},
        {"invoice_number": "INV-1"},
        {"invoice_number": " INV-1 "},
        {"invoice_date": "2026-01-05T12:00:00+03:00"},
        {"tracking_number": None},
        {"extra_field": {"floor": 3}},
        {"extra_field": {"floor": 3.0}},
        {"extra_field": {}},
        {"extra_field": None},
        {"extra_field": {"never": None}},
        {"status": "400", "modified_at": NOW},
    ],
    ids=str,
)
def test_what_is_there_already_is_not_sent(said: Row) -> None:
    assert changes(row(), news(**said)) == {}


@pytest.mark.defect("I1", "I4")
@pytest.mark.parametrize(
    ("said", "sent"),
    [
        ({"status": "500"}, {"status": "500"}),
        ({"invoice_number": None}, {"invoice_number": None}),
        ({"invoice_number": ""}, {"invoice_number": ""}),
        ({"invoice_date": None}, {"invoice_date": None}),
        ({"invoice_date": "2026-01-05T12:00:01+03:00"}, {"invoice_date": "2026-01-05T09:00:01.000000Z"}),
        ({"tracking_number": "T", "invoice_number": "INV-1"}, {"tracking_number": "T"}),
        ({"extra_field": {"floor": 0, "gift": False}}, {"extra_field": {"floor": 0, "gift": False}}),
        ({"extra_field": {"note": ""}}, {"extra_field": {"note": ""}}),
        ({"extra_field": {"floor": "3"}}, {"extra_field": {"floor": "3"}}),
        ({"extra_field": {"floor": None, "a": [1]}}, {"extra_field": {"floor": None, "a": [1]}}),
        ({"order_remote_id": "1", "order_number": "N1", "status": "500"}, {"status": "500"}),
    ],
    ids=str,
)
def test_what_is_given_and_differs_is_sent_and_nothing_else(said: Row, sent: Row) -> None:
    body = changes(row(), news(**said), "r1")

    assert body.pop("extra_field") == {**sent.get("extra_field", {}), "order_integration": {"run": "r1"}}
    assert body == {name: value for name, value in sent.items() if name != "extra_field"}


@pytest.mark.parametrize(
    ("there", "said", "differs"),
    [
        (1, True, True),
        (True, True, False),
        ({"a": [1, {"b": Decimal("1.50")}]}, {"a": [1, {"b": 1.5}]}, False),
        (Decimal("1.5"), Decimal("1.5"), True),  # in a DTO's JSON, a decimal is a text
        ({"a": [1]}, {"a": [1, 2]}, True),
        ({"a": 1}, {"b": 1}, True),
        ({"a": [1, {"b": "x"}]}, {"a": [1, {"b": "x"}]}, False),
        ("x ", "x", True),
    ],
)
def test_free_data_is_compared_to_the_last_letter(there: Any, said: Any, *, differs: bool) -> None:
    body = changes(row(extra_field={"k": there}), news(extra_field={"k": said}))

    assert bool(body) is differs


@pytest.mark.parametrize("there", [None, "soon", 5, "2026-01-05"])
def test_a_date_that_can_t_be_read_is_replaced(there: Any) -> None:
    body = changes(row(invoice_date=there), news(invoice_date="2026-01-05T00:00:00Z"))

    assert body["invoice_date"] == "2026-01-05T00:00:00.000000Z"


def test_ids_and_provenance_are_not_the_free_data_s_to_change() -> None:
    assert changes(row(), news(extra_field={"id": "another", "order_integration": "x"})) == {}


@pytest.mark.parametrize("status", ["50", "100", "600"])
def test_what_is_cancelled_or_refunded_is_not_revived_but_its_invoice_is_kept(status: str) -> None:
    body = changes(row(status=status), news(status="550", invoice_number="INV-2"))

    assert body["invoice_number"] == "INV-2"
    assert "status" not in body
    assert changes(row(status=status), news(status="550", modified_at=NOW)) == {}


@pytest.mark.parametrize("there", ["510", "520", "540", "550"])
def test_what_omnitron_knows_to_be_further_on_its_way_stays_there(there: str) -> None:
    assert changes(row(status=there), news(status="500", modified_at=NOW)) == {}


def test_a_channel_may_take_back_a_status_that_it_gave_itself() -> None:
    back = news(status="500", modified_at=NOW)

    assert changes(row(status="550"), back, status="550")["status"] == "500"
    assert changes(row(status="540"), back, status="550") == {}
    assert changes(row(status="550"), back) == {}


def test_a_status_can_t_be_cleared() -> None:
    with pytest.raises(RecordError) as caught:
        changes(row(), news(status=None))
    assert (caught.value.reason, caught.value.field) == (Reason.FIELD_MALFORMED, "status")


# Older and newer -----------------------------------------------------------------------------------------------------


def test_the_channel_s_time_travels_with_a_change_and_keeps_what_else_stands_there() -> None:
    there = row(extra_field={"order_integration": {"run": "r0", "fingerprint": "f"}})

    body = changes(there, news(status="500", modified_at=NOW), "r1")

    ours = {"run": "r1", "fingerprint": "f", "modified_at": NOW}
    assert body == {"status": "500", "extra_field": {"order_integration": ours}}


@pytest.mark.parametrize(("written", "sent"), [(EARLIER, True), (NOW, False), (LATER, False), ("odd", True), (5, True)])
def test_equal_and_older_news_change_nothing(written: Any, *, sent: bool) -> None:
    there = row(extra_field={"order_integration": {"modified_at": written}})

    assert bool(changes(there, news(status="500", modified_at=NOW))) is sent


@pytest.mark.parametrize("ours", ["text", 5, [], None])
def test_what_others_write_under_our_key_stops_nobody(ours: Any) -> None:
    body = changes(row(extra_field={"order_integration": ours}), news(status="500", modified_at=NOW), "r1")

    assert body["extra_field"] == {"order_integration": {"modified_at": NOW, "run": "r1"}}


# What the channel said before ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {"status": "500"},
        {"invoice_number": " INV-2 "},
        {"invoice_number": None},
        {"invoice_date": "2026-01-07T12:00:00+03:00"},
        {"tracking_number": "T"},
        {"extra_field": {"floor": 4, "note": ""}},
    ],
    ids=str,
)
def test_what_the_channel_only_repeats_is_not_sent(said: Row) -> None:
    before = word_of(news(**said, modified_at=EARLIER))

    assert changes(row(), news(**said, modified_at=NOW)) != {}
    assert changes(row(), news(**said, modified_at=NOW), **before) == {}


def test_what_the_channel_says_anew_is_sent_and_what_it_repeats_beside_it_is_not() -> None:
    before = word_of(news(tracking_number="T1", invoice_number="A", extra_field={"floor": 1, "gift": True}))

    body = changes(
        row(), news(tracking_number="T1", invoice_number="B", extra_field={"floor": 2, "gift": True}), **before
    )

    assert body == {"invoice_number": "B", "extra_field": {"floor": 2, "order_integration": {"run": ""}}}


@pytest.mark.parametrize(("before", "sent"), [(EARLIER, True), (NOW, False), (LATER, False)])
def test_news_that_are_not_newer_than_what_was_said_change_nothing(before: str, *, sent: bool) -> None:
    assert bool(changes(row(), news(status="500", modified_at=NOW), modified_at=before)) is sent


def test_free_data_is_remembered_without_its_words() -> None:
    assert "Ayşe" not in str(word_of(news(extra_field={"buyer": "Ayşe"})))


def test_a_word_is_learnt_once_the_item_is_as_it_says_and_adds_to_what_was_said() -> None:
    there, dto = row(tracking_number="T"), news(tracking_number="T", modified_at=NOW)
    before = word_of(news(invoice_number="A", extra_field={"floor": 1}, modified_at=EARLIER))

    assert learnt(there, None, dto, before) == {**before, "tracking_number": "T", "modified_at": NOW}
    assert learnt(row(), there, dto, {}) == {"tracking_number": "T", "modified_at": NOW, "extra_field": {}}
    assert learnt(row(), None, dto, before) == before
    assert learnt(there, None, dto, {"modified_at": LATER}) == {"modified_at": LATER}


# In Omnitron ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def pk(steps: Steps, back_office: BackOffice, shelf: Any) -> int:
    """An item of an order of two."""
    shelf(order("1", items=[item("1"), item("1", unit=2)], amount="110.00"))
    steps.run()
    return back_office.linked("orderitem")["1-1/1"]


def changing(pk: int, dto: ChannelUpdateOrderItemDto) -> Any:
    async def work(omnitron: Omnitron) -> Row | None:
        items = OrderItems(omnitron, "r1")
        return await items.change((await items.by_pk([pk]))[pk], dto, {})

    return work


def test_a_second_time_nothing_is_sent(ask: Ask, back_office: BackOffice, pk: int) -> None:
    dto = news(status="500", invoice_number=" A-1 ", invoice_date=NOW, extra_field={"w": 1.5}, modified_at=NOW)

    first, second = ask(changing(pk, dto)), ask(changing(pk, dto))

    assert second is None
    [there] = [one for one in back_office.rows("order_items") if one["pk"] == pk]
    assert first == there | {"extra_field": first["extra_field"]}
    assert (there["status"], there["invoice_number"]) == ("500", "A-1")
    ours = {"modified_at": NOW, "run": "r1"}
    assert there["extra_field"] == {"id": "1-1/1", "w": 1.5, "order_integration": ours}
    assert OrderItems(None, "r1").was_changed(there)  # type: ignore[arg-type]
    assert not OrderItems(None, "r2").was_changed(there)  # type: ignore[arg-type]
    assert len(back_office.calls("PATCH", f"/order_items/{pk}/")) == 1


def test_without_a_time_a_second_time_nothing_is_sent_either(ask: Ask, back_office: BackOffice, pk: int) -> None:
    dto = news(invoice_number=None, invoice_date=NOW, extra_field={"w": 1.5, "l": [Decimal("2.50")]})

    ask(changing(pk, dto))

    assert ask(changing(pk, dto)) is None


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_answer_is_asked_for_again(ask: Ask, back_office: BackOffice, pk: int, kind: str) -> None:
    back_office.fault("PATCH", "/order_items/", kind)

    assert ask(changing(pk, news(status="500")))["status"] == "500"


@pytest.mark.defect("B13")
def test_what_omnitron_refuses_is_this_record_s_problem(ask: Ask, back_office: BackOffice, pk: int) -> None:
    with pytest.raises(RecordError) as caught:
        ask(changing(pk, news(status="1")))

    assert caught.value.reason is Reason.REFUSED
    assert "status" in caught.value.sentence


def test_items_of_an_order_are_read_in_one_call_and_gone_ones_are_left_out(
    ask: Ask, back_office: BackOffice, pk: int
) -> None:
    [row] = back_office.rows("orders")
    back_office.delete("/admin/requests")

    async def work(omnitron: Omnitron) -> tuple[set[int], set[int]]:
        items = OrderItems(omnitron)
        return set(await items.of_order(row["pk"])), set(await items.by_pk([pk, 987654]))

    of_order, by_pk = ask(work)

    assert pk in of_order
    assert len(of_order) == 2
    assert by_pk == {pk}
    assert len(back_office.calls("GET", "/order_items/")) == 1
