"""Links: found in bulk, written without a batch request where a lock is held for long."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from order_integration.errors import ContractError, RefusedError, UnknownOutcomeError
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.integration_actions import IntegrationActions, Link
from order_integration.transport import HttpSession, Limits
from sandbox.faults import running
from tests.conftest import BackOffice
from tests.flows.steps import DAY, Steps
from tests.omnitron.conftest import Ask
from tests.shelf import order


def by_remote_id(*remote_ids: str, kind: str = "product") -> Any:
    async def work(omnitron: Omnitron) -> dict[str, list[int]]:
        found = await IntegrationActions(omnitron).by_remote_id(kind, remote_ids)
        return {remote_id: [int(row["object_id"]) for row in rows] for remote_id, rows in found.items()}

    return work


def products(*remote_ids: str, channel: int = 1) -> list[dict[str, Any]]:
    return [{"channel": channel, "remote_id": remote_id, "sku": f"{remote_id[:200]}-sku"} for remote_id in remote_ids]


def test_links_are_found_in_bulk(ask: Ask, back_office: BackOffice) -> None:
    ids = [f"P{number:03}" for number in range(120)]
    back_office.told(products=products(*ids))

    found = ask(by_remote_id(*ids, "unknown", ids[0]))

    assert set(found) == set(ids)
    assert len(back_office.calls("GET", "/integration_actions/")) == 3


def test_long_ids_make_no_url_that_a_server_would_refuse(ask: Ask, back_office: BackOffice) -> None:
    ids = [f"{number:02}{'ş' * 253}" for number in range(50)]
    back_office.told(products=products(*ids))

    assert set(ask(by_remote_id(*ids))) == set(ids)

    calls = back_office.calls("GET", "/integration_actions/")
    assert max(len(f"GET {call['path']}?{call['query']} HTTP/1.1") for call in calls) <= 4094


def test_nothing_is_asked_for_nothing(ask: Ask, back_office: BackOffice) -> None:
    assert ask(by_remote_id()) == {}
    assert back_office.calls("GET", "/integration_actions/") == []


@pytest.mark.parametrize("remote_id", ["a,b", ",", "İı&=+/? #%", "1/1", '"', "x" * 255])
def test_an_id_may_hold_any_characters(ask: Ask, back_office: BackOffice, remote_id: str) -> None:
    back_office.told(products=products(remote_id, "a", "b"))

    assert set(ask(by_remote_id(remote_id, "a"))) == {remote_id, "a"}


def test_an_id_that_two_objects_share_gives_both(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(products=[{"channel": 1, "remote_id": "P", "sku": "one"}])
    pk = ask(by_remote_id("P"))["P"][0]
    back_office.told(products=[{"channel": 1, "remote_id": "Q", "sku": "two"}])
    other = back_office.rows("integration_actions", remote_id__exact="Q")[0]
    path = f"/api/v1/channel/1/integration_actions/{other['pk']}/"
    back_office.patch(path, json={"remote_id": "P"}).raise_for_status()

    assert sorted(ask(by_remote_id("P"))["P"]) == sorted([pk, other["object_id"]])


def test_links_of_other_channels_and_kinds_are_not_ours(ask: Ask, back_office: BackOffice) -> None:
    back_office.told(products=products("P", channel=2))

    assert ask(by_remote_id("P")) == {}
    assert ask(by_remote_id("SKU-1", kind="order")) == {}
    assert set(ask(by_remote_id("P"), channel=2)) == {"P"}


@pytest.fixture
def link(back_office: BackOffice, steps: Steps, shelf: Any) -> Link:
    """An order that is in Omnitron and has no link."""
    shelf(order("1"))
    steps.run()
    [row] = back_office.rows("orders")
    [action] = back_office.rows("integration_actions", content_type_name="order")
    return Link("order", row["pk"], str(action["remote_id"]), row["modified_date"])


def written(*links: Link) -> Any:
    return lambda omnitron: IntegrationActions(omnitron).write(links)


def test_a_link_that_is_there_is_left_alone(ask: Ask, back_office: BackOffice, link: Link) -> None:
    back_office.delete("/admin/requests")

    ask(written(link))

    assert not [call for method in ("POST", "PATCH") for call in back_office.calls(method, "/integration_actions/")]


def test_a_link_with_another_id_is_corrected(ask: Ask, back_office: BackOffice, link: Link) -> None:
    ask(written(Link("order", link.pk, "another", link.version_date)))

    assert back_office.linked("order") == {"another": link.pk}


def test_a_link_that_is_missing_is_written(ask: Ask, back_office: BackOffice, steps: Steps, shelf: Any) -> None:
    """The order was created, its lock is held: links go one by one."""
    back_office.post("/admin/lock", json={"channel": 1, "content_type": "order"}).raise_for_status()
    shelf(order("1"))

    async def until_push() -> None:
        chunks, _ = await steps.staged(DAY, "r")
        await steps.push(chunks, 0, "r")

    asyncio.run(until_push())
    [row] = back_office.rows("orders")

    ask(written(Link("order", row["pk"], "1", row["modified_date"])))
    ask(written(Link("order", row["pk"], "1", row["modified_date"])))

    [action] = back_office.rows("integration_actions", content_type_name="order")
    assert (action["remote_id"], action["object_id"], action["version_date"]) == ("1", row["pk"], row["modified_date"])


def test_a_link_whose_answer_was_lost_is_found_the_next_time(ask: Ask, back_office: BackOffice, link: Link) -> None:
    lost = Link("order", link.pk, "another", link.version_date)
    back_office.fault("PATCH", "/integration_actions/", "cut_after", times=9)
    with pytest.raises(UnknownOutcomeError):
        ask(written(lost), tries=2)
    back_office.delete("/admin/faults")

    ask(written(lost))

    assert back_office.linked("order") == {"another": link.pk}


class Actions:
    """A server whose integration actions ignore the filter `content_type_name`, and that is slow."""

    def __init__(self, *rows: dict[str, Any]) -> None:
        self.rows = rows
        self.calls: list[str] = []
        self.refused: int | None = None
        self.under_way = self.most = 0

    def write(self, *links: Link) -> dict[Link, RefusedError]:
        async def story(url: str) -> dict[Link, RefusedError]:
            async with HttpSession(f"{url}/", limits=Limits(tries=1, in_flight=4, requests_per_second=1e4)) as http:
                return await IntegrationActions(Omnitron(http, 1)).write(links)

        path = "/channel/1/integration_actions/"
        routes = [
            Route(path, self._list, methods=["GET"]),
            Route(path, self._keep, methods=["POST"]),
            Route(f"{path}{{pk}}/", self._keep, methods=["PATCH"]),
        ]
        with running(Starlette(routes=routes)) as url:
            return asyncio.run(story(url))

    async def _list(self, request: Request) -> Response:
        self.calls.append("GET")
        pks = request.query_params["object_id__in"].split(",")
        return JSONResponse({"results": [row for row in self.rows if str(row["object_id"]) in pks], "next": None})

    async def _keep(self, request: Request) -> Response:
        self.calls.append(request.method)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.05)
        self.under_way -= 1
        is_refused = (await request.json())["object_id"] == self.refused
        return JSONResponse({}, 400 if is_refused else 200)


def action(pk: int, model: str, object_id: int) -> dict[str, Any]:
    return {"pk": pk, "content_type": {"model": model}, "object_id": object_id, "remote_id": "old"}


def test_another_kind_s_action_of_the_same_number_is_never_changed() -> None:
    server = Actions(action(1, "orderitem", 7))

    with pytest.raises(ContractError, match=r"ignored a filter .*: content_type_name, object_id__in"):
        server.write(Link("order", 7, "new", "2026-01-05"))
    assert server.calls == ["GET"]


def test_actions_are_looked_up_in_bulk_and_written_some_at_a_time() -> None:
    server = Actions(*(action(1000 + pk, "order", pk) for pk in range(1, 11)))

    server.write(*(Link("order", pk, "new", "2026-01-05") for pk in range(1, 61)))

    assert [server.calls.count(method) for method in ("GET", "PATCH", "POST")] == [2, 10, 50]
    assert server.calls[:2] == ["GET", "GET"]
    assert server.most == 4


def test_one_object_is_written_once_with_what_was_said_last() -> None:
    server = Actions()

    server.write(Link("order", 1, "new", "2026-01-05"), Link("order", 1, "newer", "2026-01-05"))

    assert server.calls == ["GET", "POST"]


def test_one_link_that_is_refused_stops_no_other() -> None:
    server = Actions()
    server.refused = 1

    refused = server.write(*(Link("order", pk, "new", "2026-01-05") for pk in range(1, 10)))

    assert [(link.pk, error.status) for link, error in refused.items()] == [(1, 400)]
    assert server.calls.count("POST") == 9
    assert server.under_way == 0
