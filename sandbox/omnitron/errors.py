"""What a refused call answers, in the shapes of Akinon's API reference."""

from typing import Any

from sandbox.omnitron.switches import Switches


class ApiError(Exception):
    """Ends a call with this answer, and rolls back what it wrote."""

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers


def invalid(field: str, message: str) -> ApiError:
    return ApiError(400, {field: [message], "code": "invalid"})


def missing() -> ApiError:
    return ApiError(404, {"detail": "Not found."})


def refused(text: str, code: str) -> ApiError:
    """A business rule says no; the text is a plain string, as in the screenshots of Akinon's guide."""
    return ApiError(406, {"non_field_errors": text, "code": code})


def duplicate(switches: Switches, text: str, code: str) -> ApiError:
    """Something that has to be unique is there already."""
    if switches.duplicates_as_400_list:
        return ApiError(400, {"non_field_errors": [text], "code": code})
    return refused(text, code)
