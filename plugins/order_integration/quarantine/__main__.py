"""`python -m order_integration.quarantine list|show|replay|resolve|replayed|counts`, with a worker's environment."""

import getpass
import sys
from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from datetime import timedelta

from pydantic import TypeAdapter, ValidationError

from order_integration.channels.registry import Duration
from order_integration.errors import IntegrationError
from order_integration.flows import INBOUND
from order_integration.quarantine.commands import COMMANDS
from order_integration.quarantine.printing import WRONG, complain

PROGRAM = "python -m order_integration.quarantine"
ABOUT = """Records that wait: what is in quarantine, and what is parked. It reads the staging area that
ORDER_INTEGRATION_STAGING names, so give it the environment of an Airflow worker. People's data is never shown.

A KEY is the channel's id of the record, or its digest, which stands in logs and reports.

exit codes: 0 done; 1 there is nothing of that kind, or --yes is missing; 2 wrong use or settings; 3 it is parked, but
the DAG could not be triggered"""


def main(arguments: list[str]) -> int:
    """Exit code, as in the help."""
    known = _parser().parse_args(arguments)
    try:
        return COMMANDS[known.command](known)
    except IntegrationError as error:
        return complain(str(error), WRONG)


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog=PROGRAM, description=ABOUT, formatter_class=RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    listing = _command(commands, "list", "what waits, the oldest first")
    _filters(listing)
    listing.add_argument("--closed", action="store_true", help="what waits no longer, instead")
    listing.add_argument("--limit", type=int, default=100, help="rows at most (100); 0: all")

    showing = _command(commands, "show", "all that is known of a key; the record without people's data")
    showing.add_argument("key", metavar="KEY")

    replaying = _command(
        commands, "replay", "have records of the quarantine tried again: parked, and the flow's DAG run"
    )
    chosen = replaying.add_mutually_exclusive_group(required=True)
    chosen.add_argument("keys", nargs="*", default=[], metavar="KEY")
    chosen.add_argument("--reason", default="", help="all with this reason")
    chosen.add_argument("--all", action="store_true", help="all")
    replaying.add_argument("--note", default="", help="why, for those who look at it later")
    replaying.add_argument("--later", action="store_true", help="leave it to the flow's next run; trigger none")
    replaying.add_argument("--yes", action="store_true", help="needed for more than one record")
    _by(replaying)

    resolving = _command(commands, "resolve", "close a key with a note; its record is removed, key and reason stay")
    resolving.add_argument("key", metavar="KEY")
    resolving.add_argument("--note", required=True, help="why nothing has to be done any more")
    _by(resolving)

    _filters(_command(commands, "replayed", "what became of records that were to be tried again"))
    _filters(_command(commands, "counts", "how many wait, per channel, flow and reason"))
    return parser


def _command(commands: "object", name: str, about: str) -> ArgumentParser:
    made: ArgumentParser = commands.add_parser(name, help=about, description=about)  # type: ignore[attr-defined]
    made.add_argument("--channel", default="", help="only this channel")
    made.add_argument(
        "--flow", default="", choices=INBOUND, help="only this flow: " + ", ".join(INBOUND), metavar="FLOW"
    )
    made.add_argument("--json", action="store_true", help="for programs")
    return made


def _filters(parser: ArgumentParser) -> None:
    parser.add_argument("--reason", default="", help="only with this reason")
    parser.add_argument("--older-than", type=_age, metavar="AGE", help="first seen longer ago than this: 30m, 6h, 3d")
    parser.add_argument("--parked", action="store_true", help="what is parked, too")


def _by(parser: ArgumentParser) -> None:
    parser.add_argument("--by", default=_user(), help="who does it (you)")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        return "command line"


def _age(text: str) -> timedelta:
    try:
        return TypeAdapter[timedelta](Duration).validate_python(text)
    except ValidationError:
        raise ArgumentTypeError(f"{text!r} is no age: write it like 30m, 6h or 3d") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
