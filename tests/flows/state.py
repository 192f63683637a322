"""What Omnitron holds in the end, without what differs from run to run (pks, times, hashes)."""

from collections import Counter
from typing import Any

from tests.conftest import BackOffice

HOLDS_LOCK = {"commit", "sent_to_remote", "ongoing"}
CUSTOMER = ("email", "first_name", "last_name", "phone_number", "channel_code")
PLACE = ("email", "first_name", "last_name", "phone_number", "line", "country", "city", "township", "district")


def state_of(office: BackOffice, channel: int = 1) -> dict[str, Any]:
    """Orders, items, customers, addresses and successful links, each counted: what is there twice shows."""
    buyers = {row["pk"]: pick(row, CUSTOMER) for row in office.rows("customers", channel)}
    places = {
        row["pk"]: (buyers[row["customer"]], *pick(row, PLACE))
        for row in office.rows("addresses", channel)
        if row["customer"] in buyers
    }
    orders = office.rows("orders", channel)
    items = office.rows("order_items", channel)
    keys = {("order", row["pk"]): row["extra_field"]["id"] for row in orders}
    keys |= {("orderitem", row["pk"]): row["extra_field"]["id"] for row in items}
    return {
        "orders": Counter(_order(row, buyers, places) for row in orders),
        "items": Counter(
            (keys["order", row["order"]], row["extra_field"]["id"], row["product"], row["price"]) for row in items
        ),
        "customers": Counter(buyers.values()),
        "addresses": Counter(places.values()),
        "links": Counter(_links(office, channel, keys)),
        "reports": {row["error_code"] for row in office.rows("error_reports", channel)},
    }


def _order(row: dict[str, Any], buyers: dict[int, Any], places: dict[int, Any]) -> tuple[Any, ...]:
    own = pick(row, ("number", "amount", "currency", "date_placed", "shipping_amount", "notes", "status"))
    people = (buyers[row["customer"]], places[row["shipping_address"]], places[row["billing_address"]])
    return (row["extra_field"]["id"], own, people)


def _links(office: BackOffice, channel: int, keys: dict[tuple[str, int], str]) -> list[tuple[str, str]]:
    """Content type and remote id of each link that succeeded; it must be that of its object."""
    found = []
    for (kind, pk), remote_id in linked(office, channel).items():
        assert keys[kind, pk] == remote_id
        found.append((kind, remote_id))
    return found


def linked(office: BackOffice, channel: int = 1) -> dict[tuple[str, int], str]:
    return {
        (kind, int(row["object_id"])): row["remote_id"]
        for kind in ("order", "orderitem")
        for row in office.rows("integration_actions", channel, content_type_name=kind, status="success")
    }


def no_batch_is_open(office: BackOffice) -> bool:
    return not [row for row in office.rows("batch_requests") if row["status"] in HOLDS_LOCK]


def pick(row: dict[str, Any], names: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)
