"""What one task hands to the next: whole or not at all, for its owner only, any letters, one object a key."""

import gzip
import stat
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from order_integration.errors import ContractError
from order_integration.staging import ASKED, TOLD, Folder, OpenBatches, Staging, Waiting, key_digest

NOW, LATER = "2026-01-05T12:00:00+00:00", "2026-01-06T12:00:00+00:00"


@pytest.fixture(params=["file", "memory"])
def staging(request: pytest.FixtureRequest, tmp_path: Path) -> Staging:
    return Staging(f"{request.param}://{tmp_path}/staging")


@pytest.fixture
def local(tmp_path: Path) -> Staging:
    return Staging(f"file://{tmp_path}/staging")


def folder(staging: Staging, task: str = "fetch-0-1", run: str = "manual__2026") -> Folder:
    return Folder.of_attempt(staging, "shelf", "fetch_orders", run, task)


NUMBERS = st.integers() | st.decimals(allow_nan=False, allow_infinity=False)
LETTERS = st.text(st.characters(exclude_categories=()))  # halves of characters as well
ROWS = st.lists(st.dictionaries(LETTERS, LETTERS | NUMBERS), max_size=4)


@given(rows=ROWS)
def test_rows_come_back_as_they_went_whatever_letters_they_hold(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]]
) -> None:
    place = folder(Staging(f"file://{tmp_path_factory.mktemp('staging')}"))

    assert place.write("page", rows) == len(rows)

    assert list(place.read("page")) == rows


@pytest.mark.parametrize("text", ["\u2028 line", "a\nb\r\n\x85", "half a character \ud83d", "İıÇ 👩‍👩‍👧", "\x00"])
def test_no_letter_breaks_a_file(staging: Staging, text: str) -> None:
    place = folder(staging)

    place.write("page", [{"text": text}, {"next": 1}])

    assert list(place.read("page")) == [{"text": text}, {"next": 1}]


def test_a_folder_lists_its_files_sorted_and_an_empty_file_is_one(staging: Staging) -> None:
    place = folder(staging)
    assert place.names() == []

    place.write("b", [])
    place.write("a", [{"x": 1}])

    assert place.names() == ["a", "b"]
    assert list(place.read("b")) == []


def test_a_file_that_is_gone_says_what_to_do(staging: Staging) -> None:
    with pytest.raises(ContractError, match="clear the run from its fetch task"):
        folder(staging).read("page")


def test_attempts_do_not_mix(staging: Staging) -> None:
    folder(staging, task="fetch-0-1").write("page", [{"try": 1}])
    folder(staging, task="fetch-0-2").write("page", [{"try": 2}])
    folder(staging, run="scheduled__2026").write("page", [{"run": 2}])

    assert list(folder(staging, task="fetch-0-1").read("page")) == [{"try": 1}]
    assert folder(staging).path != folder(staging, run="scheduled__2026").path


@pytest.mark.parametrize("run", ["../../etc", "a/b", "manual__2026-01-05T12:00:00+03:00", "ş", "a\nb", "x" * 500])
def test_a_run_s_name_may_hold_any_characters(local: Staging, tmp_path: Path, run: str) -> None:
    folder(local, run=run).write("page", [{"a": 1}])

    [written] = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert written.relative_to(tmp_path / "staging/runs/shelf/fetch_orders").parts[1:] == (
        "fetch-0-1",
        "page.ndjson.gz",
    )


def test_only_the_owner_may_look(local: Staging, tmp_path: Path) -> None:
    folder(local).write("page", [{"a": 1}])
    Waiting.quarantine(local, "shelf", "fetch_orders").put("1", {"reason": "x"}, run="r", now=NOW)

    modes = {
        path: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "staging", *(tmp_path / "staging").rglob("*"))
    }
    assert {mode for path, mode in modes.items() if path.is_file()} == {0o600}
    assert {mode for path, mode in modes.items() if path.is_dir()} == {0o700}


def test_a_half_written_file_is_not_read(local: Staging, tmp_path: Path) -> None:
    """As a process leaves it that is killed while it writes."""
    place = folder(local)
    place.write("page", [{"a": 1}])
    (tmp_path / "staging" / place.path / ".page-2.ndjson.gz.4711").write_bytes(gzip.compress(b'{"half')[:10])

    assert place.names() == ["page"]


def test_the_same_rows_are_the_same_bytes(local: Staging) -> None:
    place = folder(local)
    place.write("one", [{"a": Decimal("1.10")}])
    place.write("two", [{"a": Decimal("1.10")}])

    assert local.read(f"{place.path}/one.ndjson.gz") == local.read(f"{place.path}/two.ndjson.gz")


def test_forgetting_twice_is_forgetting(staging: Staging) -> None:
    staging.write("a/b", b"x")

    staging.remove("a/b")
    staging.remove("a/b")

    assert staging.read("a/b") is None


@given(one=LETTERS, two=LETTERS)
def test_keys_get_names_of_their_own_that_are_safe_in_a_path(one: str, two: str) -> None:
    assert (key_digest(one) == key_digest(two)) == (one == two)
    assert key_digest(one).isalnum()
    assert len(key_digest(one)) == 24


# Records that wait ---------------------------------------------------------------------------------------------------


@pytest.fixture
def quarantine(staging: Staging) -> Waiting:
    return Waiting.quarantine(staging, "shelf", "fetch_orders")


def test_seen_again_moves_last_seen_and_is_no_news(quarantine: Waiting) -> None:
    assert quarantine.put("1", {"reason": "a", "record": {"n": 1}}, run="r1", now=NOW)["first_run"] == "r1"
    assert quarantine.put("1", {"reason": "a", "record": {"n": 2}}, run="r2", now=LATER)["first_run"] == "r1"

    known = quarantine.open_keys()["1"]
    assert (known["first_seen"], known["last_seen"], known["first_run"]) == (NOW, LATER, "r1")
    assert known["record"] == {"n": 2}


def test_the_same_run_again_brought_it_still(quarantine: Waiting) -> None:
    """A settle that is tried again counts what it counted before."""
    quarantine.put("1", {"reason": "a"}, run="r1", now=NOW)

    assert quarantine.put("1", {"reason": "a"}, run="r1", now=LATER)["first_run"] == "r1"


def test_another_reason_is_news(quarantine: Waiting) -> None:
    quarantine.put("1", {"reason": "a"}, run="r1", now=NOW)

    assert quarantine.put("1", {"reason": "b"}, run="r2", now=LATER)["first_run"] == "r2"
    assert quarantine.open_keys()["1"]["first_seen"] == LATER


def test_what_is_parked_waits_as_long_whatever_its_reason(staging: Staging) -> None:
    """It is told after days, and once: a record may flap between two reasons."""
    parked = Waiting.parked(staging, "shelf", "fetch_orders")
    parked.put("1", {"reason": "order_unknown"}, run="r1", now=NOW)

    assert parked.put("1", {"reason": "push_failed"}, run="r2", now=LATER)["first_seen"] == NOW

    parked.told("1")
    assert parked.put("1", {"reason": "order_unknown"}, run="r3", now=LATER)[TOLD]


def test_closing_keeps_key_and_reason_and_forgets_the_payload(quarantine: Waiting) -> None:
    quarantine.put("1", {"reason": "a", "record": {"name": "x"}, "dto": {"name": "x"}}, run="r1", now=NOW)

    quarantine.close("1", "superseded", now=LATER, read_at=LATER)

    known = quarantine.get("1")
    assert known is not None
    assert (known["key"], known["reason"], known["state"], known["closed"]) == ("1", "a", "superseded", LATER)
    assert not {"record", "dto"} & set(known)
    assert quarantine.open_keys() == {}


def test_closing_what_is_closed_or_never_was_changes_nothing(quarantine: Waiting) -> None:
    quarantine.put("1", {"reason": "a"}, run="r1", now=NOW)
    quarantine.close("1", "superseded", now=NOW, read_at=NOW)

    quarantine.close("1", "expired", now=LATER, read_at=LATER)
    quarantine.close("2", "expired", now=LATER, read_at=LATER)

    assert (quarantine.get("1") or {})["state"] == "superseded"
    assert quarantine.get("2") is None


def test_what_was_closed_and_comes_again_is_news(quarantine: Waiting) -> None:
    quarantine.put("1", {"reason": "a"}, run="r1", now=NOW)
    quarantine.close("1", "superseded", now=NOW, read_at=NOW)

    assert quarantine.put("1", {"reason": "a"}, run="r2", now=LATER)["first_run"] == "r2"
    assert quarantine.open_keys()["1"]["first_seen"] == LATER


def test_what_was_read_after_what_closes_it_stays_open(quarantine: Waiting) -> None:
    quarantine.put("1", {"reason": "a", "read_at": LATER}, run="r1", now=NOW)

    assert not quarantine.close("1", "superseded", now=LATER, read_at=NOW)
    assert list(quarantine.open_keys()) == ["1"]
    assert quarantine.close("1", "superseded", now=LATER, read_at=LATER)


def test_what_waits_already_keeps_its_record_and_reason_when_it_is_to_be_tried(staging: Staging) -> None:
    parked = Waiting.parked(staging, "shelf", "fetch_orders")
    parked.put("1", {"reason": "order_unknown", "record": {"n": 1}}, run="r1", now=NOW)

    for key in ("1", "2"):
        parked.ask(key, {"reason": "missing", "record": None}, run="r2", now=LATER)

    rows = parked.open_keys()
    assert {key: (row["reason"], row["record"], row[ASKED]) for key, row in rows.items()} == {
        "1": ("order_unknown", {"n": 1}, LATER),
        "2": ("missing", None, LATER),
    }
    assert ASKED not in parked.put("1", {"reason": "x"}, run="r3", now=LATER)


def test_channels_flows_and_kinds_of_waiting_are_apart(staging: Staging) -> None:
    Waiting.quarantine(staging, "shelf", "fetch_orders").put("1", {"reason": "a"}, run="r", now=NOW)

    assert Waiting.parked(staging, "shelf", "fetch_orders").open_keys() == {}
    assert Waiting.quarantine(staging, "shelf", "update_orders").open_keys() == {}
    assert Waiting.quarantine(staging, "other", "fetch_orders").open_keys() == {}


@pytest.mark.parametrize("key", ["../../x", "a/b", "", "ş\n", "half \ud83d"])
def test_a_key_may_hold_any_characters(quarantine: Waiting, key: str) -> None:
    quarantine.put(key, {"reason": "a"}, run="r", now=NOW)

    assert list(quarantine.open_keys()) == [key]


# Batch requests ------------------------------------------------------------------------------------------------------


def test_open_batch_requests_are_known_until_they_end(staging: Staging) -> None:
    batches = OpenBatches(staging, "shelf", "fetch_orders")
    batches.register(7, {"run": "r"})
    batches.register(12, {"run": "r"})
    OpenBatches(staging, "other", "fetch_orders").register(99, {"run": "r"})

    batches.ended(7)
    batches.ended(7)

    assert [row["pk"] for row in batches.all()] == [12]
