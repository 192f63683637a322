"""What a task's error tells: Airflow logs the text of every exception in a chain, and a text may quote a record."""

import logging
from traceback import format_tb

from order_integration.errors import IntegrationError

log = logging.getLogger(__name__)

OWN = frozenset({"airflow", __name__.partition(".")[0]})  # packages whose errors say nothing of anybody


class UnexpectedError(IntegrationError):
    """What was raised is none of ours (a connector's, a library's): its kind is told, and where, but not its text."""

    def __init__(self, error: Exception) -> None:
        why = (isinstance(error, OSError) and error.strerror) or "what it says is not told, it may quote a record"
        super().__init__(f"{type(error).__name__}: {why}")
        self.kind = type(error)


def unquoted(error: Exception) -> Exception:
    """The error itself, without causes that may quote somebody; or what stands for it. Its place is in the log."""
    if not _is_ours(error):
        log.error("%s was raised here:\n%s", type(error).__name__, "".join(format_tb(error.__traceback__)))
        return UnexpectedError(error)
    one: BaseException = error
    while (cause := _shown_cause(one)) is not None:
        if not _is_ours(cause):
            one.__cause__ = one.__context__ = None
        else:
            one = cause
    return error


def _shown_cause(error: BaseException) -> BaseException | None:
    return error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _is_ours(error: BaseException) -> bool:
    """Ours say nothing of anybody, Airflow's do not know anybody."""
    return isinstance(error, IntegrationError) or type(error).__module__.partition(".")[0] in OWN
