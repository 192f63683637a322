"""By itself, and talkative: `python -m tests.sweeps.scheduler`."""

import sys
import time

from tests.sweeps.scheduler import run

began = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


found = run(say)
for flow, cases, differences in found:
    print(f"{flow:45} {cases:4} cases  {len(differences):4} differences")
sys.exit(any(differences for _, _, differences in found))
