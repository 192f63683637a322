"""The conformance suite on Medusa's connector and a real server."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.conformance.judged import ROOT, judged

PORT = os.environ.get("MEDUSA_CONFORMANCE_PORT", "9220")
MISSING_TOOLS = 3  # the stand's exit code
# What Medusa has not, and the connector says so.
NOT_THERE = {
    "ask cancel: Medusa's shoppers can't, they ask the shop",
    "GetUpdatedOrderItems.get_by_key: what waits is tried again as it was read",
}

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("medusa"), pytest.mark.timeout(3000)]


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where a new stand is. `MEDUSA_CONFORMANCE_HOME` names a home to use again, which saves a minute or two."""
    kept = os.environ.get("MEDUSA_CONFORMANCE_HOME")
    home = kept or str(tmp_path_factory.mktemp("medusa"))
    command = [sys.executable, "-m", "sandbox.medusa", "--home", home, "--port", PORT]
    try:
        up = subprocess.run([*command, "--orders", "0"], cwd=ROOT, capture_output=True, text=True, check=False)
        if up.returncode == MISSING_TOOLS:
            pytest.skip(up.stderr.strip())
        assert up.returncode == 0, up.stderr
        yield json.dumps(json.loads(up.stdout))
    finally:
        subprocess.run([*command, "--stop" if kept else "--forget"], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def test_the_connector_keeps_to_every_commands_contract(said: str) -> None:
    run = judged("tests.conformance.medusa:MedusaBench", path=ROOT, seconds=2400, CONFORMANCE_MEDUSA=said)

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    missing = run.stdout.partition("NOT COVERED")[2].splitlines()[1:]
    assert {line.strip() for line in missing if line.startswith("  ")} == NOT_THERE
