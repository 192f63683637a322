"""`python -m sandbox.medusa --home DIR`: a seeded Medusa server; `--stop` ends it."""

import argparse
import json
import sys
from pathlib import Path

from sandbox.medusa import stand
from sandbox.medusa.errors import StandError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sandbox.medusa", description=__doc__)
    parser.add_argument("--home", type=Path, required=True, help="where everything of this stand is kept")
    parser.add_argument("--port", type=int, default=9100, help="of Medusa (9100)")
    parser.add_argument("--postgres-port", type=int, default=None, help="of its database (one above --port)")
    parser.add_argument("--orders", type=int, default=40, help="how many orders there should be at least (40)")
    end = parser.add_mutually_exclusive_group()
    end.add_argument("--stop", action="store_true", help="end both processes and nothing else")
    end.add_argument("--forget", action="store_true", help="end both processes and remove what the stand made")
    chosen = parser.parse_args()
    home = chosen.home.expanduser().resolve()
    try:
        if chosen.stop or chosen.forget:
            answer = stand.forget(home) if chosen.forget else stand.stop(home)
        else:
            answer = stand.up(home, chosen.port, chosen.postgres_port or chosen.port + 1, chosen.orders)
    except StandError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted: the same command goes on from here, --stop ends what runs", file=sys.stderr)
        return 130
    print(json.dumps(answer), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
