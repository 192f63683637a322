"""What ends a command, with the sentence that a person reads and the exit code that a script reads."""


class RunError(Exception):
    """Something went wrong; the text says what, and what to do."""

    exit_code = 1


class PortError(RunError):
    """A port that can't be had. Said before anything was started."""

    exit_code = 2
