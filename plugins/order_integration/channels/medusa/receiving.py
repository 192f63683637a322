"""Receiving a return: begun, filled and confirmed in three calls, between which the order is locked.

A begun one is an order change that waits. One of ours that an earlier try left behind is finished or begun anew; one
that a person has begun is left to that person.
"""

from collections import Counter

from order_integration.channels.commands import Record
from order_integration.channels.medusa.reading import Query, path, rows
from order_integration.channels.medusa.units import quantity
from order_integration.errors import Reason, RecordError
from order_integration.transport import HttpSession

OURS = "omnitron"  # in the description of what we begin
RECEIVE, RECEIVE_ITEM = "return_receive", "RECEIVE_RETURN_ITEM"
WAITING = ("pending", "requested")


async def receive(http: HttpSession, return_: Record, lines: Counter[str]) -> None:
    """Receive so many units of each line.

    Raises RecordError where somebody else is at it.
    """
    wanted = Counter({line: units for line, units in lines.items() if units})
    key = str(return_["id"])
    begun = await _begun(http, return_)
    if begun and begun["description"] != OURS:
        raise RecordError(Reason.CONFLICT, "status", "somebody has begun to receive this return in Medusa")
    filled = _filled(begun)
    if begun and filled not in (Counter(), wanted):
        await http.call("DELETE", path("returns", key, "receive"))
        begun, filled = None, Counter()
    if begun is None:
        await http.call("POST", path("returns", key, "receive"), body={"description": OURS})
    if not filled:
        items = [{"id": line, "quantity": units} for line, units in sorted(wanted.items())]
        await http.call("POST", path("returns", key, "receive-items"), body={"items": items})
    await http.call("POST", path("returns", key, "receive", "confirm"), body={})


async def _begun(http: HttpSession, return_: Record) -> Record | None:
    query: Query = {"change_type": RECEIVE, "status[]": list(WAITING)}
    answer = await http.get(path("orders", str(return_["order_id"]), "changes"), query)
    for change in rows(answer, "order_changes"):
        if change["return_id"] == return_["id"] and change["change_type"] == RECEIVE and change["status"] in WAITING:
            return change
    return None


def _filled(begun: Record | None) -> Counter[str]:
    found: Counter[str] = Counter()
    for action in begun["actions"] if begun else ():
        if action["action"] == RECEIVE_ITEM:
            found[str(action["details"]["reference_id"])] += quantity(action["details"])
    return found
