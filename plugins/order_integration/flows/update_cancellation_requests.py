"""Flow 7: what was decided in Omnitron about cancellation requests is told to the channel.

`fetch → transform → send → settle`, a function each; the last one is that of all flows to a channel. Omnitron offers a
request that changed. The channel may answer several in one go (the lines of a return), so they are told together, each
as it is now; only those that were offered are objects of the run's batch request.
"""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from order_integration.channels.commands import Connector, UpdateCancellationRequest
from order_integration.errors import LockedError
from order_integration.flows.outbound import How, Sending, Sent, State, end_left_over, job
from order_integration.flows.telling import Telling
from order_integration.flows.translating import Request, Translator, backwards
from order_integration.omnitron.batch_requests import is_held_by_channel
from order_integration.omnitron.cancellation_requests import KIND, CancellationRequests
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.staging import Folder

FLOW = "update_cancellation_requests"
CONTENT_TYPE = KIND
DUE = "due"
READY = "ready"
PAGE = 50  # of the service that offers; the size known to be in production use

log = logging.getLogger(__name__)
Row = dict[str, Any]


# fetch ----------------------------------------------------------------------------------------------------------------


async def fetch(omnitron: Omnitron, connector: Connector, folder: Folder) -> Row:
    """Stage all requests that are due. All pages before the first commit: what fails is offered again at once.

    Raises ConfigurationError for reasons that can't be read backwards, and for a connector that can't be told.
    """
    connector.command(UpdateCancellationRequest)  # type: ignore[type-abstract]
    await backwards(omnitron)
    path = omnitron.at("cancellation_requests/updates/")
    due = {id_of(row): row async for page in omnitron.pages(path, {}, limit=PAGE) for row in page}
    return {"due": folder.write(DUE, due.values())}


# transform ------------------------------------------------------------------------------------------------------------


async def transform(omnitron: Omnitron, connector: Connector, fetched: Folder, folder: Folder) -> Row:  # noqa: ARG001
    """Stage the requests in the channel's words. Returns counts."""
    requests = await Translator(omnitron, await backwards(omnitron)).requests(list(fetched.read(DUE)))
    folder.write(READY, (request.as_row() for request in requests))
    return {"due": len(requests), "unmapped": sum(request.told is None for request in requests)}


# send -----------------------------------------------------------------------------------------------------------------


async def send(sending: Sending, connector: Connector, ready: Folder, how: How) -> Row:  # noqa: ARG001
    """Tell the channel, and end the batch request with its answers. Returns what settle has to know.

    A call is the last word of its group: killed after it, the next try asks again, and hears "already in that state".
    Raises ConfigurationError, when all others are told, where the channel can't be told for a wrong setting.
    """
    if left := await end_left_over(sending):
        return {"folder": left.folder}
    due, known = await _apart(sending.omnitron, [Request.from_row(row) for row in ready.read(READY)])
    if not due:
        sending.keep(known)
        return {}
    telling = Telling(sending.omnitron, connector)
    async with job(sending) as opened:
        try:
            refused = await opened.commit([request.sent for request in due])
        except LockedError as error:
            if not is_held_by_channel(error):
                raise
            log.warning("%s: the requests stay due", error)
            sending.keep([*known, *(request.sent.moved(State.WAITING) for request in due)])
            return {}
        taken = [request for request in due if request.sent.pk in opened.committed]
        await opened.done([*known, *refused, *await _said(telling, taken)])
    if telling.wrong_setting:
        if opened.batch:  # forgotten, so that a cleared task tells what failed once more
            sending.batches.ended(opened.batch.pk)
        raise telling.wrong_setting
    return {}


async def _apart(omnitron: Omnitron, requests: Sequence[Request]) -> tuple[list[Request], list[Sent]]:
    """Those to tell; and those that the channel knows as they were read, or newer: this run was cleared."""
    actions = await IntegrationActions(omnitron).by_object(KIND, (request.sent.pk for request in requests))
    known = {request.sent.pk for request in requests if _is_told(actions.get(request.sent.pk, {}), request.sent)}
    due = [request for request in requests if request.sent.pk not in known]
    return due, [request.sent.moved(State.LEFT_OUT) for request in requests if request.sent.pk in known]


def _is_told(action: Row, sent: Sent) -> bool:
    told = action.get("version_date") if action.get("status") == "success" else None
    return told is not None and datetime.fromisoformat(told) >= datetime.fromisoformat(sent.version_date)


async def _said(telling: Telling, due: Sequence[Request]) -> list[Sent]:
    """What became of each: what changed since it was read is left out, and offered again as it is now."""
    now = await CancellationRequests(telling.omnitron).by_pk(request.sent.pk for request in due)
    current: list[Request] = []
    sents: list[Sent] = []
    for request in due:
        if request.told is None:
            sents.append(request.sent)
        elif now.get(request.sent.pk, {}).get("modified_date") != request.sent.version_date:
            sents.append(request.sent.moved(State.LEFT_OUT))
        else:
            current.append(request)
    return [*sents, *await telling.tell(current)]
