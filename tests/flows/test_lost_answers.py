"""Answers get lost at each call that a fault-free run makes: in the end everything is there once.

The calls are those that a recorded run really made, so a call that is added later is covered by itself.
"""

import contextlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from order_integration.errors import IntegrationError
from tests.conftest import BackOffice
from tests.flows.state import no_batch_is_open, state_of
from tests.flows.steps import Steps
from tests.shelf import address, customer, item, order

HTML = "<html><body><h1>Bad Gateway</h1></body></html>"
FAULTS: dict[str, dict[str, Any]] = {
    "cut after the work": {"kind": "cut_after"},
    "500": {"kind": "status", "status": 500, "body": {"detail": "Server error."}},
    "502 with HTML": {"kind": "status", "status": 502, "body": HTML, "headers": {"Content-Type": "text/html"}},
    "token expired": {},  # before the call is sent
}
# The sweeps (tests/sweeps) try all kinds at all calls, through Airflow. Here are those that tell most, without it:
# once, as often as one call is tried, and in every call of that kind as long as the run lasts.
CASES = [("cut after the work", 1), ("token expired", 1), ("502 with HTML", 4), ("500", 1000)]
EVERYWHERE = {("500", 1000), ("cut after the work", 1)}  # the others at writes, and between an order and its links
AT_LEAST = {
    ("POST", "/customers/$"),
    ("PATCH", r"/customers/\d+/$"),
    ("POST", "/addresses/$"),
    ("POST", "/create_orders/$"),
    ("GET", "/order_items/$"),
    ("POST", "/batch_requests/$"),
    ("PATCH", r"/batch_requests/\d+/$"),
    ("POST", "/error_reports/$"),
    ("POST", "/error_reports/city/$"),
    ("POST", "/operational_events/$"),
}

Call = tuple[str, str, int]  # method, path as a pattern, how many such calls come before


def story() -> list[dict[str, Any]]:
    """A new customer who comes back with another phone, a second one, a cut text, and orders that can't arrive."""
    elsewhere = address("ali", city="Atlantis", township=None)
    return [
        order("1", buyer="ayse", items=[item("1"), item("1", unit=2)], amount="110.00"),
        order("2", buyer="ayse", minutes=5, customer=customer("ayse", phone_number="+905339876543")),
        order("3", buyer="fatma", minutes=6, notes="Zili çalmayın. " * 30),
        order("4", buyer="ali", minutes=7, shipping_address=elsewhere),
        order("5", buyer="veli", minutes=8, items=[item("5", product="SKU-404")]),
    ]


def recorded(office: BackOffice, home: Path, url: str) -> tuple[dict[str, Any], list[Call]]:
    """A fault-free run: what it leaves, and its calls; of many of one kind the first, the second and the last."""
    office.start_again()
    Steps(url, home).run()
    calls = [
        (call["method"], re.sub(r"/\d+/", r"/\\d+/", call["path"].removeprefix("/api/v1/channel/1/")))
        for call in office.get("/admin/requests").json()
        if not call["path"].endswith("/auth/login/")
    ]
    found = []
    for (method, path), times in Counter(calls).items():
        found += [(method, f"/{path.lstrip('/')}$", nth) for nth in sorted({0, times - 1})]
    return state_of(office), found


@pytest.mark.defect("O5")
@pytest.mark.parametrize(("fault", "times"), CASES)
def test_whatever_answer_is_lost_everything_is_there_once(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf, fault: str, times: int
) -> None:
    shelf(*story())
    wanted, calls = recorded(back_office, tmp_path / "recorded", omnitron_url)
    if (fault, times) not in EVERYWHERE:
        calls = [(method, path, nth) for method, path, nth in calls if method != "GET" or "order_items" in path]
    assert len(wanted["orders"]) == 3
    assert {(method, path) for method, path, _ in calls} >= AT_LEAST
    if times > 1:  # a text that was cut is told at once or, where that fails for good, not at all
        wanted["reports"] = {code for code in wanted["reports"] if "-cut-" not in code}
    wrong = []
    for number, call in enumerate(calls):
        back_office.start_again(login_limit_per_minute=None)
        steps = Steps(omnitron_url, tmp_path / str(number))
        spoil(back_office, steps, call, FAULTS[fault], times)
        if complaint := went_wrong(back_office, steps, wanted):
            wrong.append((*call, complaint))

    assert wrong == []


def spoil(office: BackOffice, steps: Steps, call: Call, action: dict[str, Any], times: int) -> None:
    """The call, as often as said, meets the fault."""
    method, path, nth = call
    if action:
        rule = {"method": method, "path": path, "skip": nth, "times": times, "action": action}
        office.post("/admin/faults", json=rule).raise_for_status()
        return
    seen: list[str] = []

    def expire(sent: str, to: str) -> None:
        if sent == method and re.search(path, f"/{to}"):
            seen.append(to)
            if len(seen) == nth + 1:
                office.post("/admin/tokens/expire").raise_for_status()

    steps.before = expire


def went_wrong(office: BackOffice, steps: Steps, wanted: dict[str, Any]) -> str:
    """A run with the fault and a run without; what is wrong afterwards."""
    with contextlib.suppress(IntegrationError):  # the run is red, as it should be
        steps.run()
    assert any(row["fault"] or row["status"] == 401 for row in office.get("/admin/requests").json()), "nothing spoiled"
    office.delete("/admin/faults")
    steps.run()
    if not no_batch_is_open(office) or steps.batches.all():
        return "a batch request is open"
    got = state_of(office)
    wanted = {**wanted, "reports": wanted["reports"] | got["reports"]}  # what is told besides does no harm
    return "; ".join(f"{name}: {got[name]} != {wanted[name]}" for name in wanted if got[name] != wanted[name])
