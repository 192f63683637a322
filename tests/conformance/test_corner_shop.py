"""A third connector, written from the documentation page alone, and the suite that judges it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sandbox.faults import running
from tests.channels.channel_page import written
from tests.channels.corner_shop import create_app
from tests.conformance.judged import failed, judged

BENCH = "corner_shop.bench:CornerShopBench"
BY_NUMBER = """
    answer = await http.get(kind, {"since": window.start.isoformat(), "until": window.end.isoformat()})
    start = 0
    while start < len(answer["records"]):
        yield answer["records"][start : start + size]
        start += size
        answer = await http.get(kind, {"since": window.start.isoformat(), "until": window.end.isoformat()})
"""
QUOTES = """
        if not isinstance(response.get("address"), dict):
            from order_integration.channels.commands import bad_record
            raise bad_record("address", f"of {response.get('customer')} is none")
        buyer, address ="""
# What an author may get wrong: where, what instead, and the test that has to say so. Together stand those that don't
# meet in one test.
SLIPS = [
    [
        ("orders", "window.start.isoformat()", "window.start.replace(microsecond=0).isoformat()", "windows_that_meet"),
        ("orders", 'found(self.http, f"orders/{key}")', 'found(self.http, "orders/1001")', "record_by_its_key"),
    ],
    [
        ("orders", 'after = answer["next"]', "after = None", "whatever_the_page_size"),
        ("orders", "buyer, address =", QUOTES.strip(), "without_its_values"),
    ],
    [("orders", '    after = ""\n', f"{BY_NUMBER}    return\n", "hides_no_other")],
    [("orders", 'remote_id=response["id"]', 'remote_id="x" + response["id"]', "every_unit_is_an_item")],
    [
        ("orders", 'amount=response["total"]', 'amount=Decimal(response["total"]) + Decimal("0.01")', "money_is_exact"),
        ("orders", '=response["placed_at"]', '=response["placed_at"].replace("+03:00", "Z")', "time_of_an_order"),
    ],
    [
        ("sending", ' or one["code"] == "ALREADY"', "", "already_is_a_success"),
        ("cancels", 'list(response["units"])', 'list(response["units"])[-1:]', "cancels_are_totals"),
        ("news", "if value is not None", "", "clear_nothing"),
        ("requests", 'response["unit"]', 'response["unit"][:-1] + "1"', "one_record_a_unit"),
    ],
    [
        ("sending", "for item in order.items if item.is_shipped", "for item in order.items", "unit_by_unit"),
        ("requests", "any(one.decision is None for one in data)", "False", "without_a_decision"),
    ],
    [
        ("sending", "if updates else None", "if not updates else None", "found_by_its_reference"),
        ("requests", 'return request["of_form"] if', 'return request["of_form"][1:] if', "decision_is_told_once"),
    ],
    [
        ("sending", "state=FeedState.UNKNOWN", "state=FeedState.DONE", "does_not_know_is_unknown"),
        ("requests", 'if any(request["state"] == "open" for request in known.values())', "if True", "told_once"),
    ],
]


@pytest.fixture(scope="module")
def shop() -> Iterator[str]:
    with running(create_app()) as url:
        yield url


def test_the_connector_of_the_page_passes_the_whole_suite(shop: str, tmp_path: Path) -> None:
    run = judged(BENCH, "--complete", path=written(tmp_path), CORNER_SHOP_URL=shop)

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert re.search(r"^\d{2,} passed in", run.stdout, flags=re.MULTILINE)


@pytest.mark.parametrize("slips", SLIPS, ids=[" ".join(one[3] for one in slips) for slips in SLIPS])
def test_the_suite_says_what_a_connector_gets_wrong(
    shop: str, tmp_path: Path, slips: list[tuple[str, str, str, str]]
) -> None:
    folder = written(tmp_path) / "corner_shop"
    for file, right, wrong, _ in slips:
        code = folder.joinpath(f"{file}.py").read_text("utf-8")
        assert right in code
        folder.joinpath(f"{file}.py").write_text(code.replace(right, wrong), "utf-8")
    tests = [test for *_, test in slips]

    run = judged(BENCH, "-k", " or ".join(tests), path=tmp_path, CORNER_SHOP_URL=shop)

    assert run.returncode == 1, run.stdout[-3000:] + run.stderr
    assert [test for test in tests if not any(test in name for name in failed(run))] == []


def test_what_is_not_covered_is_said(shop: str, tmp_path: Path) -> None:
    path = written(tmp_path) / "corner_shop"
    bench = path.joinpath("bench.py").read_text("utf-8").replace("def news(", "def no_news(")
    path.joinpath("bench.py").write_text(bench, "utf-8")
    connector = path.joinpath("connector.py").read_text("utf-8").replace("ShopRequests, ShopAnswers, ShopSchema,", "")
    path.joinpath("connector.py").write_text(connector, "utf-8")

    run = judged(BENCH, path=tmp_path, CORNER_SHOP_URL=shop)
    strict = judged(BENCH, "--complete", "-k", "news", path=tmp_path, CORNER_SHOP_URL=shop)

    assert run.returncode == 0
    said = run.stdout.partition("NOT COVERED")[2]
    assert "  news\n" in said
    assert "  the connector has no GetCancellationRequests\n" in said
    assert strict.returncode == 1


def test_a_bench_has_to_be_named(tmp_path: Path) -> None:
    run = judged("", path=tmp_path)

    assert run.returncode == 2
    assert "module:Bench" in run.stderr
