"""The conformance suite as a connector's author runs it: in a process of its own, by the bench's name."""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def judged(
    bench: str, *arguments: str, path: Path, seconds: float = 280, **environment: str
) -> subprocess.CompletedProcess[str]:
    """`path` is where the bench is found. Runs in that folder, so that this repository's settings are not in force."""
    command = [sys.executable, "-m", "order_integration.conformance", bench, "-q", "-p", "no:cacheprovider", *arguments]
    paths = os.pathsep.join([str(ROOT / "plugins"), str(path)])
    settings = {**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", **environment}
    return subprocess.run(command, cwd=path, env=settings, capture_output=True, text=True, timeout=seconds, check=False)


def failed(run: subprocess.CompletedProcess[str]) -> set[str]:
    """The names of the tests that failed."""
    return set(re.findall(r"^FAILED \S*::(\w+)", run.stdout, flags=re.MULTILINE))
