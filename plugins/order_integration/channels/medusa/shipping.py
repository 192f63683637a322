"""From what Omnitron says of an order's units to the steps that bring Medusa there.

Medusa ships and delivers whole parcels (fulfillments), so a step is a parcel: pack it unless it is there, ship it,
deliver it. Whatever an earlier try got done is seen in the order and not planned again.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from order_integration.channels.commands import Record
from order_integration.channels.medusa.units import UNITS, Parcel, by_line, line_of, number_of, parcels
from order_integration.dto import UpdatedOrderDto, UpdatedOrderItemDto
from order_integration.exact_json import Json

NO_LINK = "#"  # Medusa wants two links with every tracking number, and takes this for none


@dataclass(frozen=True)
class Step:
    """What is to be done with one parcel; `parcel` is None where it has to be packed first."""

    parcel: str | None
    units: tuple[str, ...]
    tracking_numbers: tuple[str, ...]
    ship: bool
    deliver: bool

    @property
    def items(self) -> Json:
        """The parcel's lines, as Medusa wants them."""
        return [{"id": line, "quantity": units} for line, units in sorted(by_line(self.units).items())]

    @property
    def labels(self) -> Json:
        """The parcel's labels, as Medusa wants them."""
        return [
            {"tracking_number": number, "tracking_url": NO_LINK, "label_url": NO_LINK}
            for number in self.tracking_numbers
        ]

    @property
    def metadata(self) -> Json:
        """What a parcel says of itself, so that it is known again."""
        return {UNITS: list(self.units)}


def plan(state: Record, wanted: UpdatedOrderDto) -> list[Step]:
    """What has to be done; nothing where Medusa has the order in this state already."""
    there = parcels(state)
    tracking = {item.remote_id: item.tracking_number or wanted.tracking_number or "" for item in wanted.items}
    delivered = {item.remote_id for item in wanted.items if item.is_delivered}
    steps = list(_deliveries(there, delivered))
    missing = _missing(there, [item for item in wanted.items if item.is_shipped])
    for parcel in sorted((one for one in there if not one.shipped_at), key=lambda one: not one.is_ours):
        units = _fitting(parcel, missing)
        missing = [unit for unit in missing if unit not in units]
        if units:
            steps.append(_shipment(parcel.id, units, tracking, delivered))
    groups: dict[tuple[str, bool], list[str]] = {}
    by_courier = {str(line["id"]): bool(line["requires_shipping"]) for line in state["items"]}
    for unit in missing:  # what is sent and what is not can't be in one parcel
        groups.setdefault((tracking[unit], by_courier.get(line_of(unit), True)), []).append(unit)
    return steps + [_shipment(None, units, tracking, delivered) for units in groups.values()]


def _missing(there: Iterable[Parcel], wanted: Iterable[UpdatedOrderItemDto]) -> list[str]:
    """Units to be shipped yet. Where the shop shipped as many of a line as we want, that is enough, whichever."""
    shipped = {unit for parcel in there if parcel.shipped_at for unit in parcel.units}
    units = sorted((item.remote_id for item in wanted), key=lambda unit: (line_of(unit), number_of(unit)))
    room = by_line(units)
    room.subtract(by_line(shipped))
    return list(_some(room, [unit for unit in units if unit not in shipped]))


def _fitting(parcel: Parcel, missing: list[str]) -> list[str]:
    """The missing units that a packed parcel is for; none where there is something in it that stays."""
    if parcel.is_ours:
        return list(parcel.units) if set(parcel.units) <= set(missing) else []
    units = list(_some(parcel.lines, missing))
    return units if len(units) == len(parcel.units) else []


def _deliveries(there: Iterable[Parcel], wanted: set[str]) -> Iterator[Step]:
    """Shipped parcels that arrived as a whole: those that we know, then those of the shop, by their number of units."""
    left = by_line(wanted)
    left.subtract(by_line(unit for parcel in there if parcel.delivered_at for unit in parcel.units))
    on_the_way = [parcel for parcel in there if parcel.shipped_at and not parcel.delivered_at]
    for parcel in sorted(on_the_way, key=lambda one: (not one.is_ours, not set(one.units) <= wanted)):
        arrived = set(parcel.units) <= wanted or not parcel.is_ours
        if arrived and all(left[line] >= units for line, units in parcel.lines.items()):
            left.subtract(parcel.lines)
            yield Step(parcel.id, parcel.units, (), ship=False, deliver=True)


def _shipment(parcel: str | None, units: Iterable[str], tracking: dict[str, str], delivered: set[str]) -> Step:
    units = tuple(units)
    numbers = tuple(dict.fromkeys(tracking[unit] for unit in units if tracking[unit]))
    return Step(parcel, units, numbers, ship=True, deliver=set(units) <= delivered)


def _some(room: Counter[str], units: Iterable[str]) -> Iterator[str]:
    """Units, as many of each line as there is room for."""
    left = Counter(room)
    for unit in units:
        if left[line_of(unit)] > 0:
            left[line_of(unit)] -= 1
            yield unit
