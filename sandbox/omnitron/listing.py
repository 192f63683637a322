"""Lists: Django-style filters, sorting and paging over one table."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from sandbox.omnitron.database import Row, fold, shown
from sandbox.omnitron.errors import ApiError, invalid
from sandbox.omnitron.fields import FieldError, moment, truth, whole
from sandbox.omnitron.schema import TABLES

if TYPE_CHECKING:
    from sandbox.omnitron.api import Call

DEFAULT_LIMIT = 10
MOST = 500  # assumption: the documents name no maximum
SORTS = {"id": "pk", "pk": "pk", "created_date": "created_date", "modified_date": "modified_date"}
COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
LOOKUPS = {"exact", "iexact", "in", "startswith", "date", *COMPARISONS}
DATES = tuple(
    f"{column}{lookup}"
    for column in ("created_date", "modified_date")
    for lookup in ("", "__gt", "__gte", "__lt", "__lte", "__date")
)
PAGING = ("page", "limit", "sort")


class Filter(NamedTuple):
    """A query parameter's column and comparison."""

    column: str
    lookup: str


Filters = Mapping[str, Filter]


def filters(*names: str, **aliases: str) -> dict[str, Filter]:
    """``filters("status", "pk__in", channel_id="channel")``: the parameters that a list knows."""
    spelled = {name: name for name in names} | aliases
    return {name: _parse(target) for name, target in spelled.items()}


def _parse(target: str) -> Filter:
    column, _, lookup = target.rpartition("__")
    return Filter(column, lookup) if column and lookup in LOOKUPS else Filter(target, "exact")


class Where(NamedTuple):
    """A condition and its parameters."""

    sql: str
    params: list[Any]


def conditions(call: "Call", table: str, known: Filters, own: Iterable[str] = ()) -> list[Where]:
    """The query's filters as conditions, ANDed; a repeated parameter means OR. ``own`` are read by the caller."""
    said: dict[str, list[str]] = defaultdict(list)
    for name, value in call.query:
        said[name].append(value)
    found = []
    for name, values in said.items():
        if name in known:
            found.append(_condition(table, name, known[name], values))
        elif name not in PAGING and name not in own:
            call.ignore_filter(name)
    return found


def _condition(table: str, name: str, rule: Filter, values: list[str]) -> Where:
    column = f'"{rule.column}"'
    kind = "int" if rule.column == "pk" else TABLES[table].columns[rule.column]
    try:
        if rule.lookup == "in":
            values = [part for value in values for part in value.split(",") if part.strip()]
        if rule.lookup == "iexact" and "name_folded" in TABLES[table].columns and rule.column == "name":
            column, read = "name_folded", [fold(value) for value in values]
        else:
            read = [value if rule.lookup == "date" else READERS.get(kind, str)(value) for value in values]
    except FieldError as error:
        raise invalid(name, str(error)) from None
    if rule.lookup in {"exact", "in"} or column == "name_folded":
        return Where(f"{column} IN ({', '.join('?' * len(read))})", read)
    if rule.lookup == "startswith":
        each, read = f"substr({column}, 1, length(?)) = ?", [part for value in read for part in (value, value)]
    elif rule.lookup == "date":
        each = f"substr({column}, 1, 10) = ?"
    elif rule.lookup == "iexact":
        each = f"fold({column}) = fold(?)"
    else:
        each = f"{column} {COMPARISONS[rule.lookup]} ?"
    return Where(f"({' OR '.join([each] * len(values))})", read)


READERS: dict[str, Callable[[str], Any]] = {"int": whole, "bool": truth, "date": moment}


def page(
    call: "Call",
    table: str,
    known: Filters,
    *,
    where: Iterable[Where] = (),
    own: Iterable[str] = (),
    show: Callable[[Row], Row] | None = None,
    order: str | None = None,
) -> dict[str, Any]:
    """One page of a table's rows, in the envelope of Akinon's API reference."""
    parts = [*where, *conditions(call, table, known, own)]
    sql = " AND ".join(part.sql for part in parts) or "1"
    params = [value for part in parts for value in part.params]
    number, limit = _number(call), _limit(call)
    count = call.db.count(table, sql, params)
    if number > 1 and (number - 1) * limit >= count:
        raise ApiError(404, {"detail": "Invalid page."})
    tail = f"ORDER BY {order or _order(call, table)} LIMIT {limit} OFFSET {(number - 1) * limit}"
    show = show or (lambda row: shown(table, row))
    return {
        "count": count,
        "next": _link(call, number + 1) if number * limit < count else None,
        "previous": _link(call, number - 1) if number > 1 else None,
        "results": [show(row) for row in call.db.rows(table, sql, params, tail)],
    }


def _number(call: "Call") -> int:
    text = call.parameter("page")
    try:
        number = 1 if text is None else whole(text)
    except FieldError:
        number = 0
    if not 0 < number < 2**32:
        raise ApiError(404, {"detail": "Invalid page."})
    return number


def _limit(call: "Call") -> int:
    """As Django REST framework reads it: what makes no sense is not there, what is too much is the most."""
    text = call.parameter("limit")
    try:
        limit = DEFAULT_LIMIT if text is None else whole(text)
    except FieldError:
        limit = DEFAULT_LIMIT
    return min(limit, MOST) if limit > 0 else DEFAULT_LIMIT


def _order(call: "Call", table: str) -> str:
    text = call.parameter("sort")
    if text is None:
        # No order was asked for, so none can be relied on: like a server's heap, changed rows move to the end.
        return "modified_date, pk" if "modified_date" in TABLES[table].columns else "pk"
    column = SORTS.get(text.removeprefix("-"))
    if column is None or (column != "pk" and column not in TABLES[table].columns):
        raise invalid("sort", f"Select a valid choice. {text} is not one of the available choices.")
    direction = "DESC" if text.startswith("-") else "ASC"
    return f'"{column}" {direction}' + ("" if column == "pk" else f", pk {direction}")


def _link(call: "Call", number: int) -> str:
    pairs = [(name, value) for name, value in call.query if name != "page"]
    return f"{call.url}?{urlencode([*pairs, ('page', str(number))])}"
