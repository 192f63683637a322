"""Feeds: a workflow on Medusa's own engine takes orders, and its executions tell what became of them.

The workflow is the shop's (an example is the sandbox's `ship-orders`). It is given `{"orders": [{"order_id", "parcels",
"refusal"}]}` and one of its steps returns `[{"order_id", "status": "ok" or "error", "message"}]`. It has to be stored
with a retention time, because Medusa forgets the others as soon as they are done.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from order_integration.channels.commands import CheckOrders, Record
from order_integration.channels.medusa.reading import NOT_FOUND, Query, path, rows
from order_integration.dto import FeedState, FeedVerdict, OrderBatchRequestResponseDto, ResponseStatus
from order_integration.errors import RefusedError
from order_integration.exact_json import Json
from order_integration.transport import HttpSession

MOST = 1000
STATES = {"done": FeedState.DONE, "failed": FeedState.FAILED, "reverted": FeedState.FAILED}  # every other one goes on
OK = "ok"
BARE = "id,workflow_id,transaction_id,state,created_at"


class MedusaCheckOrders(CheckOrders):
    """Flow 3: the executions of the feeds."""

    async def send_request(self, data: list[str]) -> dict[str, Record | None]:
        """The latest execution of each feed.

        Asked for by the list: `GET …/:workflow/:transaction` answers any execution of the workflow.
        """
        found = await executions(self.http, self.settings.feed_workflow, data, BARE + ",context")
        latest = {str(row["transaction_id"]): row for row in sorted(found, key=lambda row: str(row["created_at"]))}
        return {feed: latest.get(feed) for feed in data}

    def normalize_response(self, response: dict[str, Record | None]) -> list[FeedVerdict]:
        """A verdict a feed."""
        return [_verdict(feed, execution) for feed, execution in response.items()]


async def run(http: HttpSession, workflow: str, reference: str, given: Json) -> bool:
    """Start the workflow; False: Medusa has none of this name."""
    try:
        body = {"transaction_id": reference, "input": given}
        await http.call("POST", path("workflows-executions", workflow, "run"), body=body)
    except RefusedError as refused:
        if refused.status == NOT_FOUND:
            return False
        raise
    return True


async def executions(http: HttpSession, workflow: str, feeds: Iterable[str], fields: str = BARE) -> list[Record]:
    """What the engine knows of these feeds."""
    wanted = list(feeds)
    if not wanted:
        return []
    query: Query = {"transaction_id[]": wanted, "workflow_id": workflow, "fields": fields, "limit": MOST}
    found = rows(await http.get("admin/workflows-executions", query), "workflow_executions")
    return [row for row in found if row["transaction_id"] in wanted and row["workflow_id"] == workflow]


def _verdict(feed: str, execution: Record | None) -> FeedVerdict:
    if execution is None:
        return FeedVerdict(feed_id=feed, state=FeedState.UNKNOWN, message="Medusa has no such execution")
    state = STATES.get(str(execution["state"]), FeedState.RUNNING)
    if state is not FeedState.DONE:
        return FeedVerdict(feed_id=feed, state=state, message=f"the workflow is {execution['state']}")
    results = _results(execution)
    if results is None:
        return FeedVerdict(feed_id=feed, state=FeedState.FAILED, message="the workflow tells no results")
    return FeedVerdict(feed_id=feed, state=state, results=[_result(one) for one in results])


def _results(execution: Record) -> list[Record] | None:
    """What one of the steps returned: a list with an order in each of its entries."""
    steps = _below(execution, "context", "data", "invoke")
    for step in steps.values() if isinstance(steps, Mapping) else ():
        found = _below(step, "output", "output")
        if isinstance(found, list) and all(isinstance(one, dict) and "order_id" in one for one in found):
            return found
    return None


def _result(one: Record) -> OrderBatchRequestResponseDto:
    status = ResponseStatus.SUCCESS if one.get("status") == OK else ResponseStatus.FAIL
    return OrderBatchRequestResponseDto(
        status=status, remote_id=str(one["order_id"]), message=str(one.get("message") or "")
    )


def _below(value: Any, *names: str) -> Any:
    for name in names:
        value = value.get(name) if isinstance(value, Mapping) else None
    return value
