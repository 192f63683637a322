"""The conformance suite on Medusa's connector and a real server."""

import json
from collections.abc import Callable

import pytest

from tests.conformance.judged import ROOT, judged
from tests.real_medusa import Said

# What Medusa has not, and the connector says so.
NOT_THERE = {"ask cancel: Medusa's shoppers can't, they ask the shop"}

pytestmark = [pytest.mark.e2e, pytest.mark.by_hand, pytest.mark.timeout(3000)]


def test_the_connector_keeps_to_every_commands_contract(medusa: Callable[[int], Said]) -> None:
    run = judged(
        "tests.conformance.medusa:MedusaBench", path=ROOT, seconds=2400, CONFORMANCE_MEDUSA=json.dumps(medusa(0))
    )

    assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-1000:]
    missing = run.stdout.partition("NOT COVERED")[2].splitlines()[1:]
    assert {line.strip() for line in missing if line.startswith("  ")} == NOT_THERE
