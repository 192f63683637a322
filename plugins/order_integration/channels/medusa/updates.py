"""Flow 2: shipments and deliveries that Omnitron knows first, at once or as a feed."""

import asyncio
from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, TypeVar

from order_integration.channels.commands import Record, SendUpdatedOrders
from order_integration.channels.medusa.feeds import executions, run
from order_integration.channels.medusa.reading import one, path, rows
from order_integration.channels.medusa.refusals import said
from order_integration.channels.medusa.shape import shaped_like
from order_integration.channels.medusa.shipping import Step, plan
from order_integration.channels.medusa.units import STATE, UNITS
from order_integration.dto import OrderBatchRequestResponseDto, ResponseStatus, Submission, Submitted, UpdatedOrderDto
from order_integration.errors import ConfigurationError, ContractError, RecordError, RefusedError, UnknownOutcomeError
from order_integration.exact_json import Json

T = TypeVar("T")
AT_ONCE = 4  # orders; Medusa is one process, and shipments of one product wait for each other
UNKNOWN = "Medusa has no such order"


class MedusaSendUpdatedOrders(SendUpdatedOrders):
    """Packs, ships and delivers what is missing in Medusa; what is there is a SUCCESS.

    An order that was cut off between two of its calls goes on where it was: its parcel is known by its units. A feed's
    id is the submission's reference.
    """

    async def send_request(self, data: Submission) -> Submitted:
        """At once, unless the channel wants a feed and Medusa has the workflow for it."""
        location = await self._location(data)
        if not data.is_sync and self.settings.feed_workflow and (fed := await self._as_feed(data, location)):
            return fed
        slots = asyncio.Semaphore(AT_ONCE)

        async def limited(order: UpdatedOrderDto) -> OrderBatchRequestResponseDto:
            async with slots:
                return await self._at_once(order, location)

        return Submitted(results=await _all(limited(order) for order in data.orders))

    def normalize_response(self, response: Submitted) -> Submitted:
        """It is in our words already."""
        return response

    async def find_submission(self, reference: str) -> Submitted | None:
        """The feed of this reference. What went at once left no trace: it is looked at order by order instead."""
        workflow = self.settings.feed_workflow
        found = await executions(self.http, workflow, [reference]) if workflow else []
        return Submitted(feed_ids=[reference]) if found else None

    async def _as_feed(self, data: Submission, location: str) -> Submitted | None:
        """None where Medusa has no workflow for it."""
        # Given again after its end, a transaction id runs a second time.
        if found := await self.find_submission(data.reference):
            return found
        orders = await _all(self._fed(order, location) for order in data.orders)
        if not await run(self.http, self.settings.feed_workflow, data.reference, {"orders": orders}):
            return None
        return Submitted(feed_ids=[data.reference])

    async def _fed(self, order: UpdatedOrderDto, location: str) -> Json:
        """What the workflow gets of an order; one that can't be sent goes along, so that the feed tells of all."""
        try:
            state, steps = await self._planned(order)
        except (RecordError, RefusedError, UnknownOutcomeError) as error:
            return {"order_id": order.remote_id, "parcels": [], "refusal": said(error)}
        if state is None:
            return {"order_id": order.remote_id, "parcels": [], "refusal": UNKNOWN}
        return {"order_id": order.remote_id, "parcels": [_parcel(step, location) for step in steps]}

    async def _at_once(self, order: UpdatedOrderDto, location: str) -> OrderBatchRequestResponseDto:
        try:
            state, steps = await self._planned(order)
            if state is None:
                return _answer(order, UNKNOWN)
            for step in steps:
                await self._carry_out(order.remote_id, step, location)
        except (RecordError, RefusedError, UnknownOutcomeError) as error:
            return await self._after(error, order)
        return _answer(order)

    async def _after(
        self, error: RecordError | RefusedError | UnknownOutcomeError, order: UpdatedOrderDto
    ) -> OrderBatchRequestResponseDto:
        """A refusal may mean that somebody did it meanwhile, and after a lost answer it may be done.

        If it is not, the order fails, and not the others: it is offered again, and looked at before anything is sent.
        """
        try:
            state, steps = await self._planned(order)
        except (RecordError, RefusedError, UnknownOutcomeError):
            return _answer(order, said(error))
        return _answer(order) if state and not steps else _answer(order, said(error))

    async def _planned(self, order: UpdatedOrderDto) -> tuple[Record | None, list[Step]]:
        state = await one(self.http, "orders", order.remote_id, {"fields": STATE})
        if state is None:
            return None, []
        with shaped_like("an order"):
            return state, plan(state, order)

    async def _carry_out(self, order: str, step: Step, location: str) -> None:
        parcel = step.parcel or await self._packed(order, step, location)
        if step.ship:
            body = {"items": step.items, "labels": step.labels}
            await self.http.call("POST", path("orders", order, "fulfillments", parcel, "shipments"), body=body)
        if step.deliver:
            delivered = path("orders", order, "fulfillments", parcel, "mark-as-delivered")
            await self.http.call("POST", delivered, body={})

    async def _packed(self, order: str, step: Step, location: str) -> str:
        """The id of the new parcel; the answer is the order with all of its parcels."""
        body = {"items": step.items, "location_id": location, "metadata": step.metadata}
        answer = await self.http.call(
            "POST", path("orders", order, "fulfillments"), params={"fields": "id,*fulfillments"}, body=body
        )
        parcels = answer["order"].get("fulfillments") if isinstance(answer, Mapping) and "order" in answer else None
        for parcel in parcels or ():
            open_ = not parcel["shipped_at"] and not parcel["canceled_at"]
            if open_ and (parcel.get("metadata") or {}).get(UNITS) == list(step.units):
                return str(parcel["id"])
        raise ContractError("Medusa made a fulfillment and does not show it", order=order)

    async def _location(self, data: Submission) -> str:
        """Where from; asked before the first call that writes."""
        chosen: str = self.settings.location_id
        if chosen or not any(item.is_shipped for order in data.orders for item in order.items):
            return chosen
        found = rows(await self.http.get("admin/stock-locations", {"fields": "id", "limit": 2}), "stock_locations")
        if len(found) != 1:
            raise ConfigurationError(
                f"channel {self.connector.channel.name}: Medusa has {'several' if found else 'no'} stock locations; "
                "name the one that orders are sent from in settings.location_id (sloc_…)"
            )
        return str(found[0]["id"])


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """All of them come to an end before one that stops the run does so."""
    found = await asyncio.gather(*calls, return_exceptions=True)
    for answer in found:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in found if not isinstance(answer, BaseException)]


def _parcel(step: Step, location: str) -> Json:
    return {
        "fulfillment_id": step.parcel,
        "items": step.items,
        "labels": step.labels,
        "location_id": location,
        "metadata": step.metadata,
        "ship": step.ship,
        "deliver": step.deliver,
    }


def _answer(order: UpdatedOrderDto, problem: str = "") -> OrderBatchRequestResponseDto:
    status = ResponseStatus.FAIL if problem else ResponseStatus.SUCCESS
    return OrderBatchRequestResponseDto(status=status, remote_id=order.remote_id, number=order.number, message=problem)
