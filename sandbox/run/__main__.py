"""`python -m sandbox.run once|up|down|clean --channel marketplace|medusa [--json FILE]`."""

import argparse
import shutil
import signal
import sys
from pathlib import Path
from types import FrameType

from rich.console import Console

from sandbox.run import ports
from sandbox.run.errors import RunError
from sandbox.run.job import Job, down, write_json
from sandbox.run.servers import forget_medusa
from sandbox.run.state import REPOSITORY, State

INTERRUPTED = 130


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.run", description="Orders of a channel arrive in Omnitron."
    )
    parser.add_argument("command", choices=("once", "up", "down", "clean"))
    parser.add_argument("--channel", choices=("marketplace", "medusa"), default="marketplace")
    parser.add_argument("--json", metavar="FILE", help="write the result there as well; - for stdout")
    parser.add_argument("--home", type=Path, default=REPOSITORY / ".run", help="where everything is kept (.run)")
    options = parser.parse_args()
    console = Console(stderr=options.json == "-", soft_wrap=True)
    for sign in (signal.SIGINT, signal.SIGTERM):
        signal.signal(sign, _interrupt)
    try:
        return _command(options, State(options.home.expanduser().resolve()), console)
    except RunError as error:
        console.print(str(error), style="red", markup=False, highlight=False)
        return error.exit_code
    except KeyboardInterrupt:
        console.print("interrupted")
        return INTERRUPTED


def _command(options: argparse.Namespace, state: State, console: Console) -> int:
    if options.command in {"down", "clean"} and not state.home.exists():
        console.print("nothing was running")
        return 0
    with state.alone():
        if options.command in {"once", "up"}:
            return _run(options, state, console)
        down(state, console)
        if options.command == "clean":
            forget_medusa(state)
            shutil.rmtree(state.home)
    return 0


def _run(options: argparse.Namespace, state: State, console: Console) -> int:
    job = Job(state, ports.chosen(), options.channel, console)
    try:
        job.start()
        answer = job.run()
        if options.command == "up":
            job.keep_running()
    finally:
        job.end_what_was_started()
    if options.json:
        write_json(answer, options.json)
    return 0 if answer["ok"] else 1


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """Whoever asks us to end, and however we were started: what we started is ended first."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
