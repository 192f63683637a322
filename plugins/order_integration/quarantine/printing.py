"""How rows become lines."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from order_integration.errors import CONTROL
from order_integration.exact_json import dumps

DONE, NOTHING, WRONG, NOT_TRIGGERED = range(4)  # exit codes
Row = Mapping[str, Any]


def say(text: str = "") -> None:
    """A line for the reader."""
    sys.stdout.write(f"{CONTROL.sub(' ', text)}\n")  # a record's key must not talk to the terminal


def complain(text: str, code: int) -> int:
    """What is wrong, and what to do; returns the exit code."""
    sys.stderr.write(f"{text}\n")
    return code


def as_json(rows: Any) -> None:
    """For programs: one document."""
    say(dumps(rows))


def table(rows: Sequence[Row], columns: Mapping[str, str]) -> None:
    """Columns as wide as what is in them; those that are empty everywhere are left out. `columns`: field → heading."""
    used = {name: title for name, title in columns.items() if any(_text(row.get(name)) for row in rows)}
    lines = [list(used.values()), *([_text(row.get(name)) for name in used] for row in rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(used))]
    for line in lines:
        say("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def fields(row: Row, names: Iterable[str]) -> None:
    """One under the other, without those that are empty."""
    known = [(name.replace("_", " "), _text(row.get(name))) for name in names if _text(row.get(name))]
    width = max((len(name) for name, _ in known), default=0)
    for name, text in known:
        say(f"  {name.ljust(width)}  {text}")


def indented(value: Any, depth: int = 1) -> None:
    """A record, a field a line."""
    pad = "  " * depth
    pairs = value.items() if isinstance(value, dict) else ((f"[{place}]", one) for place, one in enumerate(value))
    for name, one in pairs:
        if isinstance(one, dict | list) and one:
            say(f"{pad}{name}")
            indented(one, depth + 1)
        else:
            say(f"{pad}{name}: {one if isinstance(one, str) and one else dumps(one)}")


def _text(value: Any) -> str:
    if value is None or value is False:
        return ""
    text = "".join(one if one.isprintable() else "?" for one in str(value))  # a channel's id may be anything
    # Times to the second are enough for people.
    return text[:19].replace("T", " ") if text[4:5] == text[7:8] == "-" and text[10:11] == "T" else text
