"""What the sandbox Omnitron says, read from its database."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.run.compare import Omnitron, Row, remote_id
from sandbox.run.facts import Answer, Facts, Line, Order, Request, State

STATES = {
    **dict.fromkeys(("200", "300", "350", "400", "450"), State.OPEN),
    **dict.fromkeys(("500", "510", "520", "540"), State.SHIPPED),
    "550": State.DELIVERED,
    "100": State.CANCELLED,
    "600": State.RETURNED,
}
ANSWERS = {"completed": Answer.ACCEPTED, "rejected": Answer.REJECTED}
CANCELLED = "100"
ENDED = ("done", "fail")


def read(database: Path, channel: int) -> Facts:
    """One channel's orders, cancels and requests."""
    omnitron = Omnitron(database, channel)
    units = {item["pk"]: remote_id(item) for items in omnitron.items.values() for item in items}
    return Facts(
        orders={remote_id(row): _order(row, omnitron.items[row["pk"]]) for row in omnitron.orders},
        requests=dict(_requests(omnitron, units)),
        cancels=dict(_cancels(omnitron.plans, units)),
    )


def unfinished(database: Path, channel: int) -> Iterator[str]:
    """What must not be left when a story is over."""
    omnitron = Omnitron(database, channel)
    for row in omnitron.batches:
        if row["status"] not in ENDED:
            yield f"batch request {row['pk']} of {row['content_type']} is still in {row['status']}"
    for row in omnitron.plans:
        if row["status"] != "completed":
            yield f"cancellation plan {row['pk']} is still {row['status']}"
    for links in omnitron.links.values():
        yield from (
            f"{row['content_type']} {row['object_id']} ({row['remote_id']}) is linked in {row['status']}"
            for row in links
            if row["status"] != "success"
        )


def refused(database: Path, channel: int) -> dict[str, set[str]]:
    """Orders that a channel refused once: their ids there, and why Omnitron thinks so."""
    omnitron = Omnitron(database, channel)
    keys = {row["pk"]: remote_id(row) for row in omnitron.orders}
    found: dict[str, set[str]] = defaultdict(set)
    for row in omnitron.batch_objects:
        if row["failed_reason_type"] and row["content_type"] == "order" and row["object_id"] in keys:
            found[keys[row["object_id"]]].add(row["failed_reason_type"])
    return dict(found)


def ended_feeds(database: Path, channel: int) -> list[str]:
    """What the channel called its jobs that came to a good end."""
    batches = Omnitron(database, channel).batches
    return [row["remote_batch_id"] for row in batches if row["remote_batch_id"] and row["status"] == "done"]


def _order(row: Row, items: list[Row]) -> Order:
    lines: dict[str, list[Row]] = defaultdict(list)
    for item in sorted(items, key=_number):
        lines[remote_id(item).rpartition("/")[0]].append(item)
    return Order(
        lines={
            name: Line(
                units=tuple(STATES.get(item["status"], f"in status {item['status']}") for item in line),  # type: ignore[arg-type]
                parcels=_given(line, "tracking_number"),
            )
            for name, line in lines.items()
        },
        invoices=_given(items, "invoice_number"),
        is_cancelled=row["status"] == CANCELLED,
    )


def _number(item: Row) -> tuple[int, int]:
    number = remote_id(item).rpartition("/")[2]
    return (int(number) if number.isdigit() else 0, item["pk"])


def _given(items: list[Row], column: str) -> frozenset[str]:
    return frozenset(item[column] for item in items if item[column])


def _requests(omnitron: Omnitron, units: Mapping[int, str]) -> Iterator[tuple[tuple[str, str], Request]]:
    for row in omnitron.requests:
        links = omnitron.links["cancellationrequest", row["pk"]]
        name = ", ".join(link["remote_id"] for link in links) or f"(not linked: {row['pk']})"
        answer = ANSWERS.get(row["status"], Answer.WAITING)
        yield (name, units[row["order_item"]]), Request(row["cancellation_type"], answer, row["reason"])


def _cancels(plans: list[Row], units: Mapping[int, str]) -> Iterator[tuple[str, int | None]]:
    for row in plans:
        reasons: dict[str, Any] = json.loads(row["reasons"] or "{}")
        for pk in json.loads(row["items"] or "[]"):
            yield units[pk], reasons.get(str(pk))
