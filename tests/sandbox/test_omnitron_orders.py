import pytest


def test_an_order_is_created_with_an_item_a_unit(omnitron):
    made, items = omnitron.order("N1", items=3, amount=30.5, date_placed="2024-01-29T11:27:18.399594+03:00")

    assert made["extra_field"] == {"id": "R-N1", "note": "kept"}
    assert (made["amount"], made["currency"], made["status"]) == ("30.50", "try", "400")
    assert made["date_placed"] == "2024-01-29T08:27:18.399594Z"
    assert [item["extra_field"]["id"] for item in items] == ["N1/0", "N1/1", "N1/2"]
    assert {item["tax_rate"] for item in items} == {"20.00"}
    assert omnitron.rows("orders", number="N1", channel_id=1) == [made]


def test_an_order_number_is_unique_within_its_channel(omnitron):
    omnitron.order("N1")
    body = omnitron.order_body("N2")
    body["order"]["number"] = "N1"

    answer = omnitron.add("create_orders", **body)

    assert answer.status_code == 406
    assert answer.json()["code"] == "order_100_1"
    assert omnitron.get("/admin/counts").json()["order_items"] == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [("number", "x" * 129), ("number", None), ("customer", 1), ("shipping_address", 1), ("billing_address", 1),
     ("cargo_company", 1), ("amount", "1.001"), ("amount", "ten"), ("amount", "NaN"), ("amount", "1" * 11),
     ("status", "401"), ("notes", "x" * 321), ("gift_box_note", "x" * 161), ("tracking_number", "x" * 257),
     ("remote_addr", "nowhere"), ("date_placed", "yesterday"), ("has_gift_box", "perhaps")],
)  # fmt: skip
def test_a_wrong_order_field_is_named_and_nothing_is_written(omnitron, field, value):
    body = omnitron.order_body()
    body["order"][field] = value

    answer = omnitron.add("create_orders", **body)

    assert answer.status_code == 400
    assert field in answer.json()["order"]
    assert omnitron.get("/admin/counts").json()["orders"] == 0


@pytest.mark.parametrize(
    ("field", "value"), [("product", 1), ("price", None), ("price_list", 9), ("stock_list", 9), ("status", "x")]
)
def test_a_wrong_item_field_is_named_in_its_place(omnitron, field, value):
    body = omnitron.order_body(items=2)
    body["order_item"][1][field] = value

    answer = omnitron.add("create_orders", **body)

    assert answer.status_code == 400
    assert [list(errors) for errors in answer.json()["order_item"]] == [[], [field]]
    assert omnitron.get("/admin/counts").json()["orders"] == 0


def test_an_order_without_items_is_refused(omnitron):
    body = {**omnitron.order_body(), "order_item": []}

    assert "order_item" in omnitron.add("create_orders", **body).json()


def test_another_channels_customer_is_refused(omnitron):
    body = omnitron.order_body()
    stranger = {"channel": 2, "email": "x@example.com", "channel_code": "X"}
    made = omnitron.post("/api/v1/channel/2/customers/", json=stranger).json()
    body["order"]["customer"] = made["pk"]

    assert "customer" in omnitron.add("create_orders", **body).json()["order"]


def test_an_item_change_merges_extra_field_replaces_attributes_and_touches_the_order(omnitron):
    order, items = omnitron.order()
    path = f"order_items/{items[0]['pk']}"
    omnitron.change(path, attributes={"colour": "red", "size": "M"})

    changed = omnitron.change(path, status="500", extra_field={"new": 1}, attributes={"colour": "blue"}).json()

    assert changed["status"] == "500"
    assert changed["extra_field"] == {"id": "N1/0", "new": 1}
    assert changed["attributes"] == {"colour": "blue"}
    assert omnitron.get(f"{omnitron.channel}/{path}/").json() == changed
    assert omnitron.rows("orders", pk__in=order["pk"])[0]["modified_date"] > changed["modified_date"]


def test_an_item_change_leaves_the_order_alone_where_the_switch_says_so(omnitron):
    order, items = omnitron.order()
    omnitron.switch(item_touches_order=False)

    omnitron.change(f"order_items/{items[0]['pk']}", status="500")

    assert omnitron.rows("orders", number="N1")[0]["modified_date"] == order["modified_date"]


def test_a_status_that_is_none_is_refused(omnitron):
    _, items = omnitron.order()

    assert "status" in omnitron.change(f"order_items/{items[0]['pk']}", status="560").json()


@pytest.mark.parametrize(("old", "new"), [("approved", "confirmed"), ("waiting_for_payment", "waiting")])
def test_a_cancel_status_does_not_go_back(omnitron, old, new):
    _, items = omnitron.order()
    path = f"order_items/{items[0]['pk']}"
    omnitron.change(path, cancel_status=old)

    assert omnitron.change(path, cancel_status=new).status_code == 406


def test_an_order_of_another_channel_is_not_there(omnitron):
    made, items = omnitron.order()

    assert omnitron.get(f"/api/v1/channel/2/order_items/{items[0]['pk']}/").status_code == 404
    assert omnitron.get("/api/v1/channel/2/orders/", params={"pk__in": made["pk"]}).json()["results"] == []
