"""Looks for marked texts wherever a run may leave something, in every spelling that a machine may give them.

A marker is worth looking for only where nothing else can be taken for it: at least eight letters or digits.
"""

import gzip
import html
import json
import re
import sqlite3
import unicodedata
import zlib
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

SHORTEST = 8
DIGITS_AT_LEAST = 7
AROUND = 60  # characters of an excerpt on each side
BETWEEN_DIGITS = re.compile(r"(?<=\d)[\s().+/-]{1,3}(?=\d)")
PACKED: tuple[Callable[[bytes], bytes], ...] = (gzip.decompress, zlib.decompress)


@dataclass(frozen=True)
class Finding:
    """Which marker was found, where, and how it was written."""

    where: str
    marker: str
    spelling: str
    excerpt: str

    def __str__(self) -> str:
        return f"{self.marker} ({self.spelling}) in {self.where}: …{self.excerpt}…"


class Scanner:
    """`markers`: what is looked for, by the name of its field."""

    def __init__(self, markers: Mapping[str, str]) -> None:
        assert all(len(marker) >= SHORTEST for marker in markers.values()), "too short to be one's own"
        self.folded = [(name, *one) for name, marker in markers.items() for one in spellings(marker)]
        self.exact = [(name, *one) for name, marker in markers.items() for one in in_base64(marker)]
        digits = {name: re.sub(r"\D", "", marker) for name, marker in markers.items()}
        self.digits = [(name, "digits", one) for name, one in digits.items() if len(one) >= DIGITS_AT_LEAST]

    def content(self, where: str, content: bytes | str) -> list[Finding]:
        """In a text, and in what is packed in it."""
        text = content if isinstance(content, str) else content.decode("utf-8", "replace")
        folded = text.casefold()
        found = list(self._among(where, self.folded, folded))
        found += self._among(where, self.exact, text)
        found += self._among(where, self.digits, BETWEEN_DIGITS.sub("", folded))
        if isinstance(content, bytes) and content:
            for unpack in PACKED:
                with suppress(OSError, EOFError, zlib.error):
                    found += self.content(f"{where}, unpacked", unpack(content))
        return found

    def folder(self, root: Path, but: Collection[str] = ()) -> list[Finding]:
        """In the names of all files below, and in what is in them, but for some folders at its top."""
        found: list[Finding] = []
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            found += self.content(f"the name {root.name}/{name}", name)
            if path.is_file() and name.partition("/")[0] not in but:
                found += self.content(f"{root.name}/{name}", path.read_bytes())
        return found

    def database(self, path: Path) -> list[Finding]:
        """In every column of every table of an SQLite database."""
        return [finding for where, value in cells(path) for finding in self.content(where, value)]

    def _among(self, where: str, needles: Iterable[tuple[str, str, str]], text: str) -> Iterator[Finding]:
        for marker, spelling, needle in needles:
            if (place := text.find(needle)) >= 0:
                excerpt = text[max(place - AROUND, 0) : place + len(needle) + AROUND]
                yield Finding(where, marker, spelling, excerpt)


def spellings(marker: str) -> Iterator[tuple[str, str]]:
    """All but base64: case makes no difference in these."""
    escaped, quoted = json.dumps(marker)[1:-1], quote(marker, safe="")
    given = {
        "plain": marker,
        "decomposed": unicodedata.normalize("NFD", marker),
        "JSON": escaped,
        "JSON in JSON": json.dumps(escaped)[1:-1],
        "repr of bytes": repr(marker.encode())[2:-1],
        "URL": quoted,
        "URL in a URL": quote(quoted, safe=""),
        "form": quote_plus(marker),
        "HTML": html.escape(marker),
        "HTML in numbers": "".join(letter if letter.isascii() else f"&#{ord(letter)};" for letter in marker),
        "hexadecimal": marker.encode().hex(),
    }
    seen: set[str] = set()
    for name, text in given.items():
        folded = text.casefold()
        if folded not in seen:
            seen.add(folded)
            yield name, folded


def in_base64(marker: str) -> Iterator[tuple[str, str]]:
    """At each of the three places where it may begin, without the letters that its neighbours change."""
    content = marker.encode()
    for shift in range(3):
        letters = b64encode(b"\0" * shift + content).decode().rstrip("=")
        begin = -(-shift * 8 // 6)
        whole = (shift + len(content)) * 8 // 6
        for name, text in (("base64", letters), ("base64 for URLs", letters.translate(str.maketrans("+/", "-_")))):
            yield name, text[begin:whole]


def cells(path: Path) -> Iterator[tuple[str, bytes | str]]:
    """Every text and every bytes, with the names of its table and column."""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        db.text_factory = bytes
        for (raw,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            table = raw.decode()
            rows = db.execute(f'SELECT * FROM "{table}"')
            columns = [column[0] for column in rows.description]
            for row in rows:
                for column, value in zip(columns, row, strict=True):
                    if isinstance(value, bytes):
                        yield f"table {table}, column {column}", value
