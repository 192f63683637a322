"""One task of a run in a process of its own, for tests that kill it."""

import asyncio
from pathlib import Path

from order_integration.staging import Folder
from tests.flows.steps import Steps


def run_step(step: str, url: str, home: Path, run: str, chunks: str, *pushed: str) -> None:
    steps = Steps(url, home)
    staged = Folder(steps.staging, chunks)
    if step == "push":
        asyncio.run(steps.push(staged, 0, run, last_try=False))
    else:
        asyncio.run(steps.settle(staged, [Folder(steps.staging, path) for path in pushed], run))
