"""Flow 2: orders that changed in Omnitron are told to the channel. `fetch → transform → send`, a function each.

What the channel only accepted, `check_orders` brings to its end.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from pydantic import ValidationError

from order_integration.channels.commands import Connector, SendUpdatedOrders
from order_integration.dto import FailedReasonType, UpdatedOrderDto, UpdatedOrderItemDto
from order_integration.errors import ContractError, LockedError
from order_integration.flows.outbound import CHECKED, How, Left, Sending, Sent, State, end_left_over, job
from order_integration.flows.submissions import Notes
from order_integration.flows.submitting import Submitting
from order_integration.omnitron.batch_requests import is_held_by_channel
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.integration_actions import IntegrationActions
from order_integration.omnitron.order_items import OrderItems
from order_integration.staging import Folder

CONTENT_TYPE = "order"
ORDERS = "orders"
UNMAPPED = "unmapped"
# All that a channel is told; nobody's name and address is staged.
SHIPPING = ("status", "tracking_number", "carrier_shipping_code", "invoice_number", "invoice_date", "e_archive_url")
ORDER_FIELDS = ("number", "modified_date", "cargo_company", *SHIPPING)
ITEM_FIELDS = (*SHIPPING, "delivered_date")

log = logging.getLogger(__name__)
Row = dict[str, Any]


# fetch ----------------------------------------------------------------------------------------------------------------


async def fetch(omnitron: Omnitron, connector: Connector, folder: Folder) -> Row:
    """Stage all orders that are due, with their items. Everything is read before anything is committed."""
    connector.command(SendUpdatedOrders)  # type: ignore[type-abstract] # one without it is said before anything is read
    await omnitron.channel()
    due: dict[int, Row] = {}
    async for page in omnitron.pages(omnitron.at("orders/updates/"), {}, sort=None):  # the server's order: oldest first
        due |= {id_of(row): row for row in page}
    if not all(_channel_of(row) in {omnitron.channel_id, None} for row in due.values()):
        raise ContractError("Omnitron offers orders of another channel as due")
    items = await _items(omnitron, due)
    folder.write(ORDERS, (_staged(row, units) for row, units in zip(due.values(), items, strict=True)))
    return {"due": len(due), "items": sum(map(len, items))}


async def _items(omnitron: Omnitron, pks: Iterable[int]) -> list[dict[int, Row]]:
    """None of the calls is left under way when the first error is raised."""
    found = await asyncio.gather(*(OrderItems(omnitron).of_order(pk) for pk in pks), return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]


def _channel_of(row: Row) -> Any:
    channel = row.get("channel")
    return id_of(channel) if isinstance(channel, dict) else channel


def _staged(row: Row, items: dict[int, Row]) -> Row:
    units = [_taken(item, ITEM_FIELDS) for _, item in sorted(items.items())]
    return {**_taken(row, ORDER_FIELDS), "items": units}


def _taken(row: Row, names: Iterable[str]) -> Row:
    own_id = (row.get("extra_field") or {}).get("id")
    return {"pk": id_of(row), "own_id": own_id, **{name: row.get(name) for name in names}}


# transform ------------------------------------------------------------------------------------------------------------


async def transform(omnitron: Omnitron, connector: Connector, fetched: Folder, folder: Folder) -> Row:  # noqa: ARG001
    """Stage DTOs, and apart from them the orders that can't be one."""
    rows = list(fetched.read(ORDERS))
    actions = IntegrationActions(omnitron)
    orders = await actions.by_object("order", (row["pk"] for row in rows))
    items = await actions.by_object("orderitem", (item["pk"] for row in rows for item in row["items"]))
    carriers = await _carriers(omnitron) if any(row["cargo_company"] for row in rows) else {}
    ready, unmapped = [], []
    for row in rows:
        sent = _sent(row, orders)
        try:
            dto = _dto(row, sent, items, carriers)
        except ValueError as error:  # pydantic's is one, too
            unmapped.append(sent.failed(FailedReasonType.MAPPING, _sentence(error)).as_row())
        else:
            ready.append({"sent": sent.as_row(), "dto": dto.model_dump(mode="json")})
    folder.write(ORDERS, ready)
    folder.write(UNMAPPED, unmapped)
    return {"ready": len(ready), "unmapped": len(unmapped)}


async def _carriers(omnitron: Omnitron) -> dict[int, str]:
    rows = await omnitron.rows(omnitron.at("cargos/"), {}, sure=lambda row: "erp_code" in row)
    return {id_of(row): row["erp_code"] for row in rows}


def _sent(row: Row, actions: dict[int, Row]) -> Sent:
    remote_id, number = _remote_id(row, actions), str(row["number"] or "")
    return Sent(remote_id or number or str(row["pk"]), row["pk"], row["modified_date"], remote_id, number)


def _remote_id(row: Row, actions: dict[int, Row]) -> str:
    """The link's; of an object that has none, what Omnitron was told when it was created."""
    return str(actions.get(row["pk"], {}).get("remote_id") or row["own_id"] or "")


def _dto(row: Row, sent: Sent, items: dict[int, Row], carriers: dict[int, str]) -> UpdatedOrderDto:
    carrier = row["cargo_company"]
    if carrier and carrier not in carriers:
        raise ValueError(f"cargo_company: Omnitron has no cargo company {carrier}")
    units = [
        UpdatedOrderItemDto(pk=item["pk"], remote_id=_remote_id(item, items), **_of(item, ITEM_FIELDS))
        for item in row["items"]
    ]
    own = {**_of(row, ORDER_FIELDS), "cargo_company": carriers[carrier] if carrier else None}
    return UpdatedOrderDto(pk=row["pk"], remote_id=sent.remote_id, items=units, **own)


def _of(row: Row, names: Iterable[str]) -> Row:
    return {name: row[name] for name in names}


def _sentence(error: ValueError) -> str:
    """Names of fields, and never their values."""
    if not isinstance(error, ValidationError):
        return str(error)
    wrong = error.errors(include_input=False, include_context=False, include_url=False)
    return "; ".join(f"{error.title} {'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong)


# send -----------------------------------------------------------------------------------------------------------------


async def send(sending: Sending, connector: Connector, ready: Folder, how: How) -> Row:
    """Hand over to the channel what is due, each order once. Returns what the sensor waits for, if anything.

    Raises LockedError while a batch request is in the way that may be over soon, and RetriableError where the channel
    gave no answer that counts.
    """
    notes = Notes.of_flow(sending)
    checked = [int(owner["pk"]) for owner in sending.batches.all() if CHECKED in owner]
    left = await end_left_over(sending)
    if left:
        return _said_before(left, notes)
    open_ones = {int(owner["pk"]) for owner in sending.batches.all()}
    for pk in checked:
        if pk not in open_ones:
            notes.forget(pk)  # who ended it was killed before
    unmapped = [Sent.from_row(row) for row in ready.read(UNMAPPED)]
    due = [(Sent.from_row(row["sent"]), UpdatedOrderDto.model_validate(row["dto"])) for row in ready.read(ORDERS)]
    if open_ones:
        return _all_wait(sending, [*unmapped, *(sent for sent, _ in due)], f"batch request {min(open_ones)}")
    try:
        async with job(sending) as opened:
            submitting = Submitting(sending, opened, notes, connector.command(SendUpdatedOrders), how)  # type: ignore[type-abstract]
            return await submitting.all(due, unmapped)
    except LockedError as error:
        if not is_held_by_channel(error):
            raise
        return _all_wait(sending, [*unmapped, *(sent for sent, _ in due)], str(error))


def _all_wait(sending: Sending, sents: Iterable[Sent], what: str) -> Row:
    log.info("the channel still works on an earlier job (%s): everything stays due", what)
    sending.keep(sent.moved(State.WAITING) for sent in sents)
    return {"feed_ids": []}


def _said_before(left: Left, notes: Notes) -> Row:
    """An earlier try was killed when all was done."""
    log.info("an earlier try got as far as %s with batch request %d", left.batch.status, left.batch.pk)
    if not left.batch.is_accepted:
        notes.forget(left.batch.pk)
        return {"folder": left.folder, "feed_ids": []}
    return {
        "folder": left.folder,
        "batch_pk": left.batch.pk,
        "feed_ids": list(left.batch.feed_ids),
        "accepted_at": left.owner["accepted_at"],
    }
