"""Countries, cities, townships and districts: the table that comes with the stand-in, and the look-ups."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Database, Row, fold
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.schema import TABLES

routes = Routes("locations", scoped=True)

TABLE = Path(__file__).parent / "locations" / "locations.json.gz"
LEVELS = {"country": "countries", "city": "cities", "township": "townships", "district": "districts"}
MAPPING = ("mapping__code__exact", "mapping__integration_type")
NAMES = ("name", "name__exact", "name__iexact", "is_active", "pk__in", *DATES)
COUNTRY_FILTERS = filters(*NAMES, "code", "code__exact")
CITY_FILTERS = filters(*NAMES, "country")
TOWNSHIP_FILTERS = filters(*NAMES, "city")
DISTRICT_FILTERS = filters(*NAMES, "city", "township")


@routes.get("/countries/", COUNTRY_FILTERS, *MAPPING)
def countries(call: Call) -> Row:
    return page(call, "countries", COUNTRY_FILTERS, where=_mapped(call, "country"), own=MAPPING)


@routes.get("/cities/", CITY_FILTERS, *MAPPING)
def cities(call: Call) -> Row:
    return page(call, "cities", CITY_FILTERS, where=_mapped(call, "city"), own=MAPPING)


@routes.get("/townships/", TOWNSHIP_FILTERS, "country", *MAPPING)
def townships(call: Call) -> Row:
    where = [*_mapped(call, "township"), *_in_country(call)]
    return page(call, "townships", TOWNSHIP_FILTERS, where=where, own=("country", *MAPPING))


@routes.get("/districts/", DISTRICT_FILTERS, "country", *MAPPING)
def districts(call: Call) -> Row:
    where = [*_mapped(call, "district"), *_in_country(call)]
    return page(call, "districts", DISTRICT_FILTERS, where=where, own=("country", *MAPPING))


def _mapped(call: Call, level: str) -> list[Where]:
    """The merchant's integration mappings: ``<channel id>_<the channel's name for it>``."""
    code, kind = (call.parameter(name) for name in MAPPING)
    if code is None and kind is None:
        return []
    sql, params = "level = ?", [level]
    for column, value in (("code", code), ("integration_type", kind)):
        if value is not None:
            sql += f" AND {column} = ?"
            params.append(value)
    return [Where(f"pk IN (SELECT object_id FROM location_mappings WHERE {sql})", params)]  # noqa: S608


def _in_country(call: Call) -> list[Where]:
    country = call.parameter("country")
    if country is None:
        return []
    return [Where("city IN (SELECT pk FROM cities WHERE country = ?)", [country])]


def load(db: Database) -> None:
    """Fills the empty location tables from the table that comes with the stand-in."""
    if db.count("countries"):
        return
    table = json.loads(gzip.decompress(TABLE.read_bytes()))
    now = db.clock.now()
    rows = _Rows(now)
    turkey = rows.add_countries(table["countries"])
    for code, name, townships_ in table["provinces"]:
        city = rows.add("cities", name, country=turkey, priority=100, postcode=f"{code}000")
        for township, districts_ in townships_.items():
            township_pk = rows.add("townships", township, city=city)
            for district in districts_:
                rows.add("districts", district, city=city, township=township_pk)
    for level, made in rows.made.items():
        columns = ["pk", *TABLES[level].columns]
        names, marks = ", ".join(f'"{column}"' for column in columns), ", ".join("?" * len(columns))
        db.connection.executemany(f"INSERT INTO {level} ({names}) VALUES ({marks})", made)  # noqa: S608


class _Rows:
    """Rows of the four location tables, with their pks."""

    def __init__(self, now: str) -> None:
        self.made: dict[str, list[list[Any]]] = {level: [] for level in LEVELS.values()}
        self._always = {"is_active": 1, "translations": "{}", "created_date": now, "modified_date": now}

    def add(self, table: str, name: str, **own: Any) -> int:
        made = self.made[table]
        pk = TABLES[table].first + len(made)
        values = {"name": name, "name_folded": fold(name), **self._always, **own}
        made.append([pk, *(values.get(column) for column in TABLES[table].columns)])
        return pk

    def add_countries(self, names: list[list[str]]) -> int:
        pks = {code: self.add("countries", name, code=code) for code, name in names}
        return pks["TR"]


def parents(row: Row) -> Iterator[tuple[str, int]]:
    """What a location lies in."""
    for column in ("country", "city", "township"):
        if row.get(column) is not None:
            yield column, row[column]
