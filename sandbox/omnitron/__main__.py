"""``python -m sandbox.omnitron --port 8801 --database FILE [--world FILE]``."""

import argparse
import json
from pathlib import Path

from sandbox.faults import serve
from sandbox.omnitron.app import create_app


def main() -> None:
    parser = argparse.ArgumentParser(prog="sandbox.omnitron", description="A stand-in for Akinon's Omnitron.")
    parser.add_argument("--port", type=int, default=8801)
    parser.add_argument("--database", required=True, help="an SQLite file, or :memory:")
    parser.add_argument("--world", type=Path, help="a JSON file: users, channels, products, ... (sandbox/README.md)")
    options = parser.parse_args()
    world = json.loads(options.world.read_text("utf-8")) if options.world else None
    serve(create_app(options.database, world), options.port)


if __name__ == "__main__":
    main()
