"""What happens to orders after they were placed: parcels, cancels, returns and feeds, from recorded answers."""

import asyncio
from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from order_integration.channels.commands import (
    CheckOrders,
    GetCancellationRequests,
    GetCancelledOrders,
    GetUpdatedOrderItems,
    SendUpdatedOrders,
    UpdateCancellationRequest,
    Window,
)
from order_integration.channels.medusa.money import exact, rounded
from order_integration.channels.medusa.returns import units_of_returns
from order_integration.channels.medusa.shipping import plan
from order_integration.channels.medusa.units import UNITS, parcels
from order_integration.dto import (
    CancellationType,
    ChannelCancellationRequestDto,
    FeedState,
    OrderStatus,
    ResponseStatus,
)
from order_integration.errors import ConfigurationError, ContractError, RecordError
from tests.channels.medusa_answers import FAILED, Answers, recorded
from tests.channels.medusa_kit import CENTURY, connector
from tests.channels.medusa_stand import submission

SHIPPED, DELIVERED, APPROVED = OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.APPROVED
SUCCESS, FAIL = ResponseStatus.SUCCESS, ResponseStatus.FAIL
ACCEPTED, REJECTED, WAITING = "completed", "rejected", "confirmation_waiting"


# Units and parcels ----------------------------------------------------------------------------------------------------


def test_our_parcels_have_the_units_they_name_and_the_warehouses_have_the_first_of_the_others():
    found, line = recorded("parcels")["order"], recorded("parcels")["line"]
    assert [(one.units, one.is_ours, bool(one.shipped_at)) for one in parcels(found)] == [
        ((f"{line}/1",), False, True),
        ((f"{line}/3",), True, True),
        ((f"{line}/2",), False, False),
    ]


def test_what_was_shipped_keeps_its_units_when_a_packed_parcel_is_cancelled():
    order = recorded("parcels")["order"]
    before = [one.units for one in parcels(order) if one.shipped_at]
    for parcel in order["fulfillments"]:
        if not parcel["shipped_at"]:
            parcel["canceled_at"] = order["updated_at"]
    assert [one.units for one in parcels(order)] == before


def test_the_parcel_that_was_shipped_first_takes_the_first_units_whichever_was_packed_first():
    order, line = recorded("parcels")["order"], recorded("parcels")["line"]
    packed = next(one for one in order["fulfillments"] if not one["shipped_at"] and not one["canceled_at"])
    packed["id"] = "ful_0"
    assert [one.units for one in parcels(order) if not one.is_ours] == [(f"{line}/1",), (f"{line}/2",)]
    assert parcels(order)[-1].id == "ful_0"


def test_the_warehouse_never_has_a_unit_that_a_parcel_of_ours_names():
    order, line = recorded("parcels")["order"], recorded("parcels")["line"]
    ours = next(one for one in order["fulfillments"] if one["metadata"])
    ours["metadata"][UNITS] = [f"{line}/1"]
    assert [one.units for one in parcels(order) if not one.is_ours] == [(f"{line}/2",), (f"{line}/3",)]


def test_a_bundle_is_counted_in_units_and_not_in_its_parts():
    order, line = recorded("parcels")["order"], recorded("parcels")["line"]
    (parcel,) = order["fulfillments"] = order["fulfillments"][:1]
    (part,) = parcel["items"]
    parcel["items"] = [part | {"quantity": 6}, part | {"quantity": 2, "inventory_item_id": "iitem_other"}]
    (row,) = [row for row in order["items"] if row["id"] == line]
    row["variant"]["inventory_items"] = [
        {"inventory_item_id": part["inventory_item_id"], "required_quantity": 3},
        {"inventory_item_id": "iitem_other", "required_quantity": 1},
    ]
    assert [one.units for one in parcels(order)] == [(f"{line}/1", f"{line}/2")]


def planned(order, units):
    (wanted,) = submission(order, units).orders
    return [(step.parcel, step.units, step.tracking_numbers, step.ship, step.deliver) for step in plan(order, wanted)]


def test_what_is_in_medusa_already_is_not_planned_again():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    assert planned(order, {f"{line}/1": (DELIVERED, "WH-1"), f"{line}/3": (SHIPPED, "T-3")}) == []
    assert planned(order, {f"{line}/2": (APPROVED, None)}) == []


def test_as_many_units_as_the_shop_has_shipped_are_enough():
    found = recorded("parcels")
    assert planned(found["order"], {f"{found['line']}/4": (SHIPPED, "T-4")}) == []


def test_a_packed_parcel_is_shipped_and_a_shipped_one_delivered_before_another_is_packed():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    ids = {one.units[0]: one.id for one in parcels(order)}
    units = {f"{line}/{n}": (DELIVERED, f"T-{n}") for n in (1, 2, 3, 4)}
    assert planned(order, units) == [
        (ids[f"{line}/3"], (f"{line}/3",), (), False, True),
        (ids[f"{line}/2"], (f"{line}/2",), ("T-2",), True, True),
        (None, (f"{line}/4",), ("T-4",), True, True),
    ]


def test_a_packed_parcel_with_something_in_it_that_stays_is_left_alone():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    packed = next(one for one in order["fulfillments"] if not one["shipped_at"] and not one["canceled_at"])
    packed["items"][0]["quantity"] = 2
    units = {f"{line}/{n}": (SHIPPED, "T-9") for n in (1, 2, 3)}
    assert planned(order, units) == [(None, (f"{line}/2",), ("T-9",), True, False)]


def test_a_parcel_is_delivered_when_all_of_it_is():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    ours = next(one for one in order["fulfillments"] if one["metadata"])
    ours["metadata"][UNITS] = [f"{line}/3", f"{line}/4"]
    one = {f"{line}/1": (DELIVERED, "WH-1"), f"{line}/3": (DELIVERED, "T-3"), f"{line}/4": (SHIPPED, "T-3")}
    assert planned(order, one) == []
    both = one | {f"{line}/4": (DELIVERED, "T-3")}
    assert planned(order, both) == [(ours["id"], (f"{line}/3", f"{line}/4"), (), False, True)]


def test_a_parcel_of_ours_is_not_delivered_for_the_units_of_another():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    units = {f"{line}/1": (DELIVERED, "WH-1"), f"{line}/2": (DELIVERED, "T-2"), f"{line}/3": (SHIPPED, "T-3")}
    assert [step[1:] for step in planned(order, units)] == [((f"{line}/2",), ("T-2",), True, True)]


def test_what_goes_with_another_tracking_number_or_needs_no_courier_is_a_parcel_of_its_own():
    order = recorded("parcels")["order"]
    order["fulfillments"] = []
    (line,) = [row for row in order["items"] if row["id"] == recorded("parcels")["line"]]
    order["items"] = [line, line | {"id": "ordli_card", "requires_shipping": False}]
    units = {f"{line['id']}/1": (SHIPPED, "A"), f"{line['id']}/2": (SHIPPED, "B"), "ordli_card/1": (SHIPPED, "A")}
    assert sorted(step[1:3] for step in planned(order, units)) == sorted(
        [((f"{line['id']}/1",), ("A",)), ((f"{line['id']}/2",), ("B",)), (("ordli_card/1",), ("A",))]
    )


# Sending --------------------------------------------------------------------------------------------------------------


def test_several_stock_locations_have_to_be_chosen_from_before_anything_is_written():
    medusa = Answers(("GET", "/admin/stock-locations", {"stock_locations": [{"id": "sloc_1"}, {"id": "sloc_2"}]}))
    wanted = submission({"id": "order_1", "display_id": 1}, {"ordli_1/1": (SHIPPED, None)})
    with pytest.raises(ConfigurationError, match=r"settings\.location_id"):
        medusa.run(SendUpdatedOrders, "run", wanted)
    assert medusa.writes() == []


def test_a_500_fails_its_order_and_no_other():
    good = recorded("parcels")["order"]
    medusa = Answers(("GET", f"/admin/orders/{good['id']}", {"order": good}), ("GET", "/admin/orders/.*", FAILED))
    wanted = submission({"id": "order_bad", "display_id": 1}, {"ordli_1/1": (SHIPPED, None)})
    both = wanted.model_copy(update={"orders": [*wanted.orders, *submission(good, {}).orders]})
    answers = medusa.run(SendUpdatedOrders, "run", both, location_id="sloc_1").results
    assert [one.status for one in answers] == [FAIL, SUCCESS]


def test_a_refusal_of_what_is_done_meanwhile_is_a_success():
    found = recorded("parcels")
    before, after, line = found["order"], recorded("parcels")["order"], found["line"]
    before["fulfillments"] = [one for one in before["fulfillments"] if not one["metadata"]]
    states = iter([before, after])
    medusa = Answers(
        ("GET", "/admin/orders/.*", lambda query, sent: {"order": next(states)}),
        ("POST", ".*", (400, {"type": "not_allowed", "message": "Item is shipped"})),
    )
    units = {f"{line}/1": (SHIPPED, "WH-1"), f"{line}/3": (SHIPPED, "T-3")}
    (answer,) = medusa.run(SendUpdatedOrders, "run", submission(before, units), location_id="sloc_1").results
    assert answer.status is SUCCESS


def test_a_refusal_is_told_in_medusas_words():
    found = recorded("parcels")
    order = found["order"] | {"fulfillments": []}
    medusa = Answers(
        ("GET", "/admin/orders/.*", {"order": order}),
        ("POST", ".*", (400, {"type": "invalid_data", "message": "No stock reservation found"})),
    )
    wanted = submission(order, {f"{found['line']}/1": (SHIPPED, None)})
    (answer,) = medusa.run(SendUpdatedOrders, "run", wanted, location_id="sloc_1").results
    assert (answer.status, answer.message) == (FAIL, "No stock reservation found")


@pytest.mark.parametrize("is_sync", [True, False])
def test_nothing_is_under_way_any_more_when_the_sending_stops(is_sync):
    good = recorded("parcels")["order"]

    async def slowly(query, sent):
        await asyncio.sleep(0.2)
        return {"order": good}

    medusa = Answers(
        ("GET", "/admin/workflows-executions", {"workflow_executions": []}),
        ("GET", "/admin/orders/order_gone", (401, {"type": "unauthorized"})),
        ("GET", "/admin/orders/.*", slowly),
    )
    wanted = submission({"id": "order_gone", "display_id": 1}, {"ordli_1/1": (SHIPPED, None)}, is_sync=is_sync)
    both = wanted.model_copy(update={"orders": [*wanted.orders, *submission(good, {}).orders]})

    async def left():
        async with medusa.served() as url, connector(url, location_id="sloc_1") as opened:
            before = asyncio.all_tasks()
            with pytest.raises(ConfigurationError):
                await opened.command(SendUpdatedOrders).run(both)
            return {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}

    assert not {name for name in asyncio.run(left()) if name.startswith("MedusaSend")}


# Feeds ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "state"), [("invoking", FeedState.RUNNING), ("done", FeedState.DONE)])
def test_an_execution_is_a_verdict(name, state):
    feed = recorded("feed")
    medusa = Answers(("GET", "/admin/workflows-executions", {"workflow_executions": recorded(name)}))
    known, unknown = medusa.run(CheckOrders, "run", [feed, "nobody's/1"])
    assert (known.feed_id, known.state) == (feed, state)
    assert [one.status for one in known.results] == ([SUCCESS, FAIL] if state is FeedState.DONE else [])
    assert unknown.state is FeedState.UNKNOWN


@pytest.mark.parametrize("state", ["failed", "reverted"])
def test_an_execution_that_failed_or_tells_nothing_is_a_failed_feed(state):
    failed = recorded("done")[0] | {"state": state}
    silent = recorded("done")[0] | {"context": {"data": {"invoke": {}}}}
    for execution in (failed, silent):
        medusa = Answers(("GET", "/admin/workflows-executions", {"workflow_executions": [execution]}))
        (verdict,) = medusa.run(CheckOrders, "run", [recorded("feed")])
        assert (verdict.state, verdict.results) == (FeedState.FAILED, [])
        assert verdict.message


def test_executions_of_others_are_not_ours_even_where_medusa_lists_them():
    medusa = Answers(("GET", "/admin/workflows-executions", {"workflow_executions": recorded("done")}))
    assert medusa.run(SendUpdatedOrders, "find_submission", "another/1") is None
    assert medusa.run(SendUpdatedOrders, "find_submission", recorded("feed"), feed_workflow="another") is None
    assert medusa.run(SendUpdatedOrders, "find_submission", recorded("feed")).feed_ids == [recorded("feed")]


# Cancels --------------------------------------------------------------------------------------------------------------


def cancel_of(name, changed=None, **settings):
    found = recorded(name)
    record = {**found["order"], **(changed or {}), "changes": found["changes"]}
    return connector(**settings).command(GetCancelledOrders).normalize_response(record), found


def test_an_edit_takes_units_from_the_back_and_what_comes_back_later_is_another_unit():
    cancel, found = cancel_of("edited")  # two units less, and then as many as before
    line, placed = found["line"], found["placed"]
    assert cancel.reasons == {f"{line}/{n}": "order_edited" for n in (placed, placed - 1)}


def test_a_line_that_an_edit_took_whole_is_cancelled_whole():
    cancel, found = cancel_of("line_taken_back")
    assert sorted(cancel.cancel_items) == [f"{found['line']}/{n}" for n in range(1, found["placed"] + 1)]


def test_units_in_our_parcels_are_not_the_cancelled_ones():
    found = recorded("edited")
    line, placed = found["line"], found["placed"]
    parcel = next(one for one in recorded("parcels")["order"]["fulfillments"] if one["metadata"])
    ours = parcel | {"metadata": {UNITS: [f"{line}/{placed}"]}}
    cancel, _ = cancel_of("edited", {"fulfillments": [ours]})
    assert sorted(cancel.cancel_items) == [f"{line}/{n}" for n in (placed - 2, placed - 1)]


def test_the_shops_own_reason_is_taken_where_one_is_looked_for():
    given = {"metadata": {"why": "no_stock"}}
    cancel, _ = cancel_of("cancelled", given, cancel_reason_field="why")
    assert set(cancel.reasons.values()) == {"no_stock"}
    cancel, _ = cancel_of("cancelled", given)
    assert set(cancel.reasons.values()) == {"order_canceled"}


def test_changes_that_are_no_confirmed_edits_cancel_nothing():
    found = recorded("edited")
    wrong = [found["changes"][0] | {"status": "declined"}, found["changes"][1] | {"change_type": "return_receive"}]
    medusa = Answers(
        ("GET", "/admin/orders/[^/]*/changes", {"order_changes": wrong}),
        ("GET", "/admin/orders/.*", {"order": found["order"]}),
    )
    assert medusa.run(GetCancelledOrders, "get_by_key", found["order"]["id"]) is None


def test_an_order_whose_edits_can_not_be_read_is_a_bad_record_and_no_crash():
    found = recorded("edited")
    found["changes"][0]["actions"][0]["details"]["quantity_diff"] = "much"
    medusa = Answers(
        ("GET", "/admin/orders/[^/]*/changes", {"order_changes": found["changes"]}),
        ("GET", "/admin/orders", {"orders": [found["order"]], "count": 1}),
    )
    (record,) = medusa.read(GetCancelledOrders, CENTURY)
    with pytest.raises((RecordError, ValueError)):
        connector().command(GetCancelledOrders).normalize_response(record)


# Item updates ---------------------------------------------------------------------------------------------------------


def test_each_shipped_unit_is_news_with_its_own_time():
    found = recorded("parcels")
    order, line = found["order"], found["line"]
    queries = []
    medusa = Answers(
        ("GET", "/admin/orders", lambda query, sent: queries.append(query) or {"orders": [order], "count": 1})
    )
    window = Window(datetime.fromisoformat("2026-11-23T13:00:00.123456+03:00"), CENTURY.end)
    records = medusa.read(GetUpdatedOrderItems, window, sales_channels=["sc_1"])
    news = {one.remote_id: one for one in map(connector().command(GetUpdatedOrderItems).normalize_response, records)}
    assert {unit: (one.status, one.tracking_number) for unit, one in news.items()} == {
        f"{line}/1": (DELIVERED, "WH-1"),
        f"{line}/3": (SHIPPED, "T-3"),
    }
    times = {one.units[0]: one.delivered_at or one.shipped_at for one in parcels(order)}
    assert {unit: one.modified_at for unit, one in news.items()} == {unit: times[unit] for unit in news}
    assert queries[0]["updated_at[$gte]"] == "2026-11-23T10:00:00.124Z"
    assert queries[0].getall("sales_channel_id[]") == ["sc_1"]


def test_a_parcel_without_a_label_leaves_the_tracking_number_alone():
    order = recorded("parcels")["order"]
    for parcel in order["fulfillments"]:
        parcel["labels"] = []
    medusa = Answers(("GET", "/admin/orders", {"orders": [order], "count": 1}))
    news = map(connector().command(GetUpdatedOrderItems).normalize_response, medusa.read(GetUpdatedOrderItems, CENTURY))
    assert all("tracking_number" not in one.model_fields_set for one in news)


def test_an_order_whose_parcels_can_not_be_read_is_a_bad_record_and_no_crash():
    broken, sound = recorded("parcels")["order"], recorded("returns")["order"]
    broken["fulfillments"][0]["items"][0]["quantity"] = "some"
    medusa = Answers(("GET", "/admin/orders", {"orders": sorted((broken, sound), key=lambda o: o["id"]), "count": 2}))
    command = connector().command(GetUpdatedOrderItems)
    bad, good = [], []
    for record in medusa.read(GetUpdatedOrderItems, CENTURY):
        try:
            good.append(command.normalize_response(record))
        except RecordError:
            bad.append(record)
    assert [record["order_id"] for record in bad] == [broken["id"]]
    assert {one.order_remote_id for one in good} == {sound["id"]}


def test_a_unit_s_news_are_read_again_by_its_key():
    order = recorded("parcels")["order"]
    medusa = Answers(
        ("GET", "/admin/orders", {"orders": [order], "count": 1}),
        ("GET", f"/admin/orders/{order['id']}", {"order": order}),
    )
    command = connector().command(GetUpdatedOrderItems)
    records = medusa.read(GetUpdatedOrderItems, CENTURY)
    for record in records:
        assert medusa.run(GetUpdatedOrderItems, "get_by_key", command.key_of(record)) == record
    assert medusa.run(GetUpdatedOrderItems, "get_by_key", f"{order['id']}|never/9") is None
    assert medusa.run(GetUpdatedOrderItems, "get_by_key", "order_unknown|x/1") is None


# Returns --------------------------------------------------------------------------------------------------------------


def test_returns_take_shipped_units_from_the_back_and_never_each_others():
    found = recorded("returns")
    order, line, returns = found["order"], found["line"], found["returns"]
    units = units_of_returns(order, returns)
    cancelled, both, last = (units[one["items"][0]["id"]] for one in returns)
    assert cancelled == [f"{line}/2"]  # two units were shipped then
    assert both == [f"{line}/2", f"{line}/1"]  # it was cancelled by then
    assert last == [f"{line}/3"]  # shipped later


def test_the_units_of_a_return_stay_whatever_happens_later():
    found = recorded("returns")
    order, returns = found["order"], found["returns"]
    before = units_of_returns(order, returns)
    returns[1]["canceled_at"] = (datetime.fromisoformat(order["updated_at"]) + timedelta(days=1)).isoformat()
    assert units_of_returns(order, returns[::-1]) == before


def test_a_return_that_the_shop_opened_first_and_requested_last_comes_last():
    found = recorded("returns")
    order, line = found["order"], found["line"]
    _, both, last = found["returns"]
    both["requested_at"], last["requested_at"] = last["requested_at"], both["requested_at"]
    units = units_of_returns(order, [both, last])
    assert units[last["items"][0]["id"]] == [f"{line}/2"]
    assert units[both["items"][0]["id"]] == [f"{line}/3", f"{line}/1"]
    last["status"] = "open"
    assert last["items"][0]["id"] not in units_of_returns(order, [both, last])


def returns_of(found, returns=None):
    return Answers(
        ("GET", "/admin/returns", lambda query, sent: page_of(returns or found["returns"], query)),
        ("GET", "/admin/orders/.*", {"order": found["order"]}),
        ("GET", f"/admin/returns/{found['returns'][1]['id']}", {"return": found["returns"][1]}),
        ("GET", f"/admin/returns/{found['returns'][0]['id']}", {"return": found["returns"][0]}),
    )


def page_of(returns, query):
    left = [one for one in returns if one["created_at"] >= query.get("created_at[$gte]", "")]
    return {"returns": left[: int(query["limit"])], "count": len(left)}


@pytest.mark.parametrize("page_size", [2, 3, 100])
def test_every_requested_return_is_read_once_even_where_medusa_ignores_the_status(page_size):
    found = recorded("returns")
    records = returns_of(found).read(GetCancellationRequests, CENTURY, page_size=page_size)
    command = connector().command(GetCancellationRequests)
    requests = [command.normalize_response(record) for record in records]
    line = found["line"]
    assert [one.order_item for one in requests] == [f"{line}/2", f"{line}/1", f"{line}/3"]
    assert [one.reason for one in requests] == ["kusurlu", "kusurlu", "beden"]
    assert {one.cancellation_type for one in requests} == {CancellationType.REFUND}
    assert len({command.key_of(record) for record in records}) == len(records)


def test_a_page_of_returns_that_comes_again_stops_the_run():
    found = recorded("returns")
    medusa = returns_of(found)
    medusa.routes.insert(0, Answers(("GET", "/admin/returns", {"returns": found["returns"][:1], "count": 9})).routes[0])
    with pytest.raises(ContractError, match="repeats"):
        medusa.read(GetCancellationRequests, CENTURY)


def test_a_request_is_read_again_by_its_key_while_it_waits():
    found = recorded("returns")
    medusa = returns_of(found)
    records = medusa.read(GetCancellationRequests, CENTURY)
    key = connector().command(GetCancellationRequests).key_of(records[0])
    assert medusa.run(GetCancellationRequests, "get_by_key", key) == records[0]
    gone = f"{found['returns'][0]['id']}:{found['returns'][0]['items'][0]['id']}|{found['line']}/2"
    assert medusa.run(GetCancellationRequests, "get_by_key", gone) is None
    assert medusa.run(GetCancellationRequests, "get_by_key", "return_unknown:x|y/1") is None


@pytest.mark.parametrize("broken", ["order_id", "items"])
def test_a_return_that_can_not_be_read_is_a_bad_record_and_stops_no_other(broken):
    found = recorded("returns")
    good, order = found["returns"][1], found["order"]
    bad = good | {"id": "return_bad", "order_id": "order_other"} | {broken: None}
    medusa = Answers(
        ("GET", "/admin/returns", lambda query, sent: page_of([good, bad], query)),
        ("GET", f"/admin/orders/{order['id']}", {"order": order}),
        ("GET", "/admin/orders/order_other", {"order": order | {"id": "order_other"}}),
    )
    command = connector().command(GetCancellationRequests)
    *others, unreadable = medusa.read(GetCancellationRequests, CENTURY)
    assert [command.normalize_response(one).order_item for one in others] == [f"{found['line']}/{n}" for n in (2, 1)]
    assert unreadable["remote_id"].startswith("return_bad:")
    with pytest.raises(RecordError):
        command.normalize_response(unreadable)


def test_returns_of_other_sales_channels_are_not_ours():
    assert returns_of(recorded("returns")).read(GetCancellationRequests, CENTURY, sales_channels=["sc_other"]) == []


def test_a_return_without_a_reason_has_a_code_that_can_be_mapped():
    found = recorded("returns")
    for one in found["returns"]:
        one["items"][0] |= {"reason": None, "note": None}
    records = returns_of(found).read(GetCancellationRequests, CENTURY)
    request = connector().command(GetCancellationRequests).normalize_response(records[0])
    assert (request.reason, request.description) == ("return", "")


# Decisions ------------------------------------------------------------------------------------------------------------


def decided(found, *statuses):
    """Decisions on the units of the second recorded return."""
    return_ = found["returns"][1]
    return [
        ChannelCancellationRequestDto(
            cancellation_type=CancellationType.REFUND,
            status=status,
            order_item=f"{found['line']}/{number}",
            reason="kusurlu",
            description=None,
            remote_id=f"{return_['id']}:{return_['items'][0]['id']}",
        )
        for number, status in zip((2, 1), statuses, strict=True)
    ]


def decision_server(found, changes=()):
    """Medusa with the second recorded return, of which everything is received that can be."""
    return_, summary = found["returns"][1], found["payments"]["summary"]
    value = line_value(found, 2)

    def confirm(query, sent):
        return_["status"], return_["items"][0]["received_quantity"] = "received", 2
        summary["raw_current_order_total"]["value"] = str(exact(summary, "transaction_total") - value)
        return {}

    def order(query, sent):
        return {"order": found["placed"] if query.get("version") == "1" else found["payments"]}

    def refund(query, sent):
        made = {"amount": sent["amount"], "raw_amount": {"value": str(sent["amount"])}, "note": sent["note"]}
        found["payments"]["payment_collections"][0]["payments"][0]["refunds"].append(made)
        return {}

    return Answers(
        ("GET", f"/admin/returns/{return_['id']}", lambda query, sent: {"return": return_}),
        ("GET", "/admin/orders/[^/]*/changes", {"order_changes": list(changes)}),
        ("GET", "/admin/orders/.*", order),
        ("POST", ".*/receive/confirm", confirm),
        ("POST", ".*/refund", refund),
        ("POST", ".*", {}),
        ("DELETE", ".*", {}),
    )


def line_value(found, units):
    (line,) = [line for line in found["placed"]["items"] if line["id"] == found["line"]]
    return exact(line, "total") / int(line["quantity"]) * units


def test_both_units_are_paid_back_as_imported_and_not_a_second_time():
    found = recorded("returns")
    medusa = decision_server(found)
    for _ in range(2):
        (answer,) = medusa.run(UpdateCancellationRequest, "run", decided(found, ACCEPTED, ACCEPTED))
        assert (answer.status, answer.message) == (SUCCESS, "")
    assert [name for name, _ in medusa.writes()] == ["receive", "receive-items", "confirm", "refund"]
    refund = medusa.writes()[-1][1]
    assert refund["note"] == f"return {found['returns'][1]['id']}"
    assert abs(refund["amount"] - rounded(line_value(found, 2), Decimal("0.01"))) <= Decimal("0.01")
    assert medusa.writes()[1][1] == {"items": [{"id": found["line"], "quantity": 2}]}


@pytest.mark.parametrize("stranger", ["{line}", "{line}/0", "{line}/99", "ordli_other/1"])
def test_what_is_no_unit_of_the_order_is_refused_before_anything_is_received(stranger):
    found = recorded("returns")
    medusa = decision_server(found)
    both = decided(found, ACCEPTED, ACCEPTED)
    both[0] = both[0].model_copy(update={"order_item": stranger.format(line=found["line"])})
    (answer,) = medusa.run(UpdateCancellationRequest, "run", both)
    assert (answer.status, medusa.writes()) == (FAIL, [])
    assert "no unit of this order" in answer.message


def test_what_somebody_paid_back_by_hand_is_not_paid_back_again():
    found = recorded("returns")
    medusa = decision_server(found)
    found["returns"][1]["status"] = "received"
    found["returns"][1]["items"][0]["received_quantity"] = 2
    (answer,) = medusa.run(UpdateCancellationRequest, "run", decided(found, ACCEPTED, ACCEPTED))
    assert (answer.status, medusa.writes()) == (SUCCESS, [])


def test_nothing_is_told_before_all_units_are_decided():
    found = recorded("returns")
    medusa = decision_server(found)
    for decisions in (decided(found, ACCEPTED, WAITING), decided(found, ACCEPTED, ACCEPTED)[:1]):
        (answer,) = medusa.run(UpdateCancellationRequest, "run", decisions)
        assert (answer.status, medusa.writes()) == (SUCCESS, [])


def begun(found, description, units):
    return_ = found["returns"][1]
    details = {"reference_id": found["line"], "quantity": units}
    actions = [{"action": "RECEIVE_RETURN_ITEM", "details": details}] if units else []
    change = {"change_type": "return_receive", "status": "pending", "return_id": return_["id"]}
    return change | {"description": description, "actions": actions}


@pytest.mark.parametrize(
    ("units", "expected"),
    [(0, ["receive-items", "confirm"]), (2, ["confirm"]), (1, ["receive", "receive", "receive-items", "confirm"])],
)
def test_a_begun_receive_of_ours_is_finished_or_begun_anew(units, expected):
    found = recorded("returns")
    medusa = decision_server(found, [begun(found, "omnitron", units)])
    medusa.run(UpdateCancellationRequest, "run", decided(found, ACCEPTED, ACCEPTED))
    assert [name for name, _ in medusa.writes()] == [*expected, "refund"]


def test_a_500_is_a_failure_of_this_return_and_not_tried_for_ever():
    found = recorded("returns")
    medusa = decision_server(found)
    medusa.routes.insert(0, Answers(("POST", ".*/receive", FAILED)).routes[0])
    (answer,) = medusa.run(UpdateCancellationRequest, "run", decided(found, ACCEPTED, ACCEPTED))
    assert answer.status is FAIL
    assert [name for name, _ in medusa.writes()] == ["receive"]


def test_a_rejected_returns_courier_is_told_first():
    found = recorded("returns")
    medusa = decision_server(found)
    (answer,) = medusa.run(UpdateCancellationRequest, "run", decided(found, REJECTED, REJECTED))
    posted = [path for method, path, _ in medusa.calls if method == "POST"]
    assert answer.status is SUCCESS
    assert posted == [
        f"/admin/fulfillments/{found['returns'][1]['fulfillments'][0]['id']}/cancel",
        f"/admin/returns/{found['returns'][1]['id']}/cancel",
    ]


def test_a_return_that_medusa_does_not_know_fails():
    found = recorded("returns")
    (answer,) = Answers().run(UpdateCancellationRequest, "run", decided(found, ACCEPTED, ACCEPTED))
    assert (answer.status, answer.message) == (FAIL, "Medusa has no such return")
    assert Answers().run(UpdateCancellationRequest, "answered_together", "return_1:x") == ["return_1:x"]
