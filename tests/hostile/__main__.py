"""`make hostile`: a week at a hostile marketplace, then 10,000 orders over servers that fail a tenth of all calls.

Exit 1 where anything differs in the end.
"""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.hostile import many, week
from tests.hostile.telling import Told

ORDERS = 10_000


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.hostile", description=__doc__)
    parser.add_argument("--windows", type=int, default=week.WEEK, help="of 15 minutes; 0: none")
    parser.add_argument("--orders", type=int, default=ORDERS, help="a multiple of 20; 0: none")
    said = parser.parse_args()
    logging.getLogger("order_integration").setLevel(logging.ERROR)  # thousands of calls fail on purpose
    told: list[Told] = []
    with tempfile.TemporaryDirectory(prefix="hostile-") as home:
        if said.windows:
            told.append(_shown(week.run(_room(home, "week"), said.windows)))
        if said.orders:
            told.append(_shown(many.run(_room(home, "many"), said.orders)))
    return 1 if any(one.differences for one in told) else 0


def _room(home: str, name: str) -> Path:
    room = Path(home) / name
    room.mkdir()
    return room


def _shown(told: Told) -> Told:
    sys.stdout.write("\n".join([*told.lines(), "", ""]))
    sys.stdout.flush()
    return told


if __name__ == "__main__":
    sys.exit(main())
