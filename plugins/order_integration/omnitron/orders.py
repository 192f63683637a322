"""Orders and their items: created once, found again after a lost answer, compared with what was created."""

from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from order_integration.dto import ChannelCreateOrderDto, OrderItemDto
from order_integration.errors import ContractError, Reason, RecordError, RefusedError, UnknownOutcomeError
from order_integration.omnitron.client import IN_LIST, Omnitron, Row, id_of, slices
from order_integration.omnitron.customers import Addresses, Customers, refused
from order_integration.omnitron.integration_actions import Link
from order_integration.omnitron.lookups import Lookups

APPROVED = "400"  # the status of an imported order or item that the channel gives none
PROVENANCE = "order_integration"  # the key in an order's extra_field that is ours
OBJECT_PATHS = {"orderitem": "order_items", "cancellationrequest": "cancellation_requests"}
TRIES = 3  # to create one order when answers get lost


@dataclass(frozen=True)
class Created:
    """An order that is in Omnitron now; `by_this_run` also when an earlier try of the run created it.

    `answered`: the row is the answer to the call that created it, so nobody has changed the order before that.
    """

    row: Row
    by_this_run: bool
    answered: bool = False

    @property
    def pk(self) -> int:
        """Omnitron's id."""
        return id_of(self.row)


@dataclass
class Orders:
    """What one run writes and reads of a channel's orders. `run`: a digest that marks what this run created."""

    omnitron: Omnitron
    lookups: Lookups
    customers: Customers
    addresses: Addresses
    catalog: Row
    run: str

    async def create(self, dto: ChannelCreateOrderDto, as_of: datetime) -> Created:
        """Create the order, or find it where it is already.

        Raises RecordError for what can't be created: an unknown product, carrier or place, a number that belongs to
        another order, another content under the same id, or Omnitron's refusal.
        """
        items = [self._item(index, item) for index, item in enumerate(dto.order_item)]
        body = {"order": await self._header(dto, as_of), "order_item": items}
        for _ in range(TRIES):
            try:
                row = await self.omnitron.http.call("POST", self.omnitron.at("create_orders/"), body=body)
                return Created(row, by_this_run=True, answered=True)
            except RefusedError as error:
                found = await self.by_number(dto.order.number)
                if found is None:
                    raise refused(error, "order") from error
            except UnknownOutcomeError:
                found = await self.by_number(dto.order.number)
            if found is not None:
                return self._recognised(found, dto)
        raise UnknownOutcomeError("creating an order got no answer and left no order behind")

    async def find(self, dto: ChannelCreateOrderDto) -> Created | None:
        """The order where it is already, linked or not; never creates it."""
        found = await self.by_number(dto.order.number)
        if found is None or str((found.get("extra_field") or {}).get("id")) != dto.order.remote_id:
            return None
        return self._recognised(found, dto)

    async def by_number(self, number: str) -> Row | None:
        """The channel's order of this number."""
        return await order_by_number(self.omnitron, number)

    async def by_pk(self, pks: Iterable[int]) -> dict[int, Row]:
        """Orders, many a call."""
        return await orders_by_pk(self.omnitron, pks)

    async def links(self, row: Row, *, answered: bool = False) -> list[Link]:
        """The links of an order and all its items; the channel's ids stand in their `extra_field`.

        Only of an order whose creation was `answered` is the version known. Any other one may have been changed since,
        and is linked as it was created: at worst the channel is told of it once more.
        """
        pk = id_of(row)
        items = await self.omnitron.rows(
            self.omnitron.at("order_items/"), {"order": pk}, sure=lambda item: int(item["order"]) == pk
        )
        version = row["modified_date"] if answered else row["created_date"]
        return [_link("order", row, version), *(_link("orderitem", item, item["created_date"]) for item in items)]

    async def check_same(self, row: Row, dto: ChannelCreateOrderDto) -> None:
        """Another status or date is no conflict; another number, currency, amount or other items are.

        Raises RecordError.
        """
        order, extra = dto.order, row.get("extra_field") or {}
        fingerprint = provenance(extra).get("fingerprint")
        for name, same in (
            ("number", row["number"] == order.number),
            ("currency", str(row["currency"]).lower() == order.currency),
            ("amount", Decimal(str(row["amount"])) == order.amount),
        ):
            if not same:
                raise _conflict(f"order.{name}")
        if fingerprint == dto.fingerprint():
            return
        # Another client's order, or other items: the items themselves decide.
        if fingerprint or await self._remote_ids(row) != sorted(item.remote_id for item in dto.order_item):
            raise _conflict("order_item")

    async def _remote_ids(self, row: Row) -> list[str]:
        return sorted(link.remote_id for link in await self.links(row) if link.content_type == "orderitem")

    def _recognised(self, row: Row, dto: ChannelCreateOrderDto) -> Created:
        extra = row.get("extra_field") or {}
        if str(extra.get("id")) != dto.order.remote_id:
            raise RecordError(
                Reason.NUMBER_TAKEN,
                "order.number",
                "this number belongs to another order of the channel",
                order=id_of(row),
            )
        ours = provenance(extra).get("run") == self.run
        return Created(row, by_this_run=ours)

    async def _header(self, dto: ChannelCreateOrderDto, as_of: datetime) -> Row:
        order = dto.order
        carrier = await self.lookups.carrier(order.cargo_company)
        # Places before people: an order that can't be created shall leave no customer behind.
        for where in ("shipping_address", "billing_address"):
            await self.lookups.locations.place(getattr(order, where), where)
        customer = await self.customers.pk_of(order.customer, as_of)
        addresses = {
            where: await self.addresses.pk_of(getattr(order, where), order.customer, customer, where)
            for where in ("shipping_address", "billing_address")
        }
        plain = order.model_dump(
            exclude={
                "remote_id", "customer", "shipping_address", "billing_address", "cargo_company", "created_at",
                "modified_at", "extra_field", "channel", "status",
            },
            exclude_none=True,
        )  # fmt: skip
        return {
            **{name: wire(value) for name, value in plain.items()},
            **addresses,
            "customer": customer,
            "channel": self.omnitron.channel_id,
            "cargo_company": carrier,
            "status": order.status or APPROVED,
            "date_placed": wire(order.created_at),
            "extra_field": {
                **order.extra_field,
                "id": order.remote_id,
                PROVENANCE: {"fingerprint": dto.fingerprint(), "run": self.run},
            },
        }

    def _item(self, index: int, item: OrderItemDto) -> Row:
        plain = item.model_dump(exclude={"remote_id", "product", "extra_field", "status"}, exclude_none=True)
        lists = {name: self.catalog[name] for name in ("price_list", "stock_list") if self.catalog.get(name)}
        return {
            **lists,
            **{name: wire(value) for name, value in plain.items()},
            "product": self.lookups.product(item.product, f"order_item.{index}.product"),
            "status": item.status or APPROVED,
            "extra_field": {**item.extra_field, "id": item.remote_id},
        }


def provenance(extra_field: Row) -> Row:
    """What we wrote about an order's origin; under the same key, another client may have written anything."""
    said = extra_field.get(PROVENANCE)
    return said if isinstance(said, dict) else {}


async def order_by_number(omnitron: Omnitron, number: str) -> Row | None:
    """The channel's order of this number.

    Raises RecordError where there are several.
    """
    rows = await omnitron.rows(
        omnitron.at("orders/"),
        {"number": number, "channel_id": omnitron.channel_id},
        sure=lambda row: row.get("number") == number,
    )
    if len(rows) > 1:
        raise RecordError(Reason.CONFLICT, "order.number", f"Omnitron has {len(rows)} orders of this number")
    return rows[0] if rows else None


async def orders_since(omnitron: Omnitron, since: datetime) -> AsyncIterator[list[Row]]:
    """Orders that were created in Omnitron at `since` or later, the newest first, in pages.

    By their numbers, not by a filter on dates: that one is not known to work everywhere. What is created meanwhile
    moves rows to later pages, so that some come twice, and none is left out.

    Raises ContractError where the server sorts in another way.
    """
    async for page in omnitron.pages(omnitron.at("orders/"), {}, sort="-id"):
        pks = [id_of(row) for row in page]
        if pks != sorted(pks, reverse=True):
            raise ContractError("Omnitron does not sort orders by -id")
        young = [row for row in page if datetime.fromisoformat(row["created_date"]) >= since]
        if young:
            yield young
        if len(young) < len(page):
            return


async def orders_by_pk(omnitron: Omnitron, pks: Iterable[int]) -> dict[int, Row]:
    """Orders, many a call; what is gone is left out."""
    found: dict[int, Row] = {}
    wanted = set(pks)
    for some in slices(sorted(wanted), IN_LIST):
        query = {"pk__in": ",".join(map(str, some))}
        rows = await omnitron.rows(omnitron.at("orders/"), query, sure=lambda row: id_of(row) in wanted)
        found |= {id_of(row): row for row in rows}
    return found


async def exists(omnitron: Omnitron, content_type: str, pk: int) -> bool:
    """Whether Omnitron has an order, an order item or a cancellation request of this pk."""
    if content_type == "order":
        path = omnitron.at("orders/")
        return bool(await omnitron.rows(path, {"pk__in": str(pk)}, sure=lambda row: id_of(row) == pk))
    return await omnitron.row(omnitron.at(f"{OBJECT_PATHS[content_type]}/{pk}/")) is not None


def is_ours(row: Row) -> bool:
    """Whether this package created an order: then its items' links are owed until they are written."""
    return isinstance((row.get("extra_field") or {}).get(PROVENANCE), dict)


def wire(value: Any) -> Any:
    """Money as text with its digits (Omnitron refuses 60.0000, which is 60), times in UTC with a Z."""
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {name: wire(one) for name, one in value.items()}
    return value


def _link(content_type: str, row: Row, version: str) -> Link:
    remote_id = (row.get("extra_field") or {}).get("id")
    if remote_id is None:
        sentence = f"{content_type} {id_of(row)} of Omnitron has no extra_field.id to tell which of the channel's it is"
        raise RecordError(Reason.CONFLICT, content_type, sentence)
    return Link(content_type, id_of(row), str(remote_id), str(version))


def _conflict(where: str) -> RecordError:
    return RecordError(Reason.CONFLICT, where, "differs from what was created under the same remote id")
