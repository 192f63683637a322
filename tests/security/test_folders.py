"""Every folder of staging is named where people look, and ends some day."""

import re
from pathlib import Path

from order_integration import staging
from order_integration.operators.housekeeping import KEPT

ROOT = Path(__file__).parents[2]
CALLS = re.compile(r'f?"(?P<folder>[a-z]+)/\{')  # how a path below staging is written in our code
# Emptied by the flows themselves, each when what it is about has ended; and what a flow's next run writes over.
ENDS_BY_ITSELF = {"batches", "links", "begun", "submissions", "fresh"}

EXPIRES_BY_CHANNEL = {"quarantine", "parked"}  # DAG `housekeeping`, ExpireWaiting: records by the channel's settings


def named_in_docstring() -> set[str]:
    return set(re.findall(r"<staging>/(\w+)/", staging.__doc__ or ""))


def written_by_code() -> set[str]:
    """What a path begins with in the modules that build paths."""
    plugins = ROOT / "plugins" / "order_integration"
    modules = [*(plugins / "staging").glob("*.py"), plugins / "flows" / "submissions.py"]
    return {match["folder"] for path in modules for match in CALLS.finditer(path.read_text())} - {"file"}


def test_every_folder_is_named_in_the_docstring_and_in_the_operations_manual() -> None:
    manual = (ROOT / "docs" / "operations.md").read_text()

    assert written_by_code() == named_in_docstring()
    assert {name for name in written_by_code() if f"<staging>/{name}/" not in manual} == set()


def test_every_folder_has_an_expiry_or_is_emptied_by_the_flows() -> None:
    assert set(KEPT) <= written_by_code()
    assert written_by_code() == set(KEPT) | EXPIRES_BY_CHANNEL | ENDS_BY_ITSELF
    assert not set(KEPT) & (EXPIRES_BY_CHANNEL | ENDS_BY_ITSELF)
