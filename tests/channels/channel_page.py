"""The code of docs/channels.md as a package, somewhere outside this repository."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/channels.md").read_text("utf-8")
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PACKAGE = "corner_shop"
POINT = re.compile(r'^(corner_shop) = "(\S+)"$', re.MULTILINE)


def files() -> dict[str, str]:
    """Path → code, in the page's order."""
    return dict(BLOCK.findall(PAGE))


def written(folder: Path) -> Path:
    """The package and, as an installer would write it, its entry point."""
    for name, code in {f"{PACKAGE}/__init__.py": "", **files()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, "utf-8")
    info = folder / f"{PACKAGE}-1.0.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(f"Metadata-Version: 2.1\nName: {PACKAGE}\nVersion: 1.0\n", "utf-8")
    name, target = POINT.findall(PAGE)[0]
    info.joinpath("entry_points.txt").write_text(f"[order_integration.connectors]\n{name} = {target}\n", "utf-8")
    return folder


@contextmanager
def installed(folder: Path) -> Iterator[None]:
    """On the path for as long as the test needs it."""
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
