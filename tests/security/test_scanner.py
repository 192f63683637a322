"""The scanner finds what is there, however it is written, and nothing else."""

import base64
import gzip
import html
import json
import pickle
import sqlite3
import unicodedata
import urllib.parse
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.security.scanner import Scanner

NAME, PHONE = "Çiğdem Kanaryaoğlu", "+905359041773"
SCANNER = Scanner({"name": NAME, "phone": PHONE})
Spell = Callable[[str], str | bytes]

SPELLED: dict[str, Spell] = {
    "plain": lambda text: f"before {text} after",
    "bytes": lambda text: f"before {text} after".encode(),
    "capitals": lambda text: f"before {text.upper()} after",
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "json": lambda text: json.dumps({"name": text}),
    "json in json": lambda text: json.dumps(json.dumps({"name": text})),
    "repr of bytes": lambda text: repr(text.encode()),
    "url": lambda text: f"/customers/?q={urllib.parse.quote(text, safe='')}",
    "url twice": lambda text: urllib.parse.quote(urllib.parse.quote(text, safe=""), safe=""),
    "form": lambda text: urllib.parse.urlencode({"q": text}),
    "html": lambda text: html.escape(text).encode("ascii", "xmlcharrefreplace"),
    "hexadecimal": lambda text: text.encode().hex(),
    "base64, first place": lambda text: base64.b64encode(f"abc{text}xyz".encode()),
    "base64, second place": lambda text: base64.b64encode(f"a{text}".encode()),
    "base64, third place": lambda text: base64.b64encode(f"ab{text}x".encode()),
    "base64 for urls": lambda text: base64.urlsafe_b64encode(f"?>{text}".encode()),
    "gzip": lambda text: gzip.compress(text.encode()),
    "zlib": lambda text: zlib.compress(json.dumps(text).encode()),
    "gzip in gzip": lambda text: gzip.compress(gzip.compress(text.encode())),
    "pickle": lambda text: pickle.dumps({"name": text}),
    "broken bytes around": lambda text: b"\xff\xfe" + text.encode() + b"\xff",
}


@pytest.mark.parametrize("spell", SPELLED.values(), ids=SPELLED)
@pytest.mark.parametrize("marker", ["name", "phone"])
def test_finds_a_marker_however_it_is_written(spell: Spell, marker: str) -> None:
    found = SCANNER.content("a place", spell({"name": NAME, "phone": PHONE}[marker]))

    assert {finding.marker for finding in found} == {marker}
    assert all(finding.where.startswith("a place") for finding in found)


@pytest.mark.parametrize("text", ["0535 904 17 73", "(0535) 904-1773", "+90 535 904.17.73", "00905359041773"])
def test_finds_a_phone_number_as_people_write_it(text: str) -> None:
    scanner = Scanner({"phone": "5359041773"})

    assert {finding.marker for finding in scanner.content("a text", f"call {text} today")} == {"phone"}


@pytest.mark.parametrize("text", ["Çiğdem Kanarya", "535904177", "Kanaryaoğlu Çiğdem", "", "\x00", "kanaryaoglu"])
def test_finds_nothing_where_nothing_is(text: str) -> None:
    assert SCANNER.content("a text", text) == []
    assert SCANNER.content("a text", gzip.compress(text.encode())) == []


def test_a_marker_that_anything_may_hold_is_refused() -> None:
    with pytest.raises(AssertionError, match="too short"):
        Scanner({"name": "Ayşe"})


def test_finds_it_in_files_and_in_their_names_but_not_where_it_may_be(tmp_path: Path) -> None:
    (tmp_path / "runs" / PHONE).mkdir(parents=True)
    (tmp_path / "runs" / "page.gz").write_bytes(gzip.compress(NAME.encode()))
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "1.json").write_text(json.dumps({"who": NAME}))

    found = SCANNER.folder(tmp_path, but=["runs"])

    where = {(finding.where.removeprefix(f"{tmp_path.name}/"), finding.marker) for finding in found}
    assert where == {("links/1.json", "name"), (f"the name {tmp_path.name}/runs/{PHONE}", "phone")}


def test_finds_it_in_any_table_of_a_database_texts_and_bytes(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "airflow.db")) as db:
        db.execute("CREATE TABLE xcom (key TEXT, value BLOB)")
        db.execute('CREATE TABLE "odd name" (number INTEGER, "some note" TEXT)')
        db.execute("INSERT INTO xcom VALUES ('k', ?)", (zlib.compress(NAME.encode()),))
        db.execute('INSERT INTO "odd name" VALUES (5359041773, ?)', (f"call {PHONE}",))
        db.commit()

    found = {finding.where for finding in SCANNER.database(tmp_path / "airflow.db")}

    assert found == {"table xcom, column value, unpacked", "table odd name, column some note"}


def test_a_finding_says_where_and_what_is_around_it() -> None:
    [finding, *_] = SCANNER.content("the log", f"{'x' * 200}{NAME}{'y' * 200}")

    assert str(finding).startswith("name (plain) in the log: …xxx")
    assert len(finding.excerpt) < 200
