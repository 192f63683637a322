"""What has another shape than Medusa's answers have is refused by name, not by accident."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import InvalidOperation

from order_integration.channels.commands import bad_record
from order_integration.errors import Reason


@contextmanager
def shaped_like(what: str) -> Iterator[None]:
    """Turn a slip over one record into a RecordError that names what is missing."""
    try:
        yield
    except KeyError as missing:
        raise bad_record(str(missing.args[0]), f"missing in {what}", Reason.FIELD_MISSING) from None
    except (TypeError, AttributeError, InvalidOperation) as error:
        sentence = f"not shaped like {what}: {type(error).__name__}"
        raise bad_record(what.rpartition(" ")[2], sentence, Reason.RECORD_MALFORMED) from None
