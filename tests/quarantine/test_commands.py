"""The quarantine on the command line, over what a real run left behind."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from order_integration.quarantine.__main__ import main
from order_integration.staging import Places, Staging, key_digest
from tests.conftest import BackOffice
from tests.flows.steps import Steps, results
from tests.shelf import address, customer, order

ROOT = Path(__file__).parents[2]
FLOW = "fetch_orders"
LOST = address(city="Atlantis")
NAMELESS = {"customer": {**customer("gizli"), "email": None}}
PEOPLE = ("Ayşe", "Yılmaz", "gizli", "Moda Cd", "5321234567")


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def rows(self) -> Any:
        return json.loads(self.out)

    @property
    def keys(self) -> list[str]:
        return sorted(row["key"] for row in self.rows)


Run = Callable[..., Said]


@pytest.fixture
def steps(back_office: BackOffice, omnitron_url: str, tmp_path: Path, shelf: Any) -> Steps:
    """Three bad orders, of which two for the same reason."""
    shelf(order("1", shipping_address=LOST), order("2", minutes=1, **NAMELESS), order("3", minutes=2, **NAMELESS))
    steps = Steps(omnitron_url, tmp_path)
    assert results(steps.run()) == {"quarantined": 3}
    return steps


@pytest.fixture
def run(steps: Steps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """A command as a person types it, with the environment of a worker."""
    channels = tmp_path / "channels.yaml"
    channels.write_text(yaml.safe_dump({"channels": {"shelf": {}, "other": {}}}))
    monkeypatch.setenv("ORDER_INTEGRATION_STAGING", f"file://{tmp_path}/staging")
    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(channels))

    def typed(*words: str) -> Said:
        capsys.readouterr()
        try:
            code = main(list(words))
        except SystemExit as ended:  # argparse
            code = int(str(ended.code))
        return Said(code, *capsys.readouterr())

    return typed


@pytest.fixture
def places(steps: Steps) -> Places:
    return Places.of(steps.staging, "shelf", FLOW)


def test_what_waits_is_listed(run: Run) -> None:
    said = run("list")

    assert said.code == 0
    assert [line.split()[2] for line in said.out.splitlines()] == ["KEY", "1", "2", "3", "all"]
    assert "city_unknown" in said.out
    assert not any(name in said.out for name in PEOPLE)


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("--reason", "email_missing"), ["2", "3"]),
        (("--channel", "shelf", "--flow", FLOW), ["1", "2", "3"]),
        (("--flow", "fetch_and_create_cancel"), []),
        (("--channel", "other"), []),
        (("--older-than", "1h"), []),
        (("--older-than", "0s"), ["1", "2", "3"]),
        (("--closed",), []),
        (("--parked", "--reason", "push_failed"), ["9"]),
        (("--parked",), ["1", "2", "3", "9"]),
    ],
)
def test_a_list_may_be_narrowed(run: Run, places: Places, words: tuple[str, ...], keys: list[str]) -> None:
    places.parked.put("9", {"reason": "push_failed", "record": {}}, run="r", now=datetime.now(UTC).isoformat())

    said = run("list", "--json", *words)

    assert (said.keys, said.code) == (keys, 0 if keys else 1)


def test_a_long_list_is_cut_and_says_so(run: Run) -> None:
    assert "1 of 3" in run("list", "--limit", "1").out
    assert "3 in all" in run("list", "--limit", "0").out


def test_counts_are_per_reason(run: Run) -> None:
    rows = run("counts", "--json").rows

    assert [(row["flow"], row["reason"], row["count"]) for row in rows] == [
        (FLOW, "city_unknown", 1),
        (FLOW, "email_missing", 2),
    ]
    assert run("counts").out.count("shelf") == 2


@pytest.mark.parametrize("name", ["2", key_digest("2")])
@pytest.mark.parametrize("form", [(), ("--json",)])
def test_one_is_shown_without_people_s_data(run: Run, name: str, form: tuple[str, ...]) -> None:
    said = run("show", name, *form)

    assert said.code == 0
    assert not any(one in said.out for one in PEOPLE)
    for known in ("email_missing", key_digest("2"), "2-1/1", "50.00", "***"):
        assert known in said.out


def test_more_than_one_is_replayed_only_with_a_yes(run: Run, places: Places) -> None:
    said = run("replay", "--reason", "email_missing", "--later")

    assert said.code == 1
    assert "2 records would be tried again" in said.err
    assert "email_missing" in said.out
    assert places.parked.open_keys() == {}


@pytest.mark.parametrize(
    ("words", "keys"),
    [
        (("2",), ["2"]),
        ((key_digest("2"),), ["2"]),
        (("1", "2", "--yes"), ["1", "2"]),
        (("--reason", "email_missing", "--yes"), ["2", "3"]),
        (("--reason", "city_unknown"), ["1"]),
        (("--all", "--yes"), ["1", "2", "3"]),
    ],
)
def test_what_is_replayed_is_parked_for_the_next_run(
    run: Run, places: Places, steps: Steps, shelf: Any, words: tuple[str, ...], keys: list[str]
) -> None:
    said = run("replay", *words, "--later", "--note", "mended", "--by", "ayse")

    assert said.code == 0
    assert f"{len(keys)} parked: fetch_orders__shelf" in said.out
    assert sorted(places.parked.open_keys()) == keys
    shelf()
    steps.run()  # this shelf shows no single order: it begins with what was staged
    assert {
        row["key"]: (row["fate"], row["by"], row["note"]) for row in run("replayed", "--json").rows
    } == dict.fromkeys(keys, ("failed again", "ayse", "mended"))


def test_a_key_that_does_not_wait_stops_a_replay_before_it_began(run: Run, places: Places) -> None:
    said = run("replay", "1", "nobody", "--yes", "--later")

    assert said.code == 2
    assert "nobody is not open" in said.err
    assert places.parked.open_keys() == {}


def test_a_replay_that_can_t_be_triggered_stays_parked_and_says_what_to_do(
    run: Run, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "sqlite:///nowhere.db")  # Airflow refuses such a path

    said = run("replay", "1")

    assert said.code == 3
    assert "waiting_only" in said.err
    assert list(places.parked.open_keys()) == ["1"]


def test_what_is_resolved_keeps_its_reason_and_note_and_loses_its_record(run: Run, places: Places) -> None:
    said = run("resolve", key_digest("1"), "--note", "a test order", "--by", "ayse")

    assert said.code == 0
    assert run("list", "--json").keys == ["2", "3"]
    [row] = run("list", "--closed", "--json").rows
    assert (row["state"], row["note"], row["by"], row["reason"]) == ("resolved", "a test order", "ayse", "city_unknown")
    assert "removed" in run("show", "1").out
    assert run("resolve", "1", "--note", "again").code == 1


def test_a_key_that_waits_in_two_flows_is_not_guessed(run: Run, steps: Steps) -> None:
    other = Places.of(steps.staging, "shelf", "fetch_and_create_cancel")
    other.parked.put("1", {"reason": "order_unknown", "record": {}}, run="r", now=datetime.now(UTC).isoformat())

    said = run("resolve", "1", "--note", "x")

    assert said.code == 2
    assert "choose with --flow" in said.err
    assert run("resolve", "1", "--note", "x", "--flow", FLOW).code == 0
    assert other.parked.open_keys()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("list", "--channel", "nobody"), "there are: other, shelf"),
        (("list", "--older-than", "soon"), "30m, 6h or 3d"),
        (("list", "--flow", "update_orders"), "invalid choice"),
        (("replay",), "required"),
        (("replay", "1", "--all"), "not allowed"),
        (("resolve", "1"), "--note"),
        (("resolve", "1", "--note", " "), "--note is empty"),
        ((), "required"),
    ],
)
def test_what_is_typed_wrongly_is_said(run: Run, words: tuple[str, ...], sentence: str) -> None:
    said = run(*words)

    assert said.code == 2
    assert sentence in said.err


def test_a_staging_area_in_which_nothing_waits_is_named(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORDER_INTEGRATION_STAGING", f"file://{tmp_path}/elsewhere")

    said = run("list")

    assert (said.code, said.out) == (1, "")
    assert f"{tmp_path}/elsewhere" in said.err


def test_an_id_of_the_channel_can_t_draw_on_the_screen(run: Run, places: Places) -> None:
    row = {"reason": "refused", "field": "", "sentence": "", "record": {"\x1b[2J": "\x1b[2J", "orderId": "\x1b[2J"}}
    places.quarantine.put("\x1b[2J\nx", row, run="r", now="2026-01-01T00:00:00+00:00")

    for words in (("list",), ("list", "--json"), ("show", key_digest("\x1b[2J\nx"))):
        assert "\x1b" not in run(*words).out


def test_an_age_is_counted_from_when_it_was_first_seen(run: Run, places: Places) -> None:
    since = (datetime.now(UTC) - timedelta(days=3)).isoformat()
    places.quarantine.put("old", {"reason": "refused"}, run="r", now=since)

    assert run("list", "--older-than", "2d", "--json").keys == ["old"]


def test_it_is_a_program_that_starts_without_airflow(tmp_path: Path) -> None:
    code = (
        "import sys; from order_integration.quarantine.__main__ import main\n"
        "print(main(['list']), 'airflow' in sys.modules)"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT / "plugins"), "ORDER_INTEGRATION_STAGING": f"file://{tmp_path}"}

    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)

    assert done.stdout.split() == ["1", "False"]


def test_staging_is_where_airflow_s_home_is_if_nothing_else_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ORDER_INTEGRATION_STAGING", raising=False)
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))

    assert Staging.deployed().url == f"file://{tmp_path}/order_integration/staging"
