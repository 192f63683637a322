"""Reports: what the merchant reads, once, and on servers of any age."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from order_integration.dto import ErrorReportDto
from order_integration.errors import RefusedError
from order_integration.omnitron.batch_requests import BatchRequests
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.reports import Reports, report_on_batch
from tests.conftest import BackOffice
from tests.omnitron.conftest import Ask

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture
def batch(ask: Ask) -> int:
    return int(ask(lambda o: BatchRequests(o).create()).pk)


def report(batch: int, code: str = "fetch_orders-abc-city_unknown", *, ok: bool = False) -> ErrorReportDto:
    return report_on_batch(batch, code, "the city is not known", {"order": {"email": "***"}}, NOW, ok=ok)


def write(*reports: ErrorReportDto) -> Any:
    async def work(omnitron: Omnitron) -> None:
        room = Reports(omnitron)
        for one in reports:
            await room.write(one)

    return work


def test_a_report_hangs_on_its_batch_request(ask: Ask, back_office: BackOffice, batch: int) -> None:
    ask(write(report(batch)))

    [row] = back_office.rows("error_reports")
    assert (row["action"]["content_type"]["model"], row["action"]["object_id"]) == ("batchrequest", batch)
    assert (row["target"]["content_type"]["model"], row["target"]["object_id"]) == ("channel", "1")
    assert (row["error_code"], row["error_desc"]) == ("fetch_orders-abc-city_unknown", "the city is not known")
    assert json.loads(row["raw_request"]) == {"order": {"email": "***"}}
    assert row["is_ok"] is False
    [event] = back_office.rows("operational_events")
    assert (event["event_type"], event["level"], event["source"]) == (
        "batch_request_error",
        "error",
        "order_integration",
    )


def test_news_that_are_fine_are_an_info_without_payload(ask: Ask, back_office: BackOffice, batch: int) -> None:
    ask(write(report(batch, ok=True)))

    [event] = back_office.rows("operational_events")
    assert event["level"] == "info"
    assert not event["raw_data"]
    assert back_office.rows("error_reports")[0]["is_ok"] is True


@pytest.mark.parametrize("strict", [False, True])
def test_the_same_report_again_is_one_report(ask: Ask, back_office: BackOffice, batch: int, *, strict: bool) -> None:
    back_office.switch(strict_error_codes=strict)

    ask(write(report(batch), report(batch), report(batch, "another")))

    assert {row["error_code"] for row in back_office.rows("error_reports")} == {
        "fetch_orders-abc-city_unknown",
        "another",
    }
    assert len(back_office.rows("error_reports")) == 2


def test_a_server_without_operational_events_stops_nobody(ask: Ask, back_office: BackOffice, batch: int) -> None:
    back_office.switch(operational_events_missing=True)

    ask(write(report(batch)))

    assert len(back_office.rows("error_reports")) == 1


@pytest.mark.parametrize("path", ["/error_reports/", "/operational_events/"])
def test_a_report_that_is_refused_for_another_reason_is_an_error(
    ask: Ask, back_office: BackOffice, batch: int, path: str
) -> None:
    back_office.fault("POST", path, "status", status=400, body={"error_desc": ["too long"]})

    with pytest.raises(RefusedError):
        ask(write(report(batch)))


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_makes_no_second_report(ask: Ask, back_office: BackOffice, batch: int, kind: str) -> None:
    back_office.fault("POST", "/error_reports/", kind)

    ask(write(report(batch)))

    assert len(back_office.rows("error_reports")) == 1
    assert len(back_office.rows("operational_events")) == 1


@pytest.mark.parametrize(("kind", "events"), [("cut_before", 0), ("cut_after", 1), ("truncate", 1)])
def test_an_event_whose_answer_was_lost_is_not_told_twice(
    ask: Ask, back_office: BackOffice, batch: int, kind: str, events: int
) -> None:
    back_office.fault("POST", "/operational_events/", kind)

    ask(write(report(batch)))

    assert len(back_office.rows("error_reports")) == 1
    assert len(back_office.rows("operational_events")) == events
    assert len(back_office.calls("POST", "/operational_events/")) == 1


def test_an_event_that_was_surely_not_taken_is_told_again(ask: Ask, back_office: BackOffice, batch: int) -> None:
    back_office.fault("POST", "/operational_events/", "status", status=429)

    ask(write(report(batch)))

    assert len(back_office.rows("operational_events")) == 1


@pytest.mark.parametrize(
    ("level", "code"),
    [
        ("city", "integrations_200_10_2"),
        ("township", "integrations_200_10_1"),
        ("district", "integrations_200_10_3"),
    ],
)
def test_an_unmapped_place_is_put_before_the_merchant(ask: Ask, back_office: BackOffice, level: str, code: str) -> None:
    country = back_office.rows("countries", code__exact="TR")[0]["pk"]

    ask(lambda o: Reports(o).unmapped_location(level, "Atlantis" * 40, {"country": country}, "not known"))

    [row] = back_office.get("/admin/overview").json()["address_reports"]
    assert (row["type"], row["err_code"], row["country_id"]) == (level, code, country)
    assert row["remote_code"] == ("1_" + "Atlantis" * 40)[:255]


def test_there_is_no_such_service_for_countries(ask: Ask, back_office: BackOffice) -> None:
    ask(lambda o: Reports(o).unmapped_location("country", "Atlantis", {}, "not known"))

    assert not [call for call in back_office.get("/admin/requests").json() if "error_reports" in call["path"]]
