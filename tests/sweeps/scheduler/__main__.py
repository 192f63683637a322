"""By itself, and talkative: `python -m tests.sweeps.scheduler`."""
# ruff: noqa: T201 - what it has to say is for a person

import sys
import time

from tests.sweeps.scheduler import report

began = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - began:5.1f} s] {text}", flush=True)


if __name__ == "__main__":
    sys.exit(0 if report(say) else 1)
