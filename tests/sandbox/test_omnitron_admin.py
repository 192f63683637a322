import sqlite3

import httpx
import pytest

from sandbox.faults import running
from sandbox.omnitron import create_app
from tests.sandbox.omnitron_client import WORLD, Omnitron


def test_the_same_world_said_twice_changes_nothing(omnitron):
    omnitron.patch("/api/v1/channels/1/", json={"schema": {"a": {}}})

    news = omnitron.post("/admin/world", json=WORLD).json()

    assert set(news.values()) == {0}
    assert omnitron.get("/api/v1/channels/1/").json()["schema"] == {"a": {}}


def test_what_the_world_says_anew_takes_effect(omnitron):
    news = omnitron.post("/admin/world", json={"channels": [{"id": 1, "name": "marketplace", "is_active": False}]})

    assert news.json()["channels"] == 1
    assert omnitron.get("/api/v1/channels/1/").json()["is_active"] is False


@pytest.mark.parametrize(
    "world",
    [{"planets": []}, {"users": {}}, {"users": [{"username": "x"}]}, {"products": [{"channel": 9}]},
     {"mappings": [{"level": "city", "channel": 1, "code": "x", "name": "Atlantis"}]},
     {"mappings": [{"level": "country", "channel": 1, "code": "x", "name": "Türkiye", "city": "İstanbul"}]}],
)  # fmt: skip
def test_a_world_that_makes_no_sense_is_refused(omnitron, world):
    assert omnitron.post("/admin/world", json=world).status_code == 400


def test_a_reset_goes_back_to_the_start(omnitron):
    omnitron.order()
    omnitron.switch(strict_filters=True)

    omnitron.post("/admin/reset")

    counts = omnitron.get("/admin/counts").json()
    assert (counts["orders"], counts["channels"], counts["cities"]) == (0, 2, 81)
    assert omnitron.get("/admin/switches").json()["strict_filters"] is False


@pytest.mark.parametrize(
    "said", [{"nonsense": True}, {"strict_filters": 1}, {"refused_commit_status": 200}, {"login_limit_per_minute": 0}]
)
def test_a_switch_that_is_none_is_refused(omnitron, said):
    assert omnitron.put("/admin/switches", json={"item_touches_order": False, **said}).status_code == 400
    assert omnitron.get("/admin/switches").json()["item_touches_order"] is True


def test_the_page_stands_alone(omnitron):
    page = omnitron.get("/")

    assert page.headers["content-type"].startswith("text/html")
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_an_answer_that_was_cut_off_did_its_work(omnitron):
    body = omnitron.order_body()
    omnitron.post("/admin/faults", json={"path": "create_orders", "times": 1, "action": {"kind": "cut_after"}})

    with pytest.raises(httpx.TransportError):
        omnitron.add("create_orders", **body)

    assert omnitron.add("create_orders", **body).status_code == 406
    assert len(omnitron.rows("orders", number="N1")) == 1


def test_a_file_keeps_everything_over_a_restart_and_reads_without_this_code(tmp_path):
    file = tmp_path / "omnitron.db"
    with running(create_app(str(file), WORLD)) as url, Omnitron(base_url=url) as client:
        client.log_in()
        order, items = client.order()

    with running(create_app(str(file), WORLD)) as url, Omnitron(base_url=url) as again:
        again.log_in()
        kept = again.rows("orders", number="N1")
        changed = again.change(f"order_items/{items[0]['pk']}", status="500").json()

    connection = sqlite3.connect(file)
    rows = connection.execute(
        'SELECT o.number, o.amount, i.status FROM orders o JOIN order_items i ON i."order" = o.pk'
    )
    assert kept == [order]
    assert changed["modified_date"] > items[0]["modified_date"]
    assert rows.fetchall() == [("N1", "20.00", "500"), ("N1", "20.00", "400")]
    connection.close()
