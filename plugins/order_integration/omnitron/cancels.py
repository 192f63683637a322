"""Cancels: a plan for some items of an order. Omnitron takes one at a time, and its answer may get lost."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from order_integration.dto import GONE, CancelOrderDto
from order_integration.errors import ContractError, Reason, RecordError, RefusedError, UnknownOutcomeError
from order_integration.omnitron.client import Omnitron, Row
from order_integration.omnitron.customers import refused
from order_integration.omnitron.order_items import OrderItems
from order_integration.omnitron.orders import orders_by_pk

WAITING = "waiting"  # a plan that Omnitron has not carried out yet: it takes no other one for the order
SHIPPED_FROM = 500  # items with this status and above are returned, not cancelled; the two don't go in one plan
TRIES = 3  # to cancel the items of one order when answers get lost


@dataclass(frozen=True)
class Flags:
    """What is said of a cancel's money."""

    is_cargo_refund: bool = False
    refund_invoice_number: str | None = None
    forced_refund_amount: str | None = None

    @classmethod
    def of(cls, dto: CancelOrderDto) -> "Flags":
        """As the channel says."""
        return cls(dto.is_cargo_refund, dto.refund_invoice_number, dto.forced_refund_amount)

    def as_body(self) -> Row:
        """As Omnitron names them."""
        return dict(vars(self))


@dataclass(frozen=True)
class Cancelled:
    """Items that are cancelled now, as they are after it; `by_us`, or meanwhile by somebody else."""

    rows: list[Row]
    by_us: bool


@dataclass(frozen=True)
class Cancels:
    """What one run cancels of a channel's orders."""

    omnitron: Omnitron

    async def items(self, order: int) -> dict[int, Row]:
        """The items of an order as they are now, by pk."""
        return await OrderItems(self.omnitron).of_order(order)

    async def cancel(self, order: int, reasons: Mapping[int, int], flags: Flags) -> Cancelled:
        """Cancel items that are not cancelled yet. `reasons`: pk of the item → pk of its reason.

        Raises RecordError for what Omnitron refuses, with CANCEL_WAITING where an earlier plan is in the way.
        """
        left, is_lost = dict(reasons), False
        for _ in range(TRIES):
            refusal: RefusedError | None = None
            try:
                answer = await self._post(order, left, flags)
            except UnknownOutcomeError:
                is_lost = True
            except RefusedError as error:
                refusal = error
            else:
                return Cancelled(await self._carried_out(order, reasons, answer), by_us=True)
            rows = await self.items(order)
            still = {pk: reason for pk, reason in left.items() if not is_gone(rows.get(pk))}
            if not still:
                return Cancelled([rows[pk] for pk in reasons], by_us=is_lost)
            if refusal is not None and len(still) == len(left):
                raise await self._why(order, rows, still, refusal)
            left = still
        raise UnknownOutcomeError("cancelling got no answer and cancelled nothing", order=order)

    async def _post(self, order: int, reasons: Mapping[int, int], flags: Flags) -> Row:
        body = {
            "order": order,
            "is_all": False,
            "cancel_items": sorted(reasons),
            "reasons": {str(pk): reason for pk, reason in sorted(reasons.items())},
            **flags.as_body(),
        }
        # Never repeated blindly: the second one would be a second plan.
        answer = await self.omnitron.http.call("POST", self.omnitron.at(f"orders/{order}/cancel/"), body=body)
        return answer if isinstance(answer, dict) else {}

    async def _carried_out(self, order: int, pks: Iterable[int], answer: Row) -> list[Row]:
        """The items after it. Accepted means: they are cancelled, or a plan for them waits."""
        rows = await self.items(order)
        done = [rows[pk] for pk in pks if pk in rows]
        if not is_waiting(answer) and not all(map(is_gone, done)):
            raise ContractError("Omnitron accepted a cancel and cancelled nothing", order=order)
        return done

    async def _why(self, order: int, rows: Mapping[int, Row], pks: Iterable[int], error: RefusedError) -> RecordError:
        found = await orders_by_pk(self.omnitron, [order])
        if is_waiting(found.get(order)) or any(is_waiting(rows.get(pk)) for pk in pks):
            return waits_for_a_plan()
        return refused(error, "order")


def is_gone(row: Row | None) -> bool:
    """Whether an item is cancelled, about to be, or returned."""
    return row is not None and row.get("status") in GONE


def is_waiting(row: Row | None) -> bool:
    """Whether an order, or an item, has a plan that is not carried out yet."""
    return row is not None and row.get("cancel_status") == WAITING


def is_shipped(row: Row) -> bool:
    """Whether an item would have to come back."""
    return int(row["status"]) >= SHIPPED_FROM


def waits_for_a_plan() -> RecordError:
    """An earlier plan is in the way."""
    sentence = "an earlier cancel of this order is not carried out in Omnitron yet"
    return RecordError(Reason.CANCEL_WAITING, "order", sentence)
