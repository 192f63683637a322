"""What an order refers to in Omnitron: locations, stores, carriers, products. Asked for in bulk, kept for the run.

A look-up succeeds with exactly one row; everything else is the record's problem, never a guess.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from order_integration.dto import AddressDto
from order_integration.errors import Reason, RecordError
from order_integration.omnitron.client import Memo, Omnitron, Row, id_of
from order_integration.omnitron.integration_actions import IntegrationActions

LEVELS = ("country", "city", "township", "district")
PLURALS = {"country": "countries", "city": "cities", "township": "townships", "district": "districts"}
UNKNOWN = {level: Reason(f"{level}_unknown") for level in LEVELS}
_TURKISH_LOWER = str.maketrans({"İ": "i", "I": "i", "ı": "i"})


class LocationError(RecordError):
    """A location that the merchant can map in Omnitron's panel; `parents` are the pks that were found above it."""

    def __init__(self, level: str, field_name: str, name: str, parents: dict[str, int]) -> None:
        super().__init__(
            UNKNOWN[level], field_name, f"Omnitron knows no {level} of this name here; map it in its panel", level=level
        )
        self.level = level
        self.name = name  # a place's name, not a person's; for the address report
        self.parents = parents


@dataclass(frozen=True)
class Place:
    """pks of a resolved address."""

    country: int
    city: int
    township: int | None = None
    district: int | None = None


@dataclass
class Locations:
    """Country → city → township → district; exact name, then without case, then the merchant's mapping."""

    omnitron: Omnitron
    _children: Memo[tuple[str, int], list[Row]] = field(default_factory=Memo)
    _mapped: Memo[tuple[str, str], list[Row]] = field(default_factory=Memo)
    _countries: Memo[str, int | None] = field(default_factory=Memo)

    async def place(self, address: AddressDto, where: str) -> Place:
        """The address's pks; `where` (`shipping_address`) names the field in an error.

        Raises LocationError for the first level that is not known.
        """
        country = await self._countries.get(address.country, lambda: self._country(address.country))
        if country is None:
            raise LocationError("country", f"{where}.country", address.country, {})
        parents = {"country": country}
        parents["city"] = await self._below("city", address.city, parents, where)
        if address.township:
            parents["township"] = await self._below("township", address.township, parents, where)
            if address.district:
                parents["district"] = await self._below("district", address.district, parents, where)
        return Place(**parents)

    async def _country(self, value: str) -> int | None:
        for key, wanted in (("code", value.upper()), ("name", value)):
            rows = await self.omnitron.rows(
                self.omnitron.at("countries/"),
                {f"{key}__exact": wanted, "is_active": "True"},
                sure=lambda row, key=key, wanted=wanted: row.get(key) == wanted,  # type: ignore[misc]
            )
            if len(rows) == 1:
                return id_of(rows[0])
        rows = await self._mapped.get(("country", value), lambda: self._mapping("country", value))
        return id_of(rows[0]) if len(rows) == 1 else None

    async def _below(self, level: str, name: str, parents: dict[str, int], where: str) -> int:
        above = LEVELS[LEVELS.index(level) - 1]
        rows = await self._children.get((level, parents[above]), lambda: self._list(level, parents))
        for same in (str.__eq__, _same_but_case):
            found = [row for row in rows if same(_composed(row["name"]), _composed(name))]
            if len(found) == 1:
                return id_of(found[0])
        mapped = await self._mapped.get((level, name), lambda: self._mapping(level, name))
        # The mapping service has no filter for the parent, and two countries may have a city of one name.
        found = [row for row in mapped if row.get(above) == parents[above] and row.get("is_active", True)]
        if len(found) != 1:
            raise LocationError(level, f"{where}.{level}", name, dict(parents))
        return id_of(found[0])

    async def _list(self, level: str, parents: dict[str, int]) -> list[Row]:
        """All children of one parent at once: a city's townships are one call, however many orders go there."""
        above = LEVELS[LEVELS.index(level) - 1]
        return await self.omnitron.rows(
            self.omnitron.at(f"{PLURALS[level]}/"),
            {above: parents[above], "is_active": "True"},
            sure=lambda row: row.get(above) == parents[above],
        )

    async def _mapping(self, level: str, name: str) -> list[Row]:
        filters = {
            "mapping__code__exact": f"{self.omnitron.channel_id}_{name}",
            "mapping__integration_type": "sales_channel",
        }
        path = self.omnitron.at(f"{PLURALS[level]}/")
        first = [page async for page in self.omnitron.pages(path, filters)]
        # An ignored filter would list everything; more than one row is no answer either way.
        return first[0] if len(first) == 1 else []


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name).strip()


def _same_but_case(one: str, other: str) -> bool:
    """İSTANBUL, İstanbul, istanbul and ISTANBUL are one name; str.lower knows nothing of the Turkish i."""
    return _without_case(one) == _without_case(other)


def _without_case(name: str) -> str:
    """Lower case of İ is i with a second dot in Python and in JavaScript alike; the dot goes."""
    return name.translate(_TURKISH_LOWER).casefold().replace("i\u0307", "i")


@dataclass
class Lookups:
    """All look-ups of one run."""

    omnitron: Omnitron
    locations: Locations = field(init=False)
    _carriers: Memo[str, dict[str, set[int]]] = field(default_factory=Memo)
    _stores: Memo[str, int] = field(default_factory=Memo)
    _products: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.locations = Locations(self.omnitron)

    async def carrier(self, erp_code: str) -> int:
        """The cargo company's pk.

        Raises RecordError unless there is exactly one of this code.
        """

        async def ask() -> dict[str, set[int]]:
            rows = await self.omnitron.rows(self.omnitron.at("cargos/"), {}, sure=lambda row: "erp_code" in row)
            found: dict[str, set[int]] = defaultdict(set)
            for row in rows:
                found[row["erp_code"]].add(id_of(row))
            return dict(found)

        pks = (await self._carriers.get("all", ask)).get(erp_code, set())
        if len(pks) != 1:
            sentence = f"Omnitron has {len(pks)} cargo companies of erp_code {erp_code!r}; one is expected"
            raise RecordError(Reason.CARRIER_UNKNOWN, "order.cargo_company", sentence)
        return next(iter(pks))

    async def store(self, erp_code: str, where: str) -> int:
        """The retail store's pk; `where` (`shipping_address`) names the field in an error.

        Raises RecordError unless there is exactly one.
        """

        async def ask() -> int:
            path = self.omnitron.at("retail_stores/")
            rows = await self.omnitron.rows(path, {"erp_code": erp_code}, sure=lambda row: row["erp_code"] == erp_code)
            if len(rows) != 1:
                sentence = f"{len(rows)} stores have this erp_code"
                raise RecordError(Reason.RETAIL_STORE_UNKNOWN, f"{where}.retail_store", sentence)
            return id_of(rows[0])

        return await self._stores.get(erp_code, ask)

    async def read_products(self, remote_ids: Iterable[str]) -> None:
        """Ask for the products of many orders at once."""
        wanted = set(remote_ids) - self._products.keys()
        found = await IntegrationActions(self.omnitron).by_remote_id("product", wanted)
        for remote_id in wanted:
            self._products[remote_id] = sorted({int(row["object_id"]) for row in found.get(remote_id, [])})

    def product(self, remote_id: str, where: str) -> int:
        """The product's pk; `read_products` was called with it before.

        Raises RecordError unless the channel's id is linked with exactly one product.
        """
        pks = self._products[remote_id]
        if not pks:
            raise RecordError(
                Reason.PRODUCT_UNKNOWN, where, f"the channel's product {remote_id!r} is not linked with one of Omnitron"
            )
        if len(pks) > 1:
            raise RecordError(
                Reason.PRODUCT_AMBIGUOUS,
                where,
                f"the channel's product {remote_id!r} is linked with {len(pks)} products",
            )
        return pks[0]
