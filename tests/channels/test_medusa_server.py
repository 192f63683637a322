"""All commands against a real Medusa server: what they read, what they do, and what is left when they are killed."""

import asyncio

import psycopg
import pytest

from order_integration.channels.commands import (
    CheckOrders,
    GetCancellationRequests,
    GetCancelledOrders,
    GetOrders,
    SendUpdatedOrders,
    UpdateCancellationRequest,
)
from order_integration.dto import (
    CancellationType,
    ChannelCancellationRequestDto,
    FeedState,
    OrderState,
    OrderStatus,
    ResponseStatus,
)
from sandbox.medusa import aftersales
from tests.channels.medusa_kit import CENTURY, read_all
from tests.channels.medusa_stand import Stand, submission

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]

PLACED = 33  # an order for each of the tests below
SHIPPED, DELIVERED, APPROVED = OrderStatus.SHIPPED, OrderStatus.DELIVERED, OrderStatus.APPROVED
ACCEPTED, REJECTED, WAITING = "completed", "rejected", "confirmation_waiting"

# What Medusa's own tables say a line costs; noise beyond nine digits is dropped before the half is looked for.
EXPECTED_LINES = """
SELECT line, variant, units, rate, round(round(gross, 9), 2), round(round(gross - discount, 9), 2)
FROM (
  SELECT li.id AS line, li.variant_id AS variant, oi.quantity::int AS units, tax.rate AS rate,
         oi.quantity * coalesce(oi.unit_price, li.unit_price)
           * CASE WHEN li.is_tax_inclusive THEN 1 ELSE 1 + tax.rate / 100 END AS gross,
         coalesce((SELECT sum(a.amount * CASE WHEN a.is_tax_inclusive THEN 1 ELSE 1 + tax.rate / 100 END)
                   FROM order_line_item_adjustment a
                   WHERE a.item_id = li.id AND a.version = 1 AND a.deleted_at IS NULL), 0) AS discount
  FROM "order" o
  JOIN order_item oi ON oi.order_id = o.id AND oi.version = 1 AND oi.deleted_at IS NULL
  JOIN order_line_item li ON li.id = oi.item_id
  CROSS JOIN LATERAL (SELECT coalesce(sum(t.rate), 0) AS rate FROM order_line_item_tax_line t
                      WHERE t.item_id = li.id AND t.deleted_at IS NULL) tax
) lines ORDER BY line
"""


@pytest.fixture(scope="module")
def stand(medusa):
    stand = Stand(medusa(PLACED))
    yield stand
    stand.close()


# Flow 1 ---------------------------------------------------------------------------------------------------------------


def test_every_order_arrives_with_the_amounts_of_medusas_tables(stand):
    order, line = stand.take(units=2)
    aftersales.take_back(stand.admin, order["id"], line["id"], 1)

    async def read():
        async with stand.connector(page_size=5) as opened:
            command = opened.command(GetOrders)
            return [command.normalize_response(order) for page in await read_all(opened, CENTURY) for order in page]

    orders = asyncio.run(read())
    with psycopg.connect(stand.said["database_url"]) as database:
        expected = database.execute(EXPECTED_LINES).fetchall()
        known = {row[0] for row in database.execute('SELECT id FROM "order"')}
    assert len(orders) == len(known)
    assert {dto.order.remote_id for dto in orders} == known
    lines = [figures_of(dto, line) for dto in orders for line in {item.line for item in dto.order_item}]
    assert sorted(lines) == expected


def figures_of(dto, line):
    units = [item for item in dto.order_item if item.line == line]
    gross = sum(unit.price for unit in units)
    paid = gross - sum(unit.discount_amount for unit in units)
    return (line, units[0].product, len(units), units[0].tax_rate, gross, paid)


@pytest.mark.parametrize("left", [1, 0])
def test_an_order_that_was_edited_is_imported_as_it_was_placed(stand, left):
    order, line = stand.take(units=2)
    (before,) = stand.read("orders", order)
    aftersales.take_back(stand.admin, order["id"], line["id"], left)
    (after,) = stand.read("orders", order)
    again = stand.run(GetOrders, "get_by_key", order["id"])
    assert after.fingerprint() == before.fingerprint()
    assert after.order_item == before.order_item
    assert stand.connector().command(GetOrders).normalize_response(again).fingerprint() == before.fingerprint()


def states(stand, order):
    """By its window and by its key."""

    async def read():
        async with stand.connector() as opened:
            command = opened.command(GetOrders)
            rows = [row for page in await read_all(opened, CENTURY) for row in page if row["id"] == order["id"]]
            return {command.order_state(row) for row in (*rows, await command.get_by_key(order["id"]))}

    return asyncio.run(read())


def test_an_order_says_how_far_it_is(stand):
    order, line = stand.take(units=2)
    units = {row["id"]: int(row["quantity"]) for row in order["items"]}
    assert states(stand, order) == {OrderState.OPEN}
    first = stand.shipped(order, {line["id"]: 1})
    assert states(stand, order) == {OrderState.OPEN}
    rest = {name: many - (name == line["id"]) for name, many in units.items() if many > (name == line["id"])}
    second = stand.shipped(order, rest)
    assert states(stand, order) == {OrderState.SHIPPED}
    for parcel in (first, second):
        aftersales.deliver(stand.admin, order["id"], parcel)
    assert states(stand, order) == {OrderState.DELIVERED}


def test_a_cancelled_order_is_cancelled_as_a_whole_and_a_cancelled_unit_is_not_waited_for(stand):
    order, line = stand.take(units=2)
    aftersales.cancel_order(stand.admin, order["id"])
    assert states(stand, order) == {OrderState.CANCELLED}
    order, line = stand.take(units=2)
    aftersales.take_back(stand.admin, order["id"], line["id"], 1)
    stand.shipped(order, {**{row["id"]: int(row["quantity"]) for row in order["items"]}, line["id"]: 1})
    assert states(stand, order) == {OrderState.SHIPPED}


# Flow 4 ---------------------------------------------------------------------------------------------------------------


def test_a_cancelled_order_is_cancelled_whole(stand):
    order, line = stand.take(units=2)
    aftersales.take_back(stand.admin, order["id"], line["id"], int(line["quantity"]) - 1)
    aftersales.cancel_order(stand.admin, order["id"])
    (cancel,) = stand.read("cancels", order)
    last = f"{line['id']}/{line['quantity']}"
    assert set(cancel.cancel_items) == all_units(order)
    assert cancel.reasons == {unit: "order_edited" if unit == last else "order_canceled" for unit in all_units(order)}
    record = stand.run(GetCancelledOrders, "get_by_key", order["id"])
    assert stand.connector().command(GetCancelledOrders).normalize_response(record) == cancel


def test_edits_tell_all_that_they_took_so_far_from_the_back(stand):
    order, line = stand.take(units=3)
    units = int(line["quantity"])
    aftersales.take_back(stand.admin, order["id"], line["id"], units - 1)
    (first,) = stand.read("cancels", order)
    aftersales.take_back(stand.admin, order["id"], line["id"], units - 2)
    (second,) = stand.read("cancels", order)
    assert first.cancel_items == [f"{line['id']}/{units}"]
    assert sorted(second.cancel_items) == sorted(f"{line['id']}/{n}" for n in (units, units - 1))
    assert second.modified_at > first.modified_at


def test_an_order_of_which_nothing_is_cancelled_is_none(stand):
    order, line = stand.take()
    stand.shipped(order, {line["id"]: 1})
    assert stand.read("cancels", order) == []
    assert stand.run(GetCancelledOrders, "get_by_key", order["id"]) is None
    assert stand.run(GetCancelledOrders, "get_by_key", "order_unknown") is None


# Flow 2 ---------------------------------------------------------------------------------------------------------------


def sent(stand, order, units, **options):
    (answer,) = stand.run(SendUpdatedOrders, "run", submission(order, units, **options)).results
    return answer


def test_shipments_and_deliveries_arrive_once(stand):
    order, line = stand.take(units=2)
    first, second = (f"{line['id']}/{n}" for n in (1, 2))
    wanted = {first: (SHIPPED, "T-1"), second: (APPROVED, None)}
    assert sent(stand, order, wanted).status is ResponseStatus.SUCCESS
    after = stand.state(order)
    assert [(one["labels"][0]["tracking_number"], one["metadata"]) for one in after["fulfillments"]] == [
        ("T-1", {"omnitron_units": [first]})
    ]
    assert sent(stand, order, wanted).status is ResponseStatus.SUCCESS
    assert stand.state(order)["version"] == after["version"]

    wanted = {first: (DELIVERED, "T-1"), second: (SHIPPED, "T-2")}
    assert sent(stand, order, wanted).status is ResponseStatus.SUCCESS
    parcels = {one["labels"][0]["tracking_number"]: one for one in stand.state(order)["fulfillments"]}
    assert {number: bool(one["delivered_at"]) for number, one in parcels.items()} == {"T-1": True, "T-2": False}


@pytest.mark.parametrize("writes", [1, 2, 3])
def test_a_shipment_that_was_killed_between_two_calls_goes_on(stand, writes):
    order, line = stand.take(units=2)
    wanted = submission(order, {f"{line['id']}/2": (DELIVERED, "T-9")})
    assert stand.killed_after(writes, SendUpdatedOrders, "run", wanted)
    (answer,) = stand.run(SendUpdatedOrders, "run", wanted).results
    (parcel,) = stand.state(order)["fulfillments"]
    assert answer.status is ResponseStatus.SUCCESS
    assert parcel["delivered_at"]
    assert [label["tracking_number"] for label in parcel["labels"]] == ["T-9"]
    assert [(item["line_item_id"], item["quantity"]) for item in parcel["items"]] == [(line["id"], 1)]
    assert [(one.remote_id, one.status) for one in stand.read("items", order)] == [(f"{line['id']}/2", DELIVERED)]


def test_what_the_warehouse_packed_is_shipped_and_not_packed_again(stand):
    order, line = stand.take(units=2)
    parcel = aftersales.pack(stand.admin, order["id"], {line["id"]: 1}, stand.said["location_id"])
    assert sent(stand, order, {f"{line['id']}/2": (SHIPPED, "T-3")}).status is ResponseStatus.SUCCESS
    (one,) = stand.state(order)["fulfillments"]
    assert (one["id"], bool(one["shipped_at"])) == (parcel, True)


def test_an_order_that_medusa_refuses_fails_alone(stand):
    order, line = stand.take()
    refused, other = stand.take()
    aftersales.cancel_order(stand.admin, refused["id"])
    good = submission(order, {f"{line['id']}/1": (SHIPPED, "T-4")})
    bad = submission(refused, {f"{other['id']}/1": (SHIPPED, "T-5")})
    unknown = submission({"id": "order_unknown", "display_id": 0}, {"ordli_1/1": (SHIPPED, None)})
    three = good.model_copy(update={"orders": [*bad.orders, *unknown.orders, *good.orders]})
    answers = stand.run(SendUpdatedOrders, "run", three).results
    assert [one.status for one in answers] == [ResponseStatus.FAIL, ResponseStatus.FAIL, ResponseStatus.SUCCESS]
    assert "cancel" in answers[0].message
    assert "no such order" in answers[1].message


# Flow 3 ---------------------------------------------------------------------------------------------------------------


def verdict_of(stand, feed):
    async def wait():
        async with stand.connector() as opened:
            command = opened.command(CheckOrders)
            while True:
                (verdict,) = await command.run([feed])
                if verdict.state is not FeedState.RUNNING:
                    return verdict
                await asyncio.sleep(0.2)

    return asyncio.run(wait())


def test_a_feed_is_given_once_and_tells_of_each_order(stand):
    order, line = stand.take()
    reference = f"feed-{order['id']}/1"
    wanted = submission(order, {f"{line['id']}/1": (DELIVERED, "T-6")}, reference, is_sync=False)
    unknown = submission({"id": "order_unknown", "display_id": 0}, {"ordli_1/1": (SHIPPED, None)})
    both = wanted.model_copy(update={"orders": [*wanted.orders, *unknown.orders]})
    assert stand.run(SendUpdatedOrders, "find_submission", reference) is None
    submitted = stand.run(SendUpdatedOrders, "run", both)
    assert (submitted.feed_ids, submitted.results) == ([reference], [])
    verdict = verdict_of(stand, reference)
    assert verdict.state is FeedState.DONE
    assert {one.remote_id: one.status for one in verdict.results} == {
        order["id"]: ResponseStatus.SUCCESS,
        "order_unknown": ResponseStatus.FAIL,
    }
    after = stand.state(order)
    assert [bool(one["delivered_at"]) for one in after["fulfillments"]] == [True]

    assert stand.run(SendUpdatedOrders, "run", both) == submitted
    assert stand.run(SendUpdatedOrders, "find_submission", reference) == submitted
    assert stand.state(order)["version"] == after["version"]


def test_an_unknown_feed_is_said_to_be_one(stand):
    (verdict,) = stand.run(CheckOrders, "run", ["nobody's/1"])
    assert verdict.state is FeedState.UNKNOWN


def test_without_the_workflow_a_feed_is_answered_at_once(stand):
    order, line = stand.take()
    wanted = submission(order, {f"{line['id']}/1": (SHIPPED, "T-7")}, is_sync=False)
    submitted = stand.run(SendUpdatedOrders, "run", wanted, feed_workflow="nobody-has-it")
    assert [one.status for one in submitted.results] == [ResponseStatus.SUCCESS]
    assert submitted.feed_ids == []


# Flow 5 ---------------------------------------------------------------------------------------------------------------


def test_the_warehouses_parcels_take_units_from_the_front(stand):
    order, line = stand.take(units=3)
    first = stand.shipped(order, {line["id"]: 2}, "WH-1")
    aftersales.deliver(stand.admin, order["id"], first)
    packed = aftersales.pack(stand.admin, order["id"], {line["id"]: 1}, stand.said["location_id"])
    news = {one.remote_id: one for one in stand.read("items", order)}
    assert {unit: (one.status, one.tracking_number) for unit, one in news.items()} == {
        f"{line['id']}/{n}": (DELIVERED, "WH-1") for n in (1, 2)
    }
    aftersales.cancel_parcel(stand.admin, order["id"], packed)
    assert set(news) == {one.remote_id for one in stand.read("items", order)}
    one = news[f"{line['id']}/1"]
    assert (one.order_remote_id, one.order_number) == (order["id"], f"MD-{order['display_id']}")


# Flows 6 and 7 --------------------------------------------------------------------------------------------------------


def decided(requests, *statuses):
    return [
        ChannelCancellationRequestDto(
            cancellation_type=CancellationType.REFUND,
            status=status,
            order_item=request.order_item,
            reason=request.reason,
            description=None,
            remote_id=request.remote_id,
        )
        for request, status in zip(requests, statuses, strict=True)
    ]


def refunds_of(stand, order):
    answer = stand.admin.get(
        f"/admin/orders/{order['id']}", fields="*payment_collections.payments,*payment_collections.payments.refunds"
    )
    payments = [one for collection in answer["order"]["payment_collections"] for one in collection["payments"]]
    return [back["amount"] for one in payments for back in one["refunds"]]


def returned(stand, units=2, *, paid=True, **options):
    """A paid and shipped order of which `units` units of a line shall come back."""
    order, line = stand.take(units=units)
    if paid:
        aftersales.capture(stand.admin, order["id"])
    stand.shipped(order, {line["id"]: units})
    stand.open_return(order, {line["id"]: units}, **options)
    return order, line, sorted(stand.read("requests", order), key=lambda one: one.order_item)


def return_of(stand, order):
    (found,) = stand.admin.get("/admin/returns", order_id=order["id"], fields="*items")["returns"]
    return found["status"], sum(item["received_quantity"] for item in found["items"])


def test_a_return_is_a_request_for_each_of_its_shipped_units(stand):
    _, line, (first, second) = returned(stand, reason="kusurlu", note="çizik")
    assert [one.order_item for one in (first, second)] == [f"{line['id']}/{n}" for n in (1, 2)]
    assert first.remote_id == second.remote_id
    assert (first.reason, first.description, first.cancellation_type) == ("kusurlu", "çizik", "refund")
    key = f"{first.remote_id}|{first.order_item}"
    record = stand.run(GetCancellationRequests, "get_by_key", key)
    assert stand.connector().command(GetCancellationRequests).normalize_response(record) == first
    stand.run(UpdateCancellationRequest, "run", decided((first, second), REJECTED, REJECTED))
    assert stand.run(GetCancellationRequests, "get_by_key", key) is None


def test_a_later_return_takes_other_units(stand):
    order, line = stand.take(units=3)
    stand.shipped(order, {line["id"]: 3})
    stand.open_return(order, {line["id"]: 1})
    stand.open_return(order, {line["id"]: 2})
    taken = [one.order_item for one in stand.read("requests", order)]
    assert taken == [f"{line['id']}/{n}" for n in (3, 2, 1)]


def test_a_return_waits_until_all_of_its_units_are_decided(stand):
    order, _, requests = returned(stand)
    together = stand.run(UpdateCancellationRequest, "answered_together", requests[0].remote_id)
    assert together == [requests[0].remote_id]
    (answer,) = stand.run(UpdateCancellationRequest, "run", decided(requests, ACCEPTED, WAITING))
    assert answer.status is ResponseStatus.SUCCESS
    assert return_of(stand, order) == ("requested", 0)


@pytest.mark.parametrize("writes", [1, 2, 3, 4])
def test_an_accepted_return_that_was_killed_between_two_calls_is_received_and_paid_back_once(stand, writes):
    order, line, requests = returned(stand)
    (placed,) = stand.read("orders", order)
    value = sum(one.price - one.discount_amount for one in placed.order_item if one.remote_id == f"{line['id']}/1")
    both = decided(requests, ACCEPTED, REJECTED)
    assert stand.killed_after(writes, UpdateCancellationRequest, "run", both)
    for _ in range(2):
        (answer,) = stand.run(UpdateCancellationRequest, "run", both)
        assert (answer.status, answer.message) == (ResponseStatus.SUCCESS, "")
    assert return_of(stand, order) == ("partially_received", 1)
    assert refunds_of(stand, order) == [float(value)]


def test_a_whole_return_is_received_and_paid_back_to_the_last_kurus(stand):
    order, _, requests = returned(stand)
    (placed,) = stand.read("orders", order)
    wanted = {one.order_item for one in requests}
    value = sum(one.price - one.discount_amount for one in placed.order_item if one.remote_id in wanted)
    (answer,) = stand.run(UpdateCancellationRequest, "run", decided(requests, ACCEPTED, ACCEPTED))
    assert answer.status is ResponseStatus.SUCCESS
    assert return_of(stand, order) == ("received", 2)
    assert refunds_of(stand, order) == [float(value)]
    (late,) = stand.run(UpdateCancellationRequest, "run", decided(requests, REJECTED, REJECTED))
    assert late.status is ResponseStatus.FAIL


def test_what_was_never_paid_is_received_and_not_paid_back(stand):
    order, _, requests = returned(stand, paid=False)
    (answer,) = stand.run(UpdateCancellationRequest, "run", decided(requests, ACCEPTED, ACCEPTED))
    assert answer.status is ResponseStatus.SUCCESS
    assert return_of(stand, order) == ("received", 2)
    assert refunds_of(stand, order) == []


@pytest.mark.parametrize("writes", [1, 2])
def test_a_rejected_return_that_was_killed_between_two_calls_is_cancelled(stand, writes):
    order, _, requests = returned(stand)
    no = decided(requests, REJECTED, REJECTED)
    assert stand.killed_after(writes, UpdateCancellationRequest, "run", no)
    (answer,) = stand.run(UpdateCancellationRequest, "run", no)
    assert answer.status is ResponseStatus.SUCCESS
    assert return_of(stand, order) == ("canceled", 0)
    (late,) = stand.run(UpdateCancellationRequest, "run", decided(requests, ACCEPTED, ACCEPTED))
    assert late.status is ResponseStatus.FAIL


def test_what_a_person_has_begun_to_receive_is_left_to_that_person(stand):
    order, _, requests = returned(stand)
    return_ = requests[0].remote_id.partition(":")[0]
    stand.admin.post(f"/admin/returns/{return_}/receive")
    yes = decided(requests, ACCEPTED, ACCEPTED)
    (answer,) = stand.run(UpdateCancellationRequest, "run", yes)
    assert (answer.status, return_of(stand, order)) == (ResponseStatus.FAIL, ("requested", 0))


def all_units(order):
    return {f"{line['id']}/{n}" for line in order["items"] for n in range(1, int(line["quantity"]) + 1)}
