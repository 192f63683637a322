"""No input is a server error: every field of every body, and every filter, with values that make no sense."""

import pytest

NASTY = [
    None, True, -1, 0, 2**63, 10**40, 1.5, 1e308, "", " ", "x" * 5000, "\u0000", "İ" * 300, "1e999999", "-Infinity",
    "9" * 400, "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", [], [None], [[]], {}, {"": None},
    {"a": {"b": []}},
]  # fmt: skip


def operations(omnitron):
    paths = omnitron.get("/openapi.json").json()["paths"]
    return [(path, method, said) for path, methods in paths.items() for method, said in methods.items()]


@pytest.fixture
def filled(omnitron):
    """Every path leads to something that is there."""
    order, items = omnitron.order()
    batch = omnitron.batch()
    objects = [{"pk": order["pk"], "content_type": "order", "version_date": order["modified_date"]}]
    omnitron.move(batch, "commit", content_type="order", objects=objects)
    request = omnitron.made("cancellation_requests", order_item=items[0]["pk"], reason=1)
    pks = {
        "orders": order["pk"], "order_items": items[0]["pk"], "batch_requests": batch["pk"], "lock": batch["pk"],
        "cancellation_requests": request["pk"], "customers": order["customer"], "channels": 1, "catalogs": 1,
        "cargos": order["cargo_company"], "cancellation_reasons": 1,
        "integration_actions": omnitron.rows("integration_actions")[0]["pk"],
    }  # fmt: skip

    def path_of(path):
        known = next((pk for name, pk in pks.items() if f"/{name}/{{pk}}" in path), 1)
        return path.replace("{channel}", "1").replace("{level}", "city").replace("{pk}", str(known))

    return path_of


def test_no_body_is_a_server_error(omnitron, filled):
    omnitron.switch(login_limit_per_minute=None)
    for path, method, said in operations(omnitron):
        if "requestBody" not in said:
            continue
        schema = said["requestBody"]["content"]["application/json"]["schema"]
        for name in schema.get("properties", {"x": {}}):
            for value in NASTY:
                answer = omnitron.request(method, filled(path), json={name: value})
                assert answer.status_code < 500, (method, path, name, value)


def test_no_field_of_an_order_is_a_server_error(omnitron, filled):
    body = omnitron.order_body("N9")
    schema = omnitron.get("/openapi.json").json()["paths"]["/api/v1/channel/{channel}/create_orders/"]["post"]
    parts = schema["requestBody"]["content"]["application/json"]["schema"]["properties"]
    for name in parts["order"]["properties"]:
        for value in NASTY:
            answer = omnitron.add("create_orders", order={**body["order"], name: value}, order_item=body["order_item"])
            assert answer.status_code in {201, 400, 406}, (name, value, answer.text)
    for name in parts["order_item"]["items"]["properties"]:
        for value in NASTY:
            answer = omnitron.add(
                "create_orders", order=body["order"], order_item=[{**body["order_item"][0], name: value}]
            )
            assert answer.status_code in {201, 400, 406}, (name, value, answer.text)


def test_no_object_of_a_batch_request_is_a_server_error(omnitron, filled):
    order = omnitron.rows("orders")[0]
    good = {"pk": order["pk"], "content_type": "order", "version_date": order["modified_date"]}
    omnitron.post(f"/admin/batch_requests/{omnitron.rows('batch_requests')[0]['pk']}/fail")
    batch = omnitron.batch()
    for name in (*good, "remote_id", "failed_reason_type"):
        for value in NASTY:
            answer = omnitron.move(batch, "commit", content_type="order", objects=[{**good, name: value}])
            assert answer.status_code in {200, 400}, (name, value, answer.text)


def test_no_query_is_a_server_error(omnitron, filled):
    for path, method, said in operations(omnitron):
        names = [parameter["name"] for parameter in said["parameters"] if parameter["in"] == "query"]
        for name in names:
            for value in ("", "x", "-1", "1,,2", ",", "9" * 40, "\u0000", "İ", "0001-01-01", "true", "1e5", "'--"):
                answer = omnitron.request(method, filled(path), params={name: value})
                assert answer.status_code in {200, 400, 404}, (path, name, value, answer.text)


def test_every_get_of_the_description_answers(omnitron, filled):
    for path, method, _ in operations(omnitron):
        if method == "get":
            assert omnitron.get(filled(path)).status_code == 200, path
