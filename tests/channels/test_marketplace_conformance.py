"""The conformance suite on the marketplace's connector, with nothing left out."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_connector_keeps_to_every_commands_contract():
    bench = "tests.channels.marketplace_bench:MarketplaceBench"
    path = os.pathsep.join((str(ROOT / "plugins"), str(ROOT)))

    run = subprocess.run(
        [sys.executable, "-m", "order_integration.conformance", bench, "--complete", "-q", "-p", "no:cacheprovider"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    assert "skipped" not in run.stdout
