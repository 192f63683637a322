"""A sample of the sweeps, generated like all of them: `make faults` tries each call in each way."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FLOWS = 7
PATIENCE = 900  # seconds, on a machine that has much else to do
# For its own process: Airflow takes its home from the environment when it is loaded.
SAMPLE = [sys.executable, "-m", "tests.sweeps", "--sample", "--jobs", "2"]

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(PATIENCE)]


@pytest.fixture(scope="module")
def told() -> str:
    env = {**os.environ, "PYTHONPATH": f"{ROOT / 'plugins'}:{ROOT}"}
    done = subprocess.run(SAMPLE, cwd=ROOT, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


def test_whatever_fails_or_is_killed_every_flow_ends_as_if_nothing_had_happened(told: str) -> None:
    lines = re.findall(r"^\w+ +faults +(\d+)  kills +(\d+) .* differences (\d+)$", told, re.MULTILINE)

    assert len(lines) == FLOWS, told
    assert all(int(faults) and int(kills) and int(differences) == 0 for faults, kills, differences in lines), told


def test_a_product_that_is_broken_on_purpose_is_seen(told: str) -> None:
    [seen] = re.findall(r"^batches_not_registered +seen by (\d+) of \d+ kills$", told, re.MULTILINE)

    assert int(seen) > 0
