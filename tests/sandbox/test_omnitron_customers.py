import pytest


@pytest.mark.parametrize("same", [{"email": "C1@example.com"}, {"channel_code": "C1"}])
def test_email_and_channel_code_are_one_customers_within_a_channel(omnitron, same):
    omnitron.customer("C1")
    body = {"channel": 1, "email": "new@example.com", "channel_code": "C2", **same}

    answer = omnitron.add("customers", **body)

    assert answer.status_code == 406
    assert isinstance(answer.json()["non_field_errors"], str)
    other = omnitron.post("/api/v1/channel/2/customers/", json={**body, "channel": 2})
    assert other.status_code == 201


def test_a_duplicate_answers_400_with_a_list_where_the_switch_says_so(omnitron):
    omnitron.customer("C1")
    omnitron.switch(duplicates_as_400_list=True)

    answer = omnitron.add("customers", channel=1, email="C1@example.com", channel_code="C2")

    assert answer.status_code == 400
    assert isinstance(answer.json()["non_field_errors"], list)


def test_a_customer_is_changed_in_part_and_its_modified_date_moves(omnitron):
    made = omnitron.customer("C1", phone_number="1")

    changed = omnitron.change(f"customers/{made['pk']}", channel=1, channel_code="C1", phone_number="2").json()

    assert (changed["phone_number"], changed["first_name"]) == ("2", "Ayşe")
    assert changed["modified_date"] > made["modified_date"]
    assert changed["created_date"] == made["created_date"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("email", "nobody"), ("channel_code", "x" * 65), ("first_name", "x" * 256), ("phone_number", "x" * 129),
     ("channel", 2), ("extra_field", []), ("channel_code", "")],
)  # fmt: skip
def test_a_wrong_customer_field_is_named(omnitron, field, value):
    body = {"channel": 1, "email": "a@example.com", "channel_code": "C1", field: value}

    answer = omnitron.add("customers", **body)

    assert answer.status_code == 400
    assert field in answer.json()


def test_an_address_that_is_there_is_refused_with_its_hash_and_found_by_it(omnitron):
    body = omnitron.address_body(omnitron.customer()["pk"])
    made = omnitron.made("addresses", **body, remote_id="A1")

    answer = omnitron.add("addresses", **{**body, "line": "  moda cd.  1 "}, remote_id="A2")

    assert answer.status_code == 406
    assert answer.json()["non_field_errors"].split()[0] == f"hash_data:{made['hash_data']}"
    assert [row["pk"] for row in omnitron.rows("addresses", hash_data=made["hash_data"])] == [made["pk"]]


def test_the_same_place_of_two_customers_is_two_addresses(omnitron):
    first, second = (
        omnitron.made("addresses", **omnitron.address_body(omnitron.customer(code)["pk"])) for code in ("C1", "C2")
    )

    assert first["hash_data"] != second["hash_data"]


@pytest.mark.parametrize(
    ("field", "value"),
    [("line", "x" * 256), ("line", ""), ("title", "x" * 129), ("postcode", "x" * 65), ("notes", "x" * 513),
     ("tax_no", "x" * 21), ("city", 1), ("country", 1), ("township", 1500), ("customer", 1), ("first_name", None),
     ("address_type", "moon"), ("retail_store", 1)],
)  # fmt: skip
def test_a_wrong_address_field_is_named(omnitron, field, value):
    body = omnitron.address_body(omnitron.customer()["pk"])

    answer = omnitron.add("addresses", **{**body, field: value})

    assert answer.status_code == 400
    assert field in answer.json() or "city" in answer.json()


def test_a_store_address_needs_its_store(omnitron):
    body = {**omnitron.address_body(omnitron.customer()["pk"]), "address_type": "retail_store"}

    assert "retail_store" in omnitron.add("addresses", **body).json()
    store = omnitron.rows("retail_stores", erp_code="S1")[0]["pk"]
    assert omnitron.made("addresses", **body, retail_store=store)["retail_store"] == store
