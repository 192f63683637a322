"""One real, seeded Medusa server for all tests that need one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from sandbox.medusa.client import Api, basic
from sandbox.medusa.orders import placed_numbers

ROOT = Path(__file__).parents[1]
# Kept from one session to the next, which saves minutes; `python -m sandbox.medusa --forget` begins anew.
HOME = os.environ.get("MEDUSA_STAND_HOME", str(ROOT / ".run" / "medusa-tests"))
PORT = os.environ.get("MEDUSA_STAND_PORT", "9140")
BEYOND = 1_000_000  # numbers of orders that are not the stand's own
MISSING_TOOLS = 3  # the stand's exit code

Said = dict[str, Any]


@contextmanager
def started() -> Iterator[Callable[[int], Said]]:
    """Called with a number, the server places so many new orders, and says where it is."""
    command = [sys.executable, "-m", "sandbox.medusa", "--home", HOME, "--port", PORT]

    def up(orders: int) -> Said:
        done = subprocess.run(
            [*command, "--orders", str(orders)], cwd=ROOT, capture_output=True, text=True, check=False
        )
        if done.returncode == MISSING_TOOLS:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def more(orders: int) -> Said:
        said = up(0)
        if not orders:
            return said
        admin = Api(said["base_url"], basic(said["api_key"]))
        there = sum(number < BEYOND for number in placed_numbers(admin))
        admin.close()
        return up(there + orders)

    try:
        yield more
    finally:
        subprocess.run([*command, "--stop"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
