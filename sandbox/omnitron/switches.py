"""Where the public documents are silent, a switch says how the stand-in behaves.

``GET /admin/switches`` shows them, ``PUT /admin/switches`` with some of them changes those, at run time:

* ``refused_commit_status`` (406): the status of a commit that meets another open batch request;
* ``expire_open_batches_minutes`` (null): an open batch request fails by itself after so many minutes without a change;
* ``item_touches_order`` (true): a change of an order item moves its order's ``modified_date``;
* ``updates_as_array`` (false): ``orders/updates/`` and ``cancellation_requests/updates/`` answer a bare array of all;
* ``operational_events_missing`` (false): the server is an older one without operational events, 404;
* ``strict_error_codes`` (false): an error report with a known (action, target, error_code) is refused, else updated;
* ``duplicates_as_400_list`` (false): duplicates answer 400 with a list, else 406 with a string;
* ``strict_filters`` (false): an unknown filter answers 400, else it is ignored and noted;
* ``login_limit_per_minute`` (5): logins that a user may try a minute, ``null`` for no limit.
"""

from dataclasses import dataclass, fields
from typing import Any


@dataclass
class Switches:
    """See the module's docstring."""

    refused_commit_status: int = 406
    expire_open_batches_minutes: float | None = None
    item_touches_order: bool = True
    updates_as_array: bool = False
    operational_events_missing: bool = False
    strict_error_codes: bool = False
    duplicates_as_400_list: bool = False
    strict_filters: bool = False
    login_limit_per_minute: int | None = 5

    def change(self, said: dict[str, Any]) -> str | None:
        """Takes over what was said, or nothing of it and a sentence about what is wrong."""
        names = {switch.name for switch in fields(self)}
        for name, value in said.items():
            if name not in names:
                return f"there is no switch {name!r}; there are {', '.join(sorted(names))}"
            if complaint := _complaint(name, value):
                return f"{name} {complaint}"
        for name, value in said.items():
            setattr(self, name, value)
        return None


def _complaint(name: str, value: Any) -> str | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    if name == "refused_commit_status":
        return None if whole and value in {400, 406, 409, 423} else "is 400, 406, 409 or 423"
    if name == "expire_open_batches_minutes":
        number = whole or isinstance(value, float)
        return None if value is None or (number and 0 < value < 1_000_000) else "is a number above 0, or null"
    if name == "login_limit_per_minute":
        return None if value is None or (whole and 0 < value < 1_000_000) else "is a whole number above 0, or null"
    return None if isinstance(value, bool) else "is true or false"
