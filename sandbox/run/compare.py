"""Compares what is in the sandbox Omnitron's database with what must be there. Reads the file, never the API."""

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sandbox.run.expected import Address, Expected, Line, Order, Person, shares

Row = dict[str, Any]

MINOR_UNIT = {"try": Decimal("0.01")}
HOLDS_THE_LOCK = ("commit", "sent_to_remote", "ongoing")
REPORTER = "fetch_orders-"  # what other flows have to say of an order is not asked here
PLACES = ("countries", "cities", "townships", "districts")


class Omnitron:
    """One channel's rows."""

    def __init__(self, database: Path, channel: int) -> None:
        self._connection = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)
        self._connection.row_factory = sqlite3.Row
        self.channel = channel
        self.orders = self._of_channel("orders")
        self.batches = self._of_channel("batch_requests")
        self.reports = self._of_channel("error_reports")
        self.plans = self._of_channel("cancellation_plans")
        self.requests = self._of_channel("cancellation_requests")
        batches = {row["pk"] for row in self.batches}
        self.batch_objects = [row for row in self._rows("batch_objects") if row["batch_request"] in batches]
        self.customers = {row["pk"]: row for row in self._of_channel("customers")}
        self.addresses = self._by_pk("addresses")
        self.carriers = {pk: row["erp_code"] for pk, row in self._by_pk("cargos").items()}
        self.places = {table: self._by_pk(table) for table in PLACES}
        self.items: dict[int, list[Row]] = defaultdict(list)
        for row in self._rows("order_items"):
            self.items[row["order"]].append(row)
        self.links: dict[tuple[str, int], list[Row]] = defaultdict(list)
        self.products: dict[str, int] = {}
        for row in self._of_channel("integration_actions"):
            self.links[row["content_type"], row["object_id"]].append(row)
            if row["content_type"] == "product":
                self.products[row["remote_id"]] = row["object_id"]
        self._connection.close()

    def by_key(self) -> dict[str, list[Row]]:
        """Orders by the channel's id."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.orders:
            found[remote_id(row)].append(row)
        return found

    def place(self, table: str, pk: int | None) -> str | None:
        return self.places[table][pk]["name"] if pk else None

    def _rows(self, table: str) -> list[Row]:
        return [dict(row) for row in self._connection.execute(f"SELECT * FROM {table}")]  # noqa: S608

    def _of_channel(self, table: str) -> list[Row]:
        return [row for row in self._rows(table) if row["channel"] == self.channel]

    def _by_pk(self, table: str) -> dict[int, Row]:
        return {row["pk"]: row for row in self._rows(table)}


def differences(database: Path, channel: int, expected: Expected) -> list[str]:
    """Everything that is not as it must be, a sentence each; nothing when all is well."""
    omnitron = Omnitron(database, channel)
    return [
        *_orders(omnitron, expected),
        *_strangers(omnitron, expected),
        *_people(omnitron, expected),
        *_reports(omnitron, expected),
        *(
            f"batch request {row['pk']} is still in {row['status']} and holds the lock"
            for row in omnitron.batches
            if row["status"] in HOLDS_THE_LOCK
        ),
    ]


def table_differences(row: Mapping[str, Any], expected: Expected) -> list[str]:
    """Whether the run counted right."""
    arrived = sum(row.get(name, 0) for name in ("created", "updated", "unchanged", "already_there", "seen_before"))
    counts = {
        "rows": (row["rows"], expected.rows),
        "distinct": (row["distinct"], expected.distinct),
        "duplicates": (row["duplicates"], expected.rows - expected.distinct),
        "created or there already": (arrived, len(expected.orders)),
        "quarantined": (row["quarantined"], len(expected.quarantined)),
        "parked": (row["parked"], 0),
        "reasons": (row["reasons"], dict(Counter(expected.quarantined.values()))),
    }
    return [f"the run counts {name}: {has}, expected {wants}" for name, (has, wants) in counts.items() if has != wants]


def remote_id(row: Row) -> str:
    """The channel's id of an order or an item."""
    return str(json.loads(row["extra_field"] or "{}").get("id"))


def _orders(omnitron: Omnitron, expected: Expected) -> Iterator[str]:
    found = omnitron.by_key()
    for order in expected.orders:
        rows = found[order.key]
        if len(rows) != 1:
            yield f"order {order.key} is in Omnitron {len(rows)} times" if rows else f"order {order.key} is missing"
            continue
        for sentence in (*_header(omnitron, rows[0], order), *_lines(omnitron, rows[0], order)):
            yield f"order {order.key}: {sentence}"


def _header(omnitron: Omnitron, row: Row, order: Order) -> Iterator[str]:
    customer = omnitron.customers.get(row["customer"]) or {}
    yield from _differ(
        {
            "number": (row["number"], order.number),
            "currency": (row["currency"].lower(), order.currency.lower()),
            "amount": (Decimal(row["amount"]), order.amount),
            "discount": (Decimal(row["discount_amount"]), sum(line.discount for line in order.lines)),
            "date": (datetime.fromisoformat(row["date_placed"]), order.placed_at),
            "carrier": (omnitron.carriers.get(row["cargo_company"]), order.carrier),
            "customer": (str(customer.get("email")).casefold(), order.buyer.email.casefold()),
        }
    )
    yield from _link(omnitron, "order", row["pk"], order.key)
    for which, address in (("shipping_address", order.deliver_to), ("billing_address", order.invoice_to)):
        yield from (f"{which}: {text}" for text in _address(omnitron, omnitron.addresses.get(row[which]), address))


def _address(omnitron: Omnitron, row: Row | None, address: Address) -> Iterator[str]:
    if row is None:
        yield "is missing"
        return
    township = omnitron.place("townships", row["township"])
    yield from _person(row, address.person)
    yield from _differ(
        {
            "line": (row["line"], address.line),
            "postcode": (row["postcode"] or "", address.postcode or ""),
            "company": (row["company_name"] or "", address.company or ""),
            "country": (omnitron.places["countries"][row["country"]]["code"].lower(), address.country.lower()),
            "city": (fold(omnitron.place("cities", row["city"])), fold(address.city)),
            "township": (fold(township), fold(address.township)),
            "district": (fold(omnitron.place("districts", row["district"])), fold(address.district)),
        }
    )


def _person(row: Row, person: Person) -> Iterator[str]:
    yield from _differ(
        {
            "first name": (row["first_name"], person.first_name),
            "last name": (row["last_name"], person.last_name),
            "e-mail": (row["email"].casefold(), person.email.casefold()),
            "phone": (digits(row["phone_number"]), digits(person.phone)),
        }
    )


def _lines(omnitron: Omnitron, row: Row, order: Order) -> Iterator[str]:
    items = {remote_id(item): item for item in omnitron.items[row["pk"]]}
    wanted = {f"{line.id}/{number}" for line in order.lines for number in range(1, line.units + 1)}
    if len(omnitron.items[row["pk"]]) != len(wanted):
        yield f"{len(omnitron.items[row['pk']])} items, expected {len(wanted)}"
    if set(items) != wanted:
        yield f"items {', '.join(sorted(set(items) ^ wanted)[:3])} are missing or too many"
        return
    for key, item in items.items():
        yield from (f"item {key}: {text}" for text in _link(omnitron, "orderitem", item["pk"], key))
    for line in order.lines:
        own = [items[f"{line.id}/{number}"] for number in range(1, line.units + 1)]
        yield from (f"line {line.id}: {text}" for text in _line(omnitron, own, line, order.currency.lower()))


def _line(omnitron: Omnitron, items: list[Row], line: Line, currency: str) -> Iterator[str]:
    unit = MINOR_UNIT[currency]
    yield from _differ(
        {
            "product": ({item["product"] for item in items}, {omnitron.products.get(line.product)}),
            "currency": ({item["price_currency"].lower() for item in items}, {currency}),
            "prices": (sorted(Decimal(item["price"]) for item in items), shares(line.gross, line.units, unit)),
            "discounts": (
                sorted(Decimal(item["discount_amount"]) for item in items),
                shares(line.discount, line.units, unit),
            ),
        }
    )


def _link(omnitron: Omnitron, content_type: str, pk: int, key: str) -> Iterator[str]:
    """One integration action, with the channel's id, in success."""
    links = [(link["remote_id"], link["status"]) for link in omnitron.links[content_type, pk]]
    if links != [(key, "success")]:
        yield f"is not linked: {links or 'no integration action'}"


def _strangers(omnitron: Omnitron, expected: Expected) -> Iterator[str]:
    """Orders of the window that should not be there: put aside for good, or placed by nobody."""
    known = {order.key for order in expected.orders}
    for key, rows in omnitron.by_key().items():
        placed = [datetime.fromisoformat(row["date_placed"]) for row in rows]
        inside = any(expected.start <= moment < expected.placed_until for moment in placed)
        if key in expected.quarantined:
            yield f"order {key} is in Omnitron, but was to be quarantined: {expected.quarantined[key]}"
        elif key not in known and inside:
            yield f"order {key} is in Omnitron, but the channel has none such"


def _people(omnitron: Omnitron, expected: Expected) -> Iterator[str]:
    """Every buyer once, with the names of their latest order."""
    latest = {
        order.buyer.email.casefold(): order.buyer for order in sorted(expected.orders, key=lambda one: one.changed_at)
    }
    found: dict[str, list[Row]] = defaultdict(list)
    for row in omnitron.customers.values():
        found[row["email"].casefold()].append(row)
    for number, (email, person) in enumerate(latest.items(), start=1):
        rows = found[email]
        if len(rows) != 1:
            yield f"buyer {number} is in Omnitron {len(rows)} times"
        else:
            yield from (f"customer {rows[0]['pk']}: {text}" for text in _person(rows[0], person))


def _reports(omnitron: Omnitron, expected: Expected) -> Iterator[str]:
    """One for each bad order, and none on an order that arrived, but for what is fine."""
    told: dict[str, list[str]] = defaultdict(list)
    for row in omnitron.reports:
        if not row["is_ok"] and row["error_code"].startswith(REPORTER):
            key, _, text = row["error_desc"].partition(":")
            told[key].append(text)
    for key, reason in expected.quarantined.items():
        if not any(reason in text for text in told[key]):
            yield f"order {key}: no report says {reason}"
    for order in expected.orders:
        if told.get(order.key):
            yield f"order {order.key} arrived, but is reported as{told[order.key][0]}"


def fold(text: str | None) -> str | None:
    """Lower case as Turkish has it, for comparing names of places."""
    return text.replace("İ", "i").replace("I", "ı").lower() if text else None


def digits(text: str | None) -> str:
    """A phone number however it is written."""
    return "".join(letter for letter in text or "" if letter.isdigit())


def _differ(pairs: Mapping[str, tuple[object, object]]) -> Iterator[str]:
    """Values stay out where they may be a person's: the field's name is enough to look."""
    for name, (has, wants) in pairs.items():
        if has != wants:
            shown = name in {"number", "currency", "amount", "discount", "date", "carrier", "prices", "discounts"}
            yield f"{name} is {_text(has)}, expected {_text(wants)}" if shown else f"{name} differs"


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return str(value)
