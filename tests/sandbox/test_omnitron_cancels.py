import pytest


def cancel(omnitron, order, items, **own):
    body = {"order": order["pk"], "cancel_items": items, "reasons": {str(pk): 1 for pk in items}, **own}
    return omnitron.add(f"orders/{order['pk']}/cancel", **body)


def statuses(omnitron, order):
    return [item["status"] for item in omnitron.rows("order_items", order=order["pk"], sort="id")]


def test_cancelled_items_wait_until_the_plan_is_carried_out(omnitron):
    order, items = omnitron.order()

    answer = cancel(omnitron, order, [items[0]["pk"]])
    waiting = statuses(omnitron, order)
    omnitron.post(f"/admin/orders/{order['pk']}/plan/complete")

    assert answer.status_code == 200
    assert (answer.json()["pk"], answer.json()["cancel_status"]) == (order["pk"], "waiting")
    assert answer.json()["modified_date"] > order["modified_date"]
    assert waiting == ["50", "400"]
    assert statuses(omnitron, order) == ["100", "400"]


def test_shipped_items_become_refunded(omnitron):
    order, items = omnitron.order()
    for item in items:
        omnitron.change(f"order_items/{item['pk']}", status="550")

    reasons = {str(item["pk"]): 1 for item in items}
    assert cancel(omnitron, order, [], is_all=True, reasons=reasons).status_code == 200
    omnitron.post(f"/admin/orders/{order['pk']}/plan/complete")

    assert statuses(omnitron, order) == ["600", "600"]
    assert omnitron.rows("orders", number="N1")[0]["status"] == "600"


def test_a_second_cancel_waits_for_the_first_plan(omnitron):
    order, items = omnitron.order()
    cancel(omnitron, order, [items[0]["pk"]])

    early = cancel(omnitron, order, [items[1]["pk"]])
    omnitron.post(f"/admin/orders/{order['pk']}/plan/complete")
    late = cancel(omnitron, order, [items[1]["pk"]])

    assert (early.status_code, early.json()["code"]) == (406, "order_cancel_100_1")
    assert late.status_code == 200


def test_a_cancelled_item_is_not_cancelled_again(omnitron):
    order, items = omnitron.order()
    cancel(omnitron, order, [items[0]["pk"]])
    omnitron.post(f"/admin/orders/{order['pk']}/plan/complete")

    answer = cancel(omnitron, order, [item["pk"] for item in items])

    assert answer.status_code == 406
    assert statuses(omnitron, order) == ["100", "400"]


def test_parameters_that_exclude_each_other_are_refused(omnitron):
    order, items = omnitron.order()

    both = cancel(omnitron, order, [items[0]["pk"]], is_all=True)
    amounts = cancel(omnitron, order, [items[0]["pk"]], is_cargo_refund=True, forced_refund_amount="1.00")

    assert [answer.json()["code"] for answer in (both, amounts)] == ["order_cancel_100_2"] * 2


def test_cancel_and_refund_do_not_mix(omnitron):
    order, items = omnitron.order()
    omnitron.change(f"order_items/{items[0]['pk']}", status="500")

    assert cancel(omnitron, order, [item["pk"] for item in items]).json()["code"] == "order_cancel_100_2"


@pytest.mark.parametrize(("reason", "status"), [(None, 406), (99, 400), ("x", 400)])
def test_every_item_needs_a_reason_that_exists(omnitron, reason, status):
    order, items = omnitron.order()

    answer = cancel(omnitron, order, [items[0]["pk"]], reasons={str(items[0]["pk"]): reason})

    assert answer.status_code == status
    assert statuses(omnitron, order) == ["400", "400"]


def test_an_unknown_order_or_a_strangers_item_is_refused(omnitron):
    order, _ = omnitron.order("N1")
    _, strangers = omnitron.order("N2")

    assert cancel(omnitron, {"pk": 5}, []).status_code == 404
    assert cancel(omnitron, order, [strangers[0]["pk"]]).status_code == 400
    wrong = {"order": order["pk"] + 1, "is_all": True, "reasons": {}}
    assert omnitron.add(f"orders/{order['pk']}/cancel", **wrong).status_code == 400


def test_a_cancellation_request_is_created_without_its_remote_id(omnitron):
    _, items = omnitron.order()

    made = omnitron.made("cancellation_requests", order_item=items[0]["pk"], reason=1, remote_id="Q1", description="x")

    assert (made["status"], made["cancellation_type"]) == ("waiting_approval", "cancel")
    assert "remote_id" not in made
    assert omnitron.get(f"{omnitron.channel}/cancellation_requests/{made['pk']}/").json() == made
    assert omnitron.rows("cancellation_requests", status="waiting_approval", cancellation_type="cancel") == [made]


@pytest.mark.parametrize(
    "wrong", [{"order_item": 1}, {"reason": 9}, {"cancellation_type": "x"}, {"remote_id": "x" * 256}]
)
def test_a_wrong_cancellation_request_is_refused(omnitron, wrong):
    _, items = omnitron.order()

    answer = omnitron.add("cancellation_requests", **{"order_item": items[0]["pk"], "reason": 1, **wrong})

    assert answer.status_code == 400
    assert set(wrong) < set(answer.json())


def test_the_merchant_decides_step_by_step(omnitron):
    _, items = omnitron.order()
    made = omnitron.made("cancellation_requests", order_item=items[0]["pk"], reason=1)
    path = f"/admin/cancellation_requests/{made['pk']}"

    answers = [
        omnitron.patch(path, json={"status": status}).status_code
        for status in ("completed", "approved", "completed", "confirmed", "completed", "rejected")
    ]

    assert answers == [406, 200, 406, 200, 200, 406]


def test_a_request_is_rejected_once(omnitron):
    _, items = omnitron.order()
    made = omnitron.made("cancellation_requests", order_item=items[0]["pk"], reason=1)
    path = f"{omnitron.channel}/cancellation_requests/{made['pk']}/reject/"

    assert omnitron.post(path).json()["status"] == "rejected"
    assert omnitron.post(path).status_code == 406


def test_reasons_are_listed(omnitron):
    assert [row["subject"] for row in omnitron.rows("cancellation_reasons")] == ["Vazgeçtim"]
    assert omnitron.get(f"{omnitron.channel}/cancellation_reasons/1/").json()["cancellation_type"] == "cancel"
