"""pytest's side of the suite: the bench as a fixture, and what was not covered said aloud."""

from collections.abc import Generator, Iterator
from importlib import import_module
from typing import Any

import pytest

from order_integration.conformance.bench import Bench, NotCovered

SAID = "NOT COVERED: "


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--bench` and `--complete`."""
    group = parser.getgroup("conformance of a connector")
    group.addoption("--bench", metavar="module:Class", help="the bench whose connector is judged")
    group.addoption("--complete", action="store_true", help="what is not covered is a failure")


@pytest.fixture(scope="session")
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    """One bench for all tests."""
    module, _, name = str(request.config.getoption("--bench")).partition(":")
    made = getattr(import_module(module), name)()
    try:
        yield made
    finally:
        made.close()


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
    """What can't be tried is neither passed nor failed."""
    try:
        return (yield)
    except NotCovered as missing:
        if pyfuncitem.config.getoption("--complete"):
            pytest.fail(f"{SAID}{missing}", pytrace=False)
        pytest.skip(f"{SAID}{missing}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """A list at the end; skipped tests are easily overlooked."""
    said = [str(report.longrepr[2]) for report in terminalreporter.stats.get("skipped", []) if report.longrepr]
    missing = sorted({text.partition(SAID)[2] for text in said if SAID in text})
    if missing:
        terminalreporter.section("NOT COVERED")
        for text in missing:
            terminalreporter.line(f"  {text}")
