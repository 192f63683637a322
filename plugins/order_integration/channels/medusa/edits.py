"""What an order was when it was placed, and what its edits left of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from order_integration.channels.commands import Record
from order_integration.channels.medusa.reading import Query, path, rows
from order_integration.channels.medusa.units import quantity
from order_integration.transport import HttpSession

EDIT, CONFIRMED = "edit", "confirmed"
ADDED, CHANGED = "ITEM_ADD", "ITEM_UPDATE"


@dataclass
class Edited:
    """Lines that edits touched. What was taken away once stays away: a unit that is added again is another one."""

    placed: dict[str, int] = field(default_factory=dict)
    least: dict[str, int] = field(default_factory=dict)
    added: set[str] = field(default_factory=set)

    def cancelled(self, line: str) -> int:
        """How many of the units that were placed are cancelled."""
        return max(0, self.placed.get(line, 0) - self.least.get(line, 0))


async def changes(http: HttpSession, order: Record) -> list[Record]:
    """The order's changes; an order of version 1 has none.

    Shipments and returns raise the version, too, so that most orders have to be asked about. The list has no pages.
    """
    if order.get("version") == 1:
        return []
    query: Query = {"change_type": EDIT, "status": CONFIRMED}
    return rows(await http.get(path("orders", str(order["id"]), "changes"), query), "order_changes")


def edited(found: Iterable[Record]) -> Edited:
    """What confirmed edits did; Medusa ignores filters that it does not know, so they are looked at again."""
    result = Edited()
    edits = [one for one in found if one["change_type"] == EDIT and one["status"] == CONFIRMED]
    for edit in sorted(edits, key=lambda one: one["version"]):
        for action in sorted(edit["actions"], key=lambda one: one["ordering"]):
            line = str((action.get("details") or {}).get("reference_id"))
            if action["action"] == ADDED:
                result.added.add(line)
            elif action["action"] == CHANGED:
                _change(result, line, action["details"])
    return result


def _change(result: Edited, line: str, details: Record) -> None:
    left = quantity(details)
    result.placed.setdefault(line, left - int(details["quantity_diff"]))
    result.least[line] = min(left, result.least.get(line, left))
