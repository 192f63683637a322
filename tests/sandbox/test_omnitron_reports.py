import pytest


def content_type(omnitron, model):
    return omnitron.get("/api/v1/content_types/", params={"model": model}).json()["results"][0]["id"]


def report(omnitron, **own):
    body = {"action_content_type": content_type(omnitron, "batchrequest"), "action_object_id": 601, "error_code": "L-1"}
    return omnitron.add("error_reports", **{**body, "error_desc": "Omnitron-X", "is_ok": False, **own})


def test_a_report_names_its_action_and_by_default_the_channel(omnitron):
    made = report(omnitron, raw_request="POST - url - body").json()

    assert made["action"]["content_type"]["model"] == "batchrequest"
    assert (made["target"]["content_type"]["model"], made["target"]["object_id"]) == ("channel", "1")
    assert made["is_ok"] is False


def test_the_same_code_for_the_same_object_is_the_same_report(omnitron):
    first = report(omnitron)
    again = report(omnitron, error_desc="seen again")
    other = report(omnitron, action_object_id=602)

    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 201]
    assert (again.json()["pk"], again.json()["error_desc"]) == (first.json()["pk"], "seen again")


def test_a_known_code_is_refused_where_the_switch_says_so(omnitron):
    omnitron.switch(strict_error_codes=True)
    report(omnitron)

    assert "error_code" in report(omnitron).json()


@pytest.mark.parametrize(
    "wrong", [{"action_content_type": 1}, {"error_code": ""}, {"error_code": "x" * 256}, {"action_object_id": "x"}]
)
def test_a_wrong_report_is_refused(omnitron, wrong):
    answer = report(omnitron, **wrong)

    assert answer.status_code == 400
    assert set(wrong) < set(answer.json())


@pytest.mark.parametrize("level", ["city", "township", "district"])
def test_an_address_report_is_taken_without_an_answer(omnitron, level):
    body = {"remote_code": "Stambul", "country_id": None, "integration_type": "sales_channel"}

    answer = omnitron.add(f"error_reports/{level}", **body, err_code="integrations_200_10_2", err_desc=None)

    assert (answer.status_code, answer.content) == (201, b"")
    assert omnitron.get("/admin/overview").json()["address_reports"][0]["type"] == level
    assert omnitron.add(f"error_reports/{level}", **body).status_code == 400
    assert omnitron.add("error_reports/street", **body).status_code == 404


def test_an_operational_event_is_kept_and_filtered(omnitron):
    body = {"event_type": "order_error", "level": "error", "source": "channel_app", "message": "m"}
    made = omnitron.made("operational_events", **body, action_content_type="order", action_object_id=1)

    assert omnitron.rows("operational_events", event_type="order_error", level="error") == [made]
    assert omnitron.rows("operational_events", level="info") == []
    assert omnitron.add("operational_events", **{**body, "level": "loud"}).status_code == 400


def test_an_older_server_has_no_operational_events(omnitron):
    omnitron.switch(operational_events_missing=True)

    assert omnitron.get(f"{omnitron.channel}/operational_events/").status_code == 404
    assert omnitron.add("operational_events", event_type="x").status_code == 404
