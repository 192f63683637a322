"""What can go wrong with the stand, each as one sentence that says what to do."""


class StandError(Exception):
    """The stand can't go on; the message is the whole story for the person at the terminal."""

    exit_code = 1


class MissingToolError(StandError):
    """A program that the stand needs is not on this machine."""

    exit_code = 3


class PortTakenError(StandError):
    """Somebody else listens where the stand should."""

    exit_code = 2
