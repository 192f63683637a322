import pytest

LOGIN = "/api/v1/auth/login/"
GOOD = {"username": "integration", "password": "secret"}


def test_a_login_gives_the_same_opaque_token_each_time(omnitron):
    first, second = (omnitron.post(LOGIN, json=GOOD).json()["key"] for _ in range(2))

    assert first == second
    assert len(first) == 40
    assert omnitron.get("/api/v1/active_user/").json()["username"] == "integration"


def test_bad_credentials_answer_400(omnitron):
    answer = omnitron.post(LOGIN, json={**GOOD, "password": "wrong"})

    assert answer.status_code == 400
    assert answer.json()["non_field_errors"]


def test_the_sixth_login_within_a_minute_is_throttled_for_that_user_alone(omnitron):
    answers = [omnitron.post(LOGIN, json=GOOD) for _ in range(5)]

    assert [answer.status_code for answer in answers] == [200] * 4 + [429]  # the fixture logged in once
    assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
    assert omnitron.post(LOGIN, json={**GOOD, "username": "another"}).status_code == 400


@pytest.mark.parametrize("header", ["", "Token", "Token nonsense", "Bearer nonsense"])
def test_no_or_a_wrong_token_answers_401_with_detail_and_code(omnitron, header):
    answer = omnitron.get("/api/v1/channels/1/", headers={"Authorization": header})

    assert answer.status_code == 401
    assert set(answer.json()) == {"detail", "code"}


def test_an_expired_token_is_replaced_by_the_next_login(omnitron):
    omnitron.post("/admin/tokens/expire")
    refused = omnitron.get("/api/v1/active_user/")

    omnitron.log_in()

    assert refused.status_code == 401
    assert omnitron.get("/api/v1/active_user/").status_code == 200


def test_a_channel_shows_its_conf_and_takes_a_schema(omnitron):
    schema = {"base_url": {"required": True, "data_type": "URL", "key": "base_url", "label": "Base URL"}}

    changed = omnitron.patch("/api/v1/channels/1/", json={"schema": schema}).json()

    assert changed["schema"] == schema
    assert changed["conf"] == {"reason_mapping": {"R": 1}}
    assert changed["pk"] == changed["id"] == 1
    assert omnitron.get("/api/v1/catalogs/1/").json()["price_list"] == 1


def test_a_content_type_is_found_by_its_model(omnitron):
    found = omnitron.get("/api/v1/content_types/", params={"model": "orderitem"}).json()["results"]

    assert [(row["app_label"], row["model"]) for row in found] == [("orders", "orderitem")]


def test_the_second_prefix_is_the_same_service(omnitron):
    assert omnitron.get("/api/i1/channels/1/").json() == omnitron.get("/api/v1/channels/1/").json()


@pytest.mark.parametrize(
    "path",
    ["channels/1", "channels/9/", "channel/9/orders/", "channel/1/orders/5/", "channels/99999999999999999999/"],
)
def test_an_unknown_object_or_a_missing_slash_answers_404(omnitron, path):
    answer = omnitron.get(f"/api/v1/{path}")

    assert answer.status_code == 404
    assert answer.json()["detail"]


def test_another_method_answers_405(omnitron):
    assert omnitron.delete("/api/v1/channels/1/").status_code == 405


def test_a_body_that_is_not_declared_as_json_answers_415(omnitron):
    assert omnitron.post(LOGIN, content=b"{}", headers={"Content-Type": "text/plain"}).status_code == 415


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"\xff", b'{"username": NaN}', b'{"username": 1e999}', b'{"username": "\\ud800"}',
     b'{"username": "a\\u0000"}', b'{"a":' * 5000, b'{"a": ' + b"[" * 90 + b"]" * 90 + b"}",
     b'{"a": ' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_a_body_that_is_no_sound_json_answers_400(omnitron, body):
    answer = omnitron.post(LOGIN, content=body, headers={"Content-Type": "application/json"})

    assert answer.status_code == 400
