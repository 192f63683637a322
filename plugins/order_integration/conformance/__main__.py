"""`python -m order_integration.conformance module:Bench [pytest's own arguments] [--complete]`."""

import sys

import pytest

PACKAGE = "order_integration.conformance"


def main(arguments: list[str]) -> int:
    """Exit code 0: the connector kept to everything that could be tried."""
    if not arguments or ":" not in arguments[0]:
        print(f"usage: python -m {PACKAGE} module:Bench [pytest's arguments]", file=sys.stderr)  # noqa: T201
        return 2
    bench, *more = arguments
    return int(pytest.main(["-p", f"{PACKAGE}.pytest_plugin", "--pyargs", PACKAGE, "--bench", bench, *more]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
