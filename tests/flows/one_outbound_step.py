"""One outbound task in a process of its own, for tests that kill it."""

import asyncio
import json
from pathlib import Path

from order_integration.staging import Folder
from tests.flows.outbound_steps import OutboundSteps


def run_outbound_step(step: str, url: str, home: Path, run: str, given: str) -> None:
    """`given`: what an earlier task said, as JSON."""
    outbound = OutboundSteps(url, home)
    said = json.loads(given)
    if step == "send":
        asyncio.run(
            outbound.send(Folder(outbound.staging, said["ready"]), run, is_sync=said["is_sync"], last_try=False)
        )
    elif step == "check":
        outbound.checked(said, run)
    else:
        outbound.sweep()
