"""How everything stands in the end, on both sides and in staging, without what differs from run to run."""

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from tests.flows.state import state_of as orders_of
from tests.sweeps.home import CHANNEL
from tests.sweeps.world import World

OPEN_NOTES = ("batches", "links", "begun", "submissions")  # nothing of these is left when all is told
Json = dict[str, Any]
# `remote_id` is what links an object with the channel's.
ITEMS = """
    SELECT json_extract(i.extra_field, '$.id') AS unit, i.status, i.cancel_status, i.tracking_number, i.invoice_number,
           i.shipping_company, count(*) AS times
    FROM order_items i GROUP BY 1, 2, 3, 4, 5, 6"""
ORDERS = """
    SELECT json_extract(o.extra_field, '$.id') AS "order", o.status, o.cancel_status, o.invoice_number,
           o.tracking_number, count(*) AS times
    FROM orders o GROUP BY 1, 2, 3, 4, 5"""
LINKS = """
    SELECT content_type, remote_id, status, count(*) AS times FROM integration_actions WHERE object_id IS NOT NULL
    GROUP BY 1, 2, 3"""
REQUESTS = """
    SELECT json_extract(i.extra_field, '$.id') AS unit, r.reason, r.description, r.cancellation_type, r.status,
           a.remote_id, a.status AS link, count(*) AS times
    FROM cancellation_requests r JOIN order_items i ON i.pk = r.order_item
    LEFT JOIN integration_actions a ON a.object_id = r.pk AND a.content_type = 'cancellationrequest'
    GROUP BY 1, 2, 3, 4, 5, 6, 7"""
PLANS = """
    SELECT p.status, p.cancellation_type, p.is_all,
           (SELECT group_concat(unit, ' ') FROM (SELECT json_extract(i.extra_field, '$.id') AS unit FROM order_items i
            JOIN json_each(p.items) e ON e.value = i.pk ORDER BY 1)) AS units
    FROM cancellation_plans p ORDER BY 4"""
# An `initialized` one holds no lock: what a lost answer leaves of it is named by the DAG `check_orders`, never ended.
BATCHES = "SELECT status, content_type FROM batch_requests WHERE status IN ('commit', 'sent_to_remote', 'ongoing')"
# By what it is about, which a batch request is not: those of two tries are two.
REPORTS = """
    SELECT error_code, max(times) AS times FROM (
        SELECT e.error_code, count(*) AS times FROM error_reports e JOIN content_types c
        ON c.pk = e.action_content_type GROUP BY 1, CASE c.model WHEN 'batchrequest' THEN 0 ELSE e.action_object_id END)
    GROUP BY 1"""
# An unmapped place has no key: it is told once at least.
PLACES = "SELECT DISTINCT type, name, err_code FROM address_reports ORDER BY 1, 2, 3"
LINES = "SELECT line_id, shipped, delivered, cancelled, returned FROM lines ORDER BY 1"
CLAIMS = "SELECT line_id, type, units, state, decision_code FROM claims ORDER BY claim_id"
CANCELS = "SELECT line_id, units, reason_code FROM cancellations ORDER BY 1, 2"
# What the channel refused is offered again, and may be refused as often.
FEEDS = """
    SELECT l.order_id, json_extract(l.request, '$.status') AS asked, l.result, l.code, f.state,
           CASE l.result WHEN 'FAILED' THEN 1 ELSE count(*) END AS times
    FROM feed_lines l JOIN feeds f ON f.feed_id = l.feed_id GROUP BY 1, 2, 3, 4, 5"""


def state_of(world: World) -> Json:
    """Each part by a name."""
    ours, theirs = world.servers.omnitron_database, world.servers.channel_database
    office = world.office
    whole = {name: counted(part) for name, part in orders_of(office).items() if name != "reports"}
    return whole | {
        "order states": rows(ours, ORDERS),
        "item states": rows(ours, ITEMS),
        "all links": rows(ours, LINKS),
        "requests": rows(ours, REQUESTS),
        "plans": rows(ours, PLANS),
        "open batch requests": rows(ours, BATCHES),
        "reports": {row["error_code"]: row["times"] for row in rows(ours, REPORTS)},
        "places": rows(ours, PLACES),
        "offered orders": sorted(row["extra_field"]["id"] for row in office.rows("orders/updates")),
        "offered requests": len(office.rows("cancellation_requests/updates")),
        "lines": rows(theirs, LINES),
        "units": list(units(theirs)),
        "claims": rows(theirs, CLAIMS),
        "cancellations": rows(theirs, CANCELS),
        "feed lines": rows(theirs, FEEDS),
        "notes": notes(world.staging),
        "quarantine": waiting(world.staging, "quarantine"),
        "parked": waiting(world.staging, "parked"),
    }


def differences(wanted: Json, got: Json, *, untold: str = "") -> list[str]:
    """What is not as it should be. Reports of what happened on the way are no difference, a report twice is one.

    `untold`: in the codes of reports that may be missing.
    """
    parts = [name for name in wanted if name != "reports" and wanted[name] != got[name]]
    found = [f"{name}: {told(wanted[name], got[name])}" for name in parts]
    needed = {code for code in wanted["reports"] if not (untold and untold in code)}
    missing = sorted(needed - set(got["reports"]))
    twice = sorted(code for code, times in got["reports"].items() if times > wanted["reports"].get(code, 1))
    found += [f"reports: {what} {codes}" for what, codes in (("missing", missing), ("twice", twice)) if codes]
    return found


def told(wanted: Any, got: Any) -> str:
    """The parts that differ."""
    if isinstance(wanted, list) and isinstance(got, list):
        texts = [[json.dumps(one, ensure_ascii=False, sort_keys=True) for one in part] for part in (wanted, got)]
        less, more = Counter(texts[0]) - Counter(texts[1]), Counter(texts[1]) - Counter(texts[0])
        return f"missing {sorted(less.elements())}, not expected {sorted(more.elements())}"
    return f"{got!r} instead of {wanted!r}"


def rows(database: Path, query: str) -> list[Json]:
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(query)]


def units(database: Path) -> Iterator[Json]:
    """Of lines to which something has happened."""
    for row in rows(database, "SELECT body FROM orders ORDER BY order_id, place"):
        for line in json.loads(row["body"])["lines"]:
            for unit in line.get("units", []):
                yield {"line": line["lineId"], **unit}


def notes(staging: Path) -> list[str]:
    """What a task noted before a write, and never took back."""
    found = (path for room in OPEN_NOTES for path in (staging / room).rglob("*") if path.is_file())
    return sorted("/".join(path.relative_to(staging).parts[:3]) for path in found)


def waiting(staging: Path, room: str) -> list[Json]:
    """Key, reason and field of what waits."""
    found = (path for path in (staging / room / CHANNEL).rglob("*.json") if path.parent.name != "closed")
    kept = [{**json.loads(path.read_text("utf-8")), "flow": path.parent.name} for path in found]
    shown = [{name: row.get(name) for name in ("flow", "key", "reason", "field")} for row in kept]
    return sorted(shown, key=lambda row: (row["flow"], row["key"]))


def counted(part: Any) -> list[Any]:
    """A Counter as a list that can be kept and compared: what is there twice stands there twice."""
    return sorted(repr(one) for one in Counter(part).elements())
