import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from sandbox.faults import running
from sandbox.marketplace.app import LOOPBACK_KEY, create_app
from sandbox.marketplace.generator import expected_of, orders_between
from sandbox.marketplace.hostility import OLD, WAYS_OF_A_MARKETPLACE, Hostility, Settings
from sandbox.marketplace.kinds import ALL_BAD, BAD, PAIRS
from sandbox.marketplace.order import millis, moment
from sandbox.storms import REFUSED_SECONDS

NOW = 1_774_000_000_000
DAY = 86_400_000
HOUR = 3_600_000
CALM: dict[str, Any] = {"late": 0, "twice": 0, "strange": 0, "moved": 0, "faults": 0}


class Clock:
    """A time that tests set."""

    def __init__(self) -> None:
        self.ms = NOW

    def __call__(self) -> int:
        return self.ms


@contextmanager
def market(clock: Clock | None = None, **settings: Any) -> Iterator[httpx.Client]:
    app = create_app(calls_per_second=None, clock=clock or Clock(), hostile=Settings(**{**CALM, **settings}))
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as client:
        yield client


def pages(api: httpx.Client, start: int = NOW - DAY, end: int = NOW, *, name: str = "orders", size: int = 50) -> Any:
    query: dict[str, Any] = {"modified_from": start, "modified_to": end, "size": size}
    while True:
        answer = api.get(f"/api/{name}", params=query)
        assert answer.status_code == 200, answer.text
        yield answer.json()[name]
        if answer.json()["next"] is None:
            return
        query["after"] = answer.json()["next"]


def rows(api: httpx.Client, *window: int, **how: Any) -> list[dict[str, Any]]:
    return [row for page in pages(api, *window, **how) for row in page]


def ids(found: list[dict[str, Any]]) -> set[int]:
    return {row["orderId"] for row in found}


def plan(start: int = NOW - DAY, end: int = NOW) -> set[int]:
    return {row.id for row in orders_between(1, 12, moment(start), moment(end))}


def struck(api: httpx.Client) -> dict[str, int]:
    return dict(api.get("/admin/hostile").json()["struck"])


def test_the_same_seed_shows_the_same_pages() -> None:
    worst: dict[str, Any] = {"late": 0.5, "twice": 0.5, "strange": 0.5}
    with market(**worst) as one, market(**worst) as same, market(**worst, seed=2) as other:
        found = rows(one)

        assert rows(same) == found == rows(one)
        assert rows(other) != found


def test_an_entry_is_listed_late_but_never_later_than_was_promised() -> None:
    clock = Clock()
    with market(clock, late=1.0, lag_ms=HOUR, late_ms=HOUR) as api:
        at_once, wanted = ids(rows(api, NOW - HOUR, NOW)), plan(NOW - HOUR, NOW)
        missing = wanted - at_once
        by_id = [api.get(f"/api/orders/{one}").status_code for one in missing]
        clock.ms = NOW + HOUR

        assert missing
        assert set(by_id) == {200}
        assert ids(rows(api, NOW - HOUR, NOW)) == wanted


def test_the_list_does_not_count_what_it_does_not_show_yet() -> None:
    with market(late=1.0, lag_ms=HOUR) as api:
        answer = api.get("/api/orders", params={"modified_from": NOW - HOUR, "modified_to": NOW, "size": 200}).json()

        assert answer["total"] == len(answer["orders"]) < len(plan(NOW - HOUR, NOW))


def test_some_are_later_than_the_promise_and_most_are_not() -> None:
    hostility = Hostility(Settings(late=1.0, lag_ms=1000, late_ms=10_000))

    delays = [hostility.late_by(key, NOW) for key in range(1000)]

    assert 0 <= min(delays) < max(delays) <= 10_000
    assert sum(delay > 1000 for delay in delays) < 400


def test_a_cancellation_and_a_claim_are_late_as_well() -> None:
    clock = Clock()
    with market(clock, late=1.0) as api:
        orders = [row.id for row in orders_between(1, 12, moment(NOW - DAY), moment(NOW)) if row.fault is None][:20]
        for one in orders:
            api.post(f"/admin/orders/{one}/claim", json={"type": "CANCEL"}).raise_for_status()
            api.post(f"/admin/orders/{one}/cancel").raise_for_status()
        early = {name: len(rows(api, NOW, NOW + 1, name=name)) for name in ("claims", "cancellations")}
        clock.ms += 600_000

        assert 0 <= early["claims"] < 20
        assert early["cancellations"] < len(rows(api, NOW, NOW + 1, name="cancellations"))
        assert len(rows(api, NOW, NOW + 1, name="claims")) == 20


def test_entries_stand_twice_in_a_page_in_two_pages_and_beside_an_older_version() -> None:
    with market(twice=1.0) as api:
        first, second = list(pages(api, size=10))[:2]

        versions = Counter((row["orderId"], row["changedAtMs"]) for row in first)
        assert second[0]["orderId"] in ids(first)
        assert max(versions.values()) > 1
        older = [row for row in first if row["note"] == OLD]
        assert older
        assert all(versions[row["orderId"], row["changedAtMs"] + 1] for row in older)
        assert set(struck(api)) >= {"twice in a page", "again on the next page", "with an older version"}


def test_nobody_is_left_out_whatever_stands_twice() -> None:
    with market(twice=0.5, strange=0.5) as api:
        assert ids(rows(api, size=7)) == plan()


def test_a_unit_a_claim_and_an_order_may_be_in_a_state_that_nobody_knows() -> None:
    clock = Clock()
    with market(clock, strange=1.0) as api:
        orders = [row for row in orders_between(1, 12, moment(NOW - DAY), moment(NOW)) if row.fault is None][:4]
        for one in orders:
            api.post(f"/api/orders/{one.id}/shipment", json={}).raise_for_status()
            api.post(f"/admin/orders/{one.id}/deliver").raise_for_status()
            api.post(f"/admin/orders/{one.id}/claim", json={"type": "RETURN"}).raise_for_status()
        clock.ms += 1000
        [shown] = [row for row in rows(api, NOW, NOW + 1000) if row["orderId"] == orders[0].id]
        claims = rows(api, NOW, NOW + 1000, name="claims")

        assert shown["state"] == "ON_HOLD"
        assert {unit["state"] for line in shown["lines"] for unit in line["units"]} == {"AT_HUB"}
        assert "loyalty" in shown
        assert {claim["state"] for claim in claims} == {"WAITING", "UNDER_REVIEW"}
        assert {claim["type"] for claim in claims} == {"RETURN", "EXCHANGE"}
        assert api.get(f"/api/orders/{orders[0].id}").json()["state"] == "DELIVERED"


def test_somebody_modifies_orders_between_two_pages() -> None:
    with market(moved=1.0) as api:
        reader = pages(api, NOW - DAY, NOW - HOUR, size=50)
        first = next(reader)
        rest = [row for page in reader for row in page]

        moved = rows(api, NOW, NOW + 1000)
        was_read = ids(first) | ids(rest)
        assert ids(moved) - was_read  # gone before they were read
        assert ids(moved) & was_read
        assert all(row["touched"] for row in moved)
        assert was_read | ids(moved) == plan(NOW - DAY, NOW - HOUR)


def test_pairs_of_orders_are_neither_late_nor_moved() -> None:
    pairs = {row.id for row in orders_between(1, 12, moment(NOW - DAY), moment(NOW)) if row.fault in PAIRS}
    with market(late=1.0, moved=1.0, lag_ms=DAY, late_ms=2 * DAY) as api:
        found = rows(api, size=3)

        assert pairs <= ids(found)
        assert not any(row.get("touched") for row in found if row["orderId"] in pairs)


def test_calls_fail_at_all_endpoints_and_in_every_way_but_a_wrong_key() -> None:
    with market(faults=1.0, slow_seconds=0.01) as api:
        rules = api.get("/admin/faults").json()
        answers = [answer_to(api, path) for path in ("/api/orders/1", "/api/claims/reasons", "/api/feeds") * 5]

        assert [rule["name"] for rule in rules] == list(WAYS_OF_A_MARKETPLACE)
        assert "401" not in WAYS_OF_A_MARKETPLACE
        assert len(set(answers)) > 4
        assert all(call["fault"] for call in api.get("/admin/requests").json())


def answer_to(api: httpx.Client, path: str) -> str:
    try:
        return str(api.get(path).status_code)
    except httpx.ConnectError:  # an earlier call had the server refuse all connections for a moment
        time.sleep(REFUSED_SECONDS)
        return answer_to(api, path)
    except httpx.TransportError as error:
        return type(error).__name__


def test_hostility_is_turned_on_changed_and_off() -> None:
    with market() as api:
        calm = rows(api)
        api.delete("/admin/hostile").raise_for_status()
        off = (rows(api), api.get("/admin/faults").json(), api.get("/admin/hostile").json())
        api.post("/admin/faults", json={"path": "/nowhere", "action": {"kind": "cut_before"}}).raise_for_status()
        api.put("/admin/hostile", json={**CALM, "twice": 1.0}).raise_for_status()
        more = rows(api)
        changed = api.put("/admin/hostile", json={"strange": 0.5}).json()["settings"]

        assert off == (calm, [], {"settings": None})
        assert len(more) > len(calm)
        assert (changed["twice"], changed["strange"]) == (1.0, 0.5)
        assert [rule["path"] for rule in api.get("/admin/faults").json()] == ["/nowhere"]


@pytest.mark.parametrize("said", [{"twice": 2}, {"late": "much"}, {"rude": 1}, {"faults": True}])
def test_settings_that_make_no_sense_are_refused(said: dict[str, Any]) -> None:
    with market() as api:
        answer = api.put("/admin/hostile", json=said)

        assert (answer.status_code, answer.json()["code"]) == (422, "SETTINGS_INVALID")


def test_all_twenty_kinds_come_in_turn_where_they_are_asked_for() -> None:
    start, hours = moment(NOW - DAY), len(ALL_BAD) * 20 / 12
    end = moment(NOW - DAY + int(hours * HOUR))

    found = expected_of(orders_between(1, 12, start, end, bad=5, rotation=ALL_BAD))

    assert len(ALL_BAD) == 20
    assert found.quarantined == dict.fromkeys(sorted(ALL_BAD), 1)
    assert set(expected_of(orders_between(1, 12, start, end, bad=5)).quarantined) == set(BAD)


def test_a_marketplace_shows_all_kinds_where_it_is_told_to() -> None:
    app = create_app(calls_per_second=None, clock=lambda: NOW, bad=100, all_kinds=True)
    with running(app) as url, httpx.Client(base_url=url, headers={"X-Api-Key": LOOPBACK_KEY}) as api:
        shown = rows(api, NOW - 2 * HOUR, NOW)

    wanted = orders_between(1, 12, moment(NOW - 2 * HOUR), moment(NOW), bad=100, rotation=ALL_BAD)
    assert ids(shown) == {row.id for row in wanted}
    assert any("street" not in row["deliverTo"] for row in shown)
    assert all(millis(row.modified_at) for row in wanted)
