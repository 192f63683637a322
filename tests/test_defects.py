"""The register of known defects is whole: each that matters has a test or a reason, and no mark names another."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.defects import DEFECTS, NOT_APPLICABLE

TESTS = Path(__file__).parent


def marks_in(path: Path) -> Iterator[str]:
    """The ids of `pytest.mark.defect("…")` in a file of tests."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.defect":
            yield from (ast.literal_eval(argument) for argument in node.args)


def marked() -> set[str]:
    return {number for path in TESTS.rglob("test_*.py") for number in marks_in(path)}


def test_every_defect_that_matters_has_a_test_or_a_reason() -> None:
    matter = {number for number, defect in DEFECTS.items() if defect.severity in "AB"}

    assert sorted(matter - marked() - set(NOT_APPLICABLE)) == []


def test_no_mark_names_an_unknown_defect() -> None:
    assert sorted(marked() - set(DEFECTS)) == []


def test_a_defect_has_a_test_or_a_reason_not_both() -> None:
    assert sorted(marked() & set(NOT_APPLICABLE)) == []
    assert set(NOT_APPLICABLE) <= set(DEFECTS)


def test_marks_are_found_in_the_source(tmp_path: Path) -> None:
    path = tmp_path / "test_some.py"
    path.write_text('import pytest\n@pytest.mark.defect("C2", "C4")\ndef test_one(): ...\n', "utf-8")

    assert list(marks_in(path)) == ["C2", "C4"]
