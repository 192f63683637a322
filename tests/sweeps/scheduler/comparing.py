"""How a channel stands, on both sides and in staging: in the words of the other sweeps."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sandbox.run import world
from sandbox.run.state import Secrets
from tests.conftest import BackOffice
from tests.flows.state import state_of as orders_of
from tests.sweeps import state
from tests.sweeps.scheduler.stand import Stand

QUERIES = {
    "order states": state.ORDERS,
    "item states": state.ITEMS,
    "all links": state.LINKS,
    "requests": state.REQUESTS,
    "plans": state.PLANS,
    "open batch requests": state.BATCHES,
    "places": state.PLACES,
}
MARKET = {
    "lines": state.LINES,
    "claims": state.CLAIMS,
    "cancellations": state.CANCELS,
    "feed lines": state.FEEDS,
}
Json = dict[str, Any]


@contextmanager
def office(stand: Stand, secrets: Secrets) -> Iterator[BackOffice]:
    """The back office of its Omnitron, logged in."""
    who = {"username": world.USER, "password": secrets.omnitron_password}
    with BackOffice(base_url=stand.omnitron.http.base_url, timeout=30, trust_env=False) as client:
        key = client.post("/api/v1/auth/login/", json=who).raise_for_status().json()["key"]
        client.headers["Authorization"] = f"Token {key}"
        yield client


def state_of(stand: Stand, secrets: Secrets, staging: Path) -> Json:
    """Each part by a name."""
    ours, theirs = stand.omnitron.database, stand.market.database
    with office(stand, secrets) as client:
        whole: Json = {name: state.counted(part) for name, part in orders_of(client).items() if name != "reports"}
        whole["offered orders"] = sorted(row["extra_field"]["id"] for row in client.rows("orders/updates"))
        whole["offered requests"] = len(client.rows("cancellation_requests/updates"))
    return {
        **whole,
        **{name: state.rows(ours, query) for name, query in QUERIES.items()},
        **{name: state.rows(theirs, query) for name, query in MARKET.items()},
        "units": list(state.units(theirs)),
        "reports": {row["error_code"]: row["times"] for row in state.rows(ours, state.REPORTS)},
        "notes": _notes(staging, stand.name),
        "quarantine": _waiting(staging, "quarantine", stand.name),
        "parked": _waiting(staging, "parked", stand.name),
    }


def _notes(staging: Path, channel: str) -> list[str]:
    """What a task noted before a write, and never took back."""
    return [f"{room}/{path.parent.name}" for room in state.OPEN_NOTES for path in _files(staging / room / channel)]


def _waiting(staging: Path, room: str, channel: str) -> list[Json]:
    """Key, reason and field of what waits."""
    found = [
        path for path in _files(staging / room / channel) if path.suffix == ".json" and path.parent.name != "closed"
    ]
    kept = [{**json.loads(path.read_text("utf-8")), "flow": path.parent.name} for path in found]
    shown = [{name: row.get(name) for name in ("flow", "key", "reason", "field")} for row in kept]
    return sorted(shown, key=lambda row: (row["flow"], row["key"]))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())
