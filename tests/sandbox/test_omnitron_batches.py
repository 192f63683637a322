import time

import pytest

WRONG_STEP = "batch_request_status_100_1"


def entry(order, **own):
    return {"pk": order["pk"], "content_type": "order", "version_date": order["modified_date"], **own}


def link(omnitron, order, **own):
    """An order that the channel knows and was told of."""
    batch = omnitron.batch()
    objects = [entry(order, remote_id=f"R-{order['number']}", **own)]
    assert omnitron.move(batch, "commit", content_type="order", objects=objects).status_code == 200
    assert omnitron.move(batch, "done", objects=objects).status_code == 200


def action(omnitron, order):
    return omnitron.rows("integration_actions", content_type_name="order", object_id=order["pk"])[0]


def due(omnitron):
    return [row["number"] for row in omnitron.rows("orders/updates", limit=100)]


def conf(omnitron, **rule):
    omnitron.patch("/admin/channels/1", json={"conf": {"FAILED_INTEGRATION": {"DEFAULT": rule}}})


def test_a_batch_request_goes_from_initialized_to_done(omnitron):
    order, _ = omnitron.order()
    batch = omnitron.batch()
    objects = [entry(order, remote_id="R1")]

    steps = [
        omnitron.move(batch, "commit", content_type="order", objects=objects),
        omnitron.move(batch, "sent_to_remote", remote_batch_id="feed-1"),
        omnitron.move(batch, "ongoing"),
        omnitron.move(batch, "done", objects=objects),
    ]

    assert [step.json()["status"] for step in steps] == ["commit", "sent_to_remote", "ongoing", "done"]
    assert batch["status"] == "initialized"
    assert (batch["content_type"], batch["objects"]) == (None, None)
    assert steps[-1].json()["remote_batch_id"] == "feed-1"
    assert steps[-1].json()["objects"][0]["remote_id"] == "R1"


@pytest.mark.parametrize(
    ("before", "wrong"),
    [([], "sent_to_remote"), ([], "ongoing"), (["commit"], "ongoing"), (["commit", "sent_to_remote"], "commit"),
     (["commit", "sent_to_remote"], "sent_to_remote"), (["done"], "done"), (["done"], "fail"), (["fail"], "commit"),
     (["commit"], "initialized")],
)  # fmt: skip
def test_a_step_that_is_none_answers_406_with_its_code(omnitron, before, wrong):
    batch = omnitron.batch()
    for status in before:
        assert omnitron.move(batch, status, content_type="order", objects=[]).status_code == 200

    answer = omnitron.move(batch, wrong, content_type="order", objects=[])

    assert (answer.status_code, answer.json()["code"]) == (406, WRONG_STEP)
    assert isinstance(answer.json()["non_field_errors"], str)


@pytest.mark.parametrize(
    "steps", [[], ["commit"], ["commit", "sent_to_remote"], ["commit", "sent_to_remote", "ongoing"]]
)
@pytest.mark.parametrize("end", ["done", "fail"])
def test_every_open_batch_request_can_end(omnitron, steps, end):
    batch = omnitron.batch()
    for step in steps:
        omnitron.move(batch, step, content_type="order", objects=[])

    assert omnitron.move(batch, end, objects=None).json()["status"] == end


@pytest.mark.parametrize("steps", [[], ["sent_to_remote"], ["sent_to_remote", "ongoing"]])
def test_an_open_batch_request_keeps_others_of_its_content_type_out(omnitron, steps):
    holder, other = omnitron.batch(), omnitron.batch()
    for step in ["commit", *steps]:
        omnitron.move(holder, step, content_type="order", objects=[])

    refused = omnitron.move(other, "commit", content_type="order", objects=[])
    elsewhere = omnitron.move(omnitron.batch(), "commit", content_type="cancellationrequest", objects=[])
    omnitron.move(holder, "done", objects=[])
    allowed = omnitron.move(other, "commit", content_type="order", objects=[])

    assert (refused.status_code, refused.json()["code"]) == (406, "batch_request_status_100_2")
    assert refused.json()["non_field_errors"].startswith(f"The batch request with {holder['local_batch_id']} ")
    assert (elsewhere.status_code, allowed.status_code) == (200, 200)


def test_a_foreign_lock_is_taken_and_given_back(omnitron):
    lock = omnitron.post("/admin/lock", json={"channel": 1, "content_type": "order"}).json()
    batch = omnitron.batch()

    refused = omnitron.move(batch, "commit", content_type="order", objects=[])
    omnitron.delete(f"/admin/lock/{lock['id']}")

    assert refused.status_code == 406
    assert omnitron.move(batch, "commit", content_type="order", objects=[]).status_code == 200


def test_a_switch_changes_the_status_of_a_refused_commit(omnitron):
    omnitron.post("/admin/lock", json={"channel": 1, "content_type": "order"})
    omnitron.switch(refused_commit_status=400)

    assert omnitron.move(omnitron.batch(), "commit", content_type="order", objects=[]).status_code == 400


def test_a_commit_marks_its_objects_and_a_second_one_adds(omnitron):
    (first, _), (second, _) = omnitron.order("N1"), omnitron.order("N2")
    batch = omnitron.batch()

    for order in (first, second):
        omnitron.move(batch, "commit", content_type="order", objects=[entry(order, remote_id=order["number"])])

    rows = omnitron.rows("integration_actions", local_batch_id=batch["local_batch_id"], status="processing", sort="id")
    assert [(row["object_id"], row["remote_id"], row["version_date"]) for row in rows] == [
        (order["pk"], order["number"], order["modified_date"]) for order in (first, second)
    ]


def test_a_batch_request_may_hold_objects_of_several_content_types(omnitron):
    order, items = omnitron.order()
    batch = omnitron.batch()
    objects = [entry(order)] + [{**entry(item, remote_id="shared"), "content_type": "orderitem"} for item in items]

    omnitron.move(batch, "commit", content_type="order", objects=objects)
    omnitron.move(batch, "done", objects=objects)

    found = omnitron.rows("integration_actions", content_type_name="orderitem", remote_id__exact="shared")
    assert sorted(row["object_id"] for row in found) == [item["pk"] for item in items]


def test_a_null_remote_id_does_not_erase_a_known_one(omnitron):
    order, _ = omnitron.order()
    link(omnitron, order)
    batch = omnitron.batch()

    omnitron.move(batch, "commit", content_type="order", objects=[entry(order, remote_id=None)])
    omnitron.move(batch, "done", objects=[entry(order, remote_id=None)])

    assert action(omnitron, order)["remote_id"] == "R-N1"


@pytest.mark.parametrize(
    ("end", "listed", "expected"),
    [("done", {"failed_reason_type": None}, "success"), ("done", {"failed_reason_type": "remote"}, "error"),
     ("done", None, "success"), ("fail", {"failed_reason_type": "mapping"}, "error"), ("fail", None, "error")],
)  # fmt: skip
def test_the_end_gives_every_object_its_result(omnitron, end, listed, expected):
    order, _ = omnitron.order()
    batch = omnitron.batch()
    omnitron.move(batch, "commit", content_type="order", objects=[entry(order)])

    omnitron.move(batch, end, objects=None if listed is None else [entry(order, **listed)])

    assert action(omnitron, order)["status"] == expected


@pytest.mark.parametrize(
    "wrong",
    [{"pk": 1}, {"pk": None}, {"content_type": "unicorn"}, {"remote_id": "x" * 256}, {"version_date": "now"},
     {"failed_reason_type": "luck"}],
)  # fmt: skip
def test_a_wrong_object_is_refused_and_nothing_is_written(omnitron, wrong):
    (first, _), (second, _) = omnitron.order("N1"), omnitron.order("N2")
    batch = omnitron.batch()

    answer = omnitron.move(batch, "commit", content_type="order", objects=[entry(first), {**entry(second), **wrong}])

    assert answer.status_code == 400
    assert omnitron.rows("integration_actions", content_type_name="order") == []
    assert omnitron.rows("batch_requests", status="initialized")[0]["pk"] == batch["pk"]


def test_an_object_in_another_open_batch_request_is_not_taken(omnitron):
    order, _ = omnitron.order()
    omnitron.move(omnitron.batch(), "commit", content_type="order", objects=[entry(order)])

    assert omnitron.move(omnitron.batch(), "done", objects=[entry(order)]).status_code == 406


def test_an_order_is_due_when_it_changed_after_the_version_that_was_told(omnitron):
    order, items = omnitron.order("N1")
    omnitron.order("N2")  # no integration action: never due
    link(omnitron, order)

    before = due(omnitron)
    omnitron.patch(f"/admin/order_items/{items[0]['pk']}", json={"status": "500"})

    assert before == []
    assert due(omnitron) == ["N1"]


def test_a_change_between_reading_and_the_end_is_offered_again(omnitron):
    order, _ = omnitron.order()
    link(omnitron, order)
    omnitron.patch(f"/admin/orders/{order['pk']}", json={"status": "500"})
    read = omnitron.rows("orders/updates")[0]
    batch = omnitron.batch()
    omnitron.move(batch, "commit", content_type="order", objects=[entry(read)])

    omnitron.patch(f"/admin/orders/{order['pk']}", json={"status": "550"})
    meanwhile = due(omnitron)
    omnitron.move(batch, "done", objects=[entry(read)])

    assert meanwhile == []
    assert due(omnitron) == ["N1"]


def test_updates_come_oldest_first(omnitron):
    orders = [omnitron.order(number)[0] for number in ("N1", "N2", "N3")]
    for order in orders:
        link(omnitron, order)
    for order in reversed(orders):
        omnitron.patch(f"/admin/orders/{order['pk']}", json={"tracking_number": "T"})

    assert due(omnitron) == ["N3", "N2", "N1"]


def test_updates_are_a_bare_array_where_the_switch_says_so(omnitron):
    order, _ = omnitron.order()
    link(omnitron, order)
    omnitron.patch(f"/admin/orders/{order['pk']}", json={"tracking_number": "T"})
    omnitron.switch(updates_as_array=True)

    rows = omnitron.get(f"{omnitron.channel}/orders/updates/").json()

    assert [row["number"] for row in rows] == ["N1"]


def test_a_failed_order_is_offered_again_at_once_without_a_rule(omnitron):
    order, _ = omnitron.order()

    link(omnitron, order, failed_reason_type="remote")

    assert due(omnitron) == ["N1"]


@pytest.mark.parametrize(
    ("rule", "offered"),
    [({"MAX_RETRY_COUNT": 1}, ["N1"]), ({"MAX_RETRY_COUNT": 0}, []), ({"RETRY_INTERVAL": 5}, []),
     ({"RETRY_INTERVAL": 0}, ["N1"]), ({"EXPIRATION_DATE": 1}, ["N1"]), ({"EXPIRATION_DATE": 0}, [])],
)  # fmt: skip
def test_the_failed_integration_rule_decides_about_a_retry(omnitron, rule, offered):
    order, _ = omnitron.order()
    conf(omnitron, **rule)

    link(omnitron, order, failed_reason_type="remote")

    assert due(omnitron) == offered


def test_retries_are_counted_and_a_success_forgets_them(omnitron):
    order, _ = omnitron.order()
    conf(omnitron, MAX_RETRY_COUNT=1)
    seen = []
    for reason in ("remote", "remote", None, "remote"):
        link(omnitron, order, failed_reason_type=reason)
        seen.append(due(omnitron))

    assert seen == [["N1"], [], [], ["N1"]]


def test_an_open_batch_request_expires_only_where_the_switch_says_so(omnitron):
    order, _ = omnitron.order()
    holder = omnitron.batch()
    omnitron.move(holder, "commit", content_type="order", objects=[entry(order)])
    time.sleep(0.02)

    before = due(omnitron)
    omnitron.switch(expire_open_batches_minutes=0.0001)

    assert before == []
    assert due(omnitron) == ["N1"]
    assert omnitron.get(f"{omnitron.channel}/batch_requests/{holder['pk']}/").json()["status"] == "fail"


def test_the_back_office_fails_an_open_batch_request(omnitron):
    order, _ = omnitron.order()
    batch = omnitron.batch()
    omnitron.move(batch, "commit", content_type="order", objects=[entry(order)])
    path = f"/admin/batch_requests/{batch['pk']}/fail"

    assert omnitron.post(path).json()["status"] == "fail"
    assert action(omnitron, order)["status"] == "error"
    assert omnitron.post(path).status_code == 406


def test_a_cancellation_request_is_due_when_linked_and_changed(omnitron):
    _, items = omnitron.order()
    made, unlinked = (
        omnitron.made("cancellation_requests", order_item=item["pk"], reason=1, remote_id="Q") for item in items
    )
    batch = omnitron.batch()
    objects = [{**entry(made, remote_id="Q"), "content_type": "cancellationrequest"}]
    omnitron.move(batch, "commit", content_type="cancellationrequest", objects=objects)
    omnitron.move(batch, "done", objects=objects)

    before = omnitron.rows("cancellation_requests/updates", limit=50)
    for request in (made, unlinked):
        omnitron.patch(f"/admin/cancellation_requests/{request['pk']}", json={"status": "approved"})

    assert before == []
    assert [row["pk"] for row in omnitron.rows("cancellation_requests/updates", limit=50)] == [made["pk"]]


def test_an_integration_action_is_made_by_hand_once(omnitron):
    order, _ = omnitron.order()
    body = {"channel_id": 1, "content_type": "order", "object_id": order["pk"], "remote_id": "R"}

    made = omnitron.made("integration_actions", **body, version_date=order["modified_date"])
    again = omnitron.add("integration_actions", **body)
    changed = omnitron.change(f"integration_actions/{made['pk']}", remote_id="R2", state={"a": 1}).json()

    assert (made["status"], made["local_batch_id"], made["content_type"]["model"]) == (None, None, "order")
    assert again.status_code == 406
    assert (changed["remote_id"], changed["state"], changed["version_date"]) == ("R2", {"a": 1}, order["modified_date"])
