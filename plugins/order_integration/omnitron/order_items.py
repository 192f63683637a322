"""Order items: read an order at a time, changed in what differs and in nothing else, and never by older news."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from order_integration.dto import GONE, ChannelUpdateOrderItemDto, OrderStatus
from order_integration.errors import Reason, RecordError, RefusedError
from order_integration.exact_json import dumps
from order_integration.omnitron.client import Omnitron, Row, id_of
from order_integration.omnitron.customers import MODIFIED_AT, is_newer, refused
from order_integration.omnitron.orders import PROVENANCE, provenance, wire
from order_integration.staging import key_digest

FIELDS = ("status", "invoice_number", "invoice_date", "tracking_number")  # what news may tell, besides free data
RUN = "run"
STATUS = "status"
EXTRA = "extra_field"
OURS = frozenset({"id", PROVENANCE})  # keys of extra_field that no channel's free data replaces


@dataclass(frozen=True)
class OrderItems:
    """What one run reads and changes of a channel's items. `run`: a digest that marks what this run changed."""

    omnitron: Omnitron
    run: str = ""

    async def of_order(self, order: int) -> dict[int, Row]:
        """All items of an order, by pk."""
        rows = await self.omnitron.rows(
            self.omnitron.at("order_items/"), {"order": order}, sure=lambda row: int(row["order"]) == order
        )
        return {id_of(row): row for row in rows}

    async def by_pk(self, pks: Iterable[int]) -> dict[int, Row]:
        """Items one by one; what is gone is left out."""
        rows = await asyncio.gather(*(self.omnitron.row(self.omnitron.at(f"order_items/{pk}/")) for pk in set(pks)))
        return {id_of(row): row for row in rows if row is not None}

    async def change(self, row: Row, dto: ChannelUpdateOrderItemDto, said: Row) -> Row | None:
        """Bring an item, as it was read, to what the channel says; None: there is nothing to send. See `changes`.

        Raises RecordError for what Omnitron refuses, or what can't be said.
        """
        body = changes(row, dto, said, self.run)
        if not body:
            return None
        path = self.omnitron.at(f"order_items/{id_of(row)}/")
        try:
            return dict(await self.omnitron.http.call("PATCH", path, body=body, repeatable=True))
        except RefusedError as error:
            raise refused(error, "order_item") from error

    def was_changed(self, row: Row) -> bool:
        """Whether this run, in this try or an earlier one, was the last to change an item."""
        return provenance(row.get("extra_field") or {}).get(RUN) == self.run


def changes(row: Row, dto: ChannelUpdateOrderItemDto, said: Row, run: str = "") -> Row:
    """The body of a PATCH: what `differences` finds, and whose news it is. Empty where equal or newer news is there."""
    body = differences(row, dto, said)
    known = provenance(row.get("extra_field") or {})
    if not body or not _is_news(dto, said) or not _is_news(dto, known):
        return {}
    as_of = {MODIFIED_AT: dto.modified_at.isoformat()} if dto.modified_at else {}
    return {**body, "extra_field": {**body.get("extra_field", {}), PROVENANCE: {**known, **as_of, RUN: run}}}


def differences(row: Row, dto: ChannelUpdateOrderItemDto, said: Row) -> Row:
    """What is given and is neither what is there nor what the channel `said` before: a merchant may have corrected it.

    A status does not go back. Free data is merged by Omnitron: keys that are not given stay, and given as None as a
    whole it changes nothing. Raises RecordError for a status that is to be cleared.
    """
    given = {name: getattr(dto, name) for name in FIELDS if name in dto.model_fields_set}
    if given.get(STATUS, "") is None:
        raise RecordError(Reason.FIELD_MALFORMED, STATUS, "an item always has a status; leave it out")
    if STATUS in given and _goes_back(row, given[STATUS], said):
        del given[STATUS]
    word = word_of(dto)
    body = {
        name: _sent(value)
        for name, value in given.items()
        if not _is_same(row.get(name), value) and not _is_repeated(name, word, said)
    }
    extra, extra_said = row.get("extra_field") or {}, said.get(EXTRA, {})
    merged = {
        name: value
        for name, value in _free_data(dto).items()
        if not _is_same_data(extra.get(name), value) and not _is_repeated(name, word[EXTRA], extra_said)
    }
    return {**body, EXTRA: merged} if merged else body


def learnt(row: Row, changed: Row | None, dto: ChannelUpdateOrderItemDto, said: Row) -> Row:
    """What is known of the channel's word once an item is as it says; until then, and of older news, as before."""
    if not _is_news(dto, said) or (changed is None and differences(row, dto, said)):
        return said
    word = word_of(dto)
    return {**said, **word, EXTRA: {**said.get(EXTRA, {}), **word[EXTRA]}}


def word_of(dto: ChannelUpdateOrderItemDto) -> Row:
    """What the channel says, and when. Of free data, which may be about people, digests alone."""
    word = {name: _sent(getattr(dto, name)) for name in FIELDS if name in dto.model_fields_set}
    as_of = {MODIFIED_AT: dto.modified_at.isoformat()} if dto.modified_at else {}
    return {**word, **as_of, EXTRA: {name: key_digest(dumps(value)) for name, value in _free_data(dto).items()}}


def _free_data(dto: ChannelUpdateOrderItemDto) -> Row:
    given = dto.model_dump(mode="json", include={EXTRA})[EXTRA] or {}
    return {name: value for name, value in given.items() if name not in OURS}


def _is_news(dto: ChannelUpdateOrderItemDto, known: Row) -> bool:
    return dto.modified_at is None or is_newer(dto.modified_at, known)


def _is_repeated(name: str, word: Row, said: Row) -> bool:
    return name in said and bool(said[name] == word[name])


def _goes_back(row: Row, new: str, said: Row) -> bool:
    """What is cancelled or refunded is not revived, and what Omnitron knows to be further on its way stays there.

    To a channel all that left the house is "shipped". Only a status that it gave itself may it take back.
    """
    there = str(row.get(STATUS) or "")
    if there in GONE:
        return True
    is_earlier = {there, new} <= set(OrderStatus) and int(new) < int(there)  # what is none, Omnitron refuses
    return is_earlier and said.get(STATUS) != there


def _sent(value: str | datetime | None) -> Any:
    return value.strip() if isinstance(value, str) else wire(value)


def _is_same(there: Any, said: str | datetime | None) -> bool:
    """Dates are compared as instants, texts as Omnitron keeps them: without blanks at their ends."""
    if isinstance(said, datetime):
        try:
            return datetime.fromisoformat(there) == said
        except (TypeError, ValueError):
            return False
    return bool(there == _sent(said))


def _is_same_data(there: Any, said: Any) -> bool:
    """Free data: 1.50 is 1.5, but neither "1.5" nor True is 1."""
    if isinstance(there, dict) and isinstance(said, dict):
        return there.keys() == said.keys() and all(_is_same_data(there[name], said[name]) for name in said)
    if isinstance(there, list) and isinstance(said, list):
        return len(there) == len(said) and all(map(_is_same_data, there, said))
    if _is_number(there) and _is_number(said):
        return Decimal(str(there)) == Decimal(str(said))
    return type(there) is type(said) and bool(there == said)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | Decimal) and not isinstance(value, bool)
