"""Every endpoint of the stand-in's own description: a case that is answered 2xx, and no input that it dies of."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import status_code_conformance

from sandbox.omnitron import create_app
from tests.sandbox.omnitron_client import WORLD, Omnitron

DESCRIPTION = create_app(":memory:", WORLD).openapi()
OPERATIONS = [(method.upper(), path) for path, said in DESCRIPTION["paths"].items() for method in said]
EXAMPLES = 20  # at every operation, sound and unsound ones; the same in every run
SEEN = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
CHANNEL = "/api/v1/channel/{channel}"

operations = pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[" ".join(one) for one in OPERATIONS])


@pytest.fixture
def there(omnitron: Omnitron) -> dict[str, Any]:
    """Something of each kind, so that every path leads somewhere."""
    omnitron.switch(login_limit_per_minute=None)
    order, items = omnitron.order(items=3)
    request = omnitron.made("cancellation_requests", order_item=items[0]["pk"], reason=1)
    action = omnitron.rows("integration_actions")[0]
    lock = omnitron.post("/admin/lock", json={"channel": 1, "content_type": "product"}).json()
    return {
        "order": order, "items": items, "request": request, "batch": omnitron.batch(), "action": action, "lock": lock
    }  # fmt: skip


def pk_of(path: str, there: dict[str, Any]) -> int:
    kinds = {
        "/orders/": there["order"]["pk"],
        "/order_items/": there["items"][0]["pk"],
        "/cancellation_requests/": there["request"]["pk"],
        "/batch_requests/": there["batch"]["pk"],
        "/lock/": there["lock"]["pk"],
        "/customers/": there["order"]["customer"],
        "/cargos/": there["order"]["cargo_company"],
        "/integration_actions/": there["action"]["pk"],
    }
    return next((pk for kind, pk in kinds.items() if kind in path), 1)


def filled(path: str, there: dict[str, Any], **names: str) -> str:
    pk = str(pk_of(path, there))
    return path.replace("{channel}", "1").replace("{level}", "city").replace("{pk}", pk)


Body = Callable[[Omnitron, dict[str, Any]], Any]
# Bodies that are in order, by method and the end of the path.
BODIES: dict[tuple[str, str], Body] = {
    ("POST", "/auth/login/"): lambda o, there: {"username": "integration", "password": "secret"},
    ("PATCH", "/api/v1/channels/{pk}/"): lambda o, there: {"conf": {"a": 1}},
    ("POST", "/customers/"): lambda o, there: {
        "channel": 1, "email": "b@example.com", "first_name": "Can", "last_name": "Ak", "channel_code": "C9",
    },
    ("PATCH", "/customers/{pk}/"): lambda o, there: {"first_name": "Can"},
    ("POST", "/addresses/"): lambda o, there: o.address_body(there["order"]["customer"], line="Another 9"),
    ("POST", "/create_orders/"): lambda o, there: o.order_body("N9"),
    ("PATCH", "/order_items/{pk}/"): lambda o, there: {"tracking_number": "T-1"},
    ("POST", "/cancel/"): lambda o, there: {
        "order": there["order"]["pk"], "cancel_items": [there["items"][2]["pk"]],
        "reasons": {str(there["items"][2]["pk"]): 1},
    },
    ("POST", "/cancellation_requests/"): lambda o, there: {"order_item": there["items"][1]["pk"], "reason": 1},
    ("POST", "/integration_actions/"): lambda o, there: {
        "channel": 1, "content_type": "order", "object_id": there["order"]["pk"], "remote_id": "R",
        "version_date": there["order"]["modified_date"],
    },
    ("PATCH", "/integration_actions/{pk}/"): lambda o, there: {"remote_id": "R-9"},
    ("POST", "/batch_requests/"): lambda o, there: {"channel": 1},
    ("PATCH", "/api/v1/channel/{channel}/batch_requests/{pk}/"): lambda o, there: {"channel": 1, "status": "fail"},
    ("POST", "/error_reports/"): lambda o, there: {
        "action_content_type": content_type(o, "order"), "action_object_id": there["order"]["pk"], "error_code": "E1",
        "error_desc": "none", "is_ok": False,
    },
    ("POST", "/error_reports/{level}/"): lambda o, there: {
        "name": "Atlantis", "remote_code": "A1", "country_id": None, "integration_type": "sales_channel",
        "err_code": "E1", "err_desc": "none",
    },
    ("POST", "/operational_events/"): lambda o, there: {
        "event_type": "order_error", "level": "error", "source": "channel_app", "message": "none",
    },
    ("POST", "/admin/world"): lambda o, there: WORLD,
    ("PUT", "/admin/switches"): lambda o, there: {"updates_as_array": True},
    ("POST", "/admin/lock"): lambda o, there: {"channel": 1, "content_type": "order"},
    ("PATCH", "/admin/orders/{pk}"): lambda o, there: {"status": "450"},
    ("PATCH", "/admin/order_items/{pk}"): lambda o, there: {"status": "450"},
    ("PATCH", "/admin/cancellation_requests/{pk}"): lambda o, there: {"status": "rejected"},
    ("PATCH", "/admin/channels/{pk}"): lambda o, there: {"is_active": True},
}  # fmt: skip


def content_type(omnitron: Omnitron, name: str) -> int:
    rows = omnitron.get("/api/v1/content_types/", params={"limit": 100}).json()["results"]
    return next(row["id"] for row in rows if row["model"] == name)


@operations
def test_every_endpoint_has_a_case_that_is_answered_with_2xx(
    omnitron: Omnitron, there: dict[str, Any], method: str, path: str
) -> None:
    named = [body for (verb, end), body in BODIES.items() if verb == method and path.endswith(end)]
    body = {"json": named[0](omnitron, there)} if named else {}
    if path.endswith("/plan/complete"):
        cancel = BODIES["POST", "/cancel/"](omnitron, there)
        omnitron.add(f"orders/{there['order']['pk']}/cancel", **cancel)

    answer = omnitron.request(method, filled(path, there), **body)

    assert 200 <= answer.status_code < 300, answer.text
    assert str(answer.status_code) in DESCRIPTION["paths"][path][method.lower()]["responses"]


@operations
def test_no_input_is_a_server_error_or_an_answer_that_is_not_described(
    omnitron: Omnitron, there: dict[str, Any], method: str, path: str
) -> None:
    schema = schemathesis.openapi.from_dict(DESCRIPTION)
    schema.config.update(base_url=str(omnitron.base_url))
    operation = schema[path][method]
    session = requests.Session()
    session.headers["Authorization"] = omnitron.headers["Authorization"]

    cases = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    said = DESCRIPTION["paths"][path][method.lower()]
    if said.get("parameters") or said.get("requestBody"):  # else nothing can be wrong about a call
        cases |= operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @SEEN
    @given(cases, st.booleans())
    def tried(case: schemathesis.Case, leads_somewhere: bool) -> None:
        if leads_somewhere and case.path_parameters:
            right = {"channel": 1, "level": "city", "pk": pk_of(path, there)}
            case.path_parameters.update({name: right[name] for name in case.path_parameters})
        answer = case.call(session=session)
        case.validate_response(answer, checks=[not_a_server_error, status_code_conformance])

    tried()
