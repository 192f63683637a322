"""`python -m sandbox.marketplace --port 8802 --database FILE`: serves the marketplace until it is stopped."""

import argparse
from datetime import datetime

from sandbox.faults import serve
from sandbox.marketplace.app import DEFAULT_CALLS_PER_SECOND, DEFAULT_FEED_SECONDS, create_app
from sandbox.marketplace.generator import DEFAULT_BAD, DEFAULT_RATE, DEFAULT_SEED
from sandbox.marketplace.hostility import Settings


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m sandbox.marketplace", description="A sandbox marketplace.")
    parser.add_argument("--port", type=int, default=8802)
    parser.add_argument("--database", default=":memory:", help="SQLite file, or :memory: (default)")
    parser.add_argument("--seed", type=int, default=DEFAULT_SEED)
    parser.add_argument("--rate", type=float, default=DEFAULT_RATE, help="orders an hour")
    parser.add_argument("--bad", type=float, default=DEFAULT_BAD, help="percent of orders that are bad on purpose")
    parser.add_argument("--api-key", help="X-Api-Key that callers need; else MARKETPLACE_API_KEY, else a fixed one")
    parser.add_argument(
        "--calls-per-second", type=float, default=DEFAULT_CALLS_PER_SECOND, help="more are told to wait; 0: no limit"
    )
    parser.add_argument("--feed-seconds", type=float, default=DEFAULT_FEED_SECONDS, help="until a feed is decided")
    parser.add_argument("--until", type=datetime.fromisoformat, help="moment, with zone: nobody buys from then on")
    parser.add_argument("--all-kinds", action="store_true", help="20 kinds of bad orders, not the 18 of a day")
    parser.add_argument("--hostile", action="store_true", help="late, twice, strange, moved, and failing: hostility.py")
    said = parser.parse_args()
    app = create_app(
        said.database,
        seed=said.seed,
        rate=said.rate,
        bad=said.bad,
        api_key=said.api_key,
        calls_per_second=said.calls_per_second or None,
        feed_seconds=said.feed_seconds,
        until=said.until,
        all_kinds=said.all_kinds,
        hostile=Settings(seed=said.seed) if said.hostile else None,
    )
    serve(app, said.port)


if __name__ == "__main__":
    main()
