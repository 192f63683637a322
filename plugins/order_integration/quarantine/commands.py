"""What the commands do: search, print, park, close. Each returns an exit code."""

import json
import subprocess
import sys
from argparse import Namespace
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from order_integration.channels.registry import load_channels
from order_integration.errors import ConfigurationError
from order_integration.flows import INBOUND, replaying
from order_integration.flows.replaying import PARKED, QUARANTINE, Entry, Search
from order_integration.flows.showing import shown
from order_integration.quarantine.printing import (
    DONE,
    NOT_TRIGGERED,
    NOTHING,
    as_json,
    complain,
    fields,
    indented,
    say,
    table,
)
from order_integration.staging import OPEN, REPLAYED, Places, Staging

LONGEST_TRIGGER = 180  # seconds that `airflow dags trigger` may take: it starts all of Airflow
COLUMNS = {
    "channel": "CHANNEL",
    "flow": "FLOW",
    "place": "PLACE",
    "key": "KEY",
    "state": "STATE",
    "reason": "REASON",
    "field": "FIELD",
    "first_seen": "FIRST SEEN",
    "last_seen": "LAST SEEN",
    "replay": "REPLAYED",
    "note": "NOTE",
    "sentence": "SENTENCE",
}
COUNTS = {"channel": "CHANNEL", "flow": "FLOW", "place": "PLACE", "reason": "REASON", "count": "COUNT"}
FATES = {
    "channel": "CHANNEL",
    "flow": "FLOW",
    "key": "KEY",
    "fate": "BECAME",
    "reason": "REASON",
    "field": "FIELD",
    "at": "REPLAYED",
    "by": "BY",
    "note": "NOTE",
    "sentence": "SENTENCE",
}
DETAILS = (
    "channel", "flow", "place", "key", "digest", "state", "reason", "field", "sentence", "first_seen", "last_seen",
    "read_at", "replay", "closed", "by", "note",
)  # fmt: skip


def list_(known: Namespace) -> int:
    """What waits."""
    staging = Staging.deployed()
    entries = replaying.listed(staging, _search(known, staging, closed=known.closed), _now())
    rows = [_row(entry) for entry in entries]
    if known.json:
        as_json(rows)
    elif rows:
        shown_rows = rows[: known.limit or None]
        left_out = {"state" if not known.closed else "", "place" if not known.parked else ""}
        table(shown_rows, {name: title for name, title in COLUMNS.items() if name not in left_out})
        say(f"{len(shown_rows)} of {len(rows)}" if len(shown_rows) < len(rows) else f"{len(rows)} in all")
    return _found(bool(rows), staging)


def show(known: Namespace) -> int:
    """All of one key, in each place that knows it."""
    staging = Staging.deployed()
    entries = _of_key(known, staging, known.key)
    if known.json:
        as_json([{**_row(entry), "record": shown(entry.row.get("record"))} for entry in entries])
        return _found(bool(entries), staging)
    for entry in entries:
        say(f"{entry.place} of {entry.flow}, {entry.channel}")
        fields(_row(entry), DETAILS)
        record = shown(entry.row.get("record"))
        say("  record (*** in place of what may tell who somebody is)" if record else "  record: removed")
        indented(record or {}, depth=2)
    return _found(bool(entries), staging)


def replay(known: Namespace) -> int:
    """Park what was chosen, and trigger the flow's DAG."""
    staging = Staging.deployed()
    entries = _chosen(known, staging)
    if not entries:
        return _found(found=False, staging=staging)
    if len(entries) > 1 and not known.yes:
        rows = replaying.grouped(entries)
        as_json(rows) if known.json else table(rows, COUNTS)
        return complain(f"{len(entries)} records would be tried again. Nothing was done yet: add --yes", NOTHING)
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for entry in entries:
        groups[entry.channel, entry.flow].append(entry.key)
    parked = 0
    for (channel, flow), keys in groups.items():
        places, by = Places.of(staging, channel, flow), known.by
        parked += len(replaying.park(places, keys, run="command line", by=by, note=known.note, now=_now()))
    dags = sorted({f"{flow}__{channel}" for channel, flow in groups})
    triggered = {} if known.later else {dag: _trigger(dag) for dag in dags}
    if known.json:
        as_json({"parked": parked, "dags": dags, "triggered": triggered})
    else:
        say(f"{parked} parked: {', '.join(dags)} will begin with them")
    return _told(triggered, is_json=known.json)


def resolve(known: Namespace) -> int:
    """Close one key, wherever it waits."""
    staging = Staging.deployed()
    entries = [entry for entry in _of_key(known, staging, known.key) if entry.row["state"] == OPEN]
    if len({(entry.channel, entry.flow) for entry in entries}) > 1:
        flows = ", ".join(sorted({f"{entry.flow} of {entry.channel}" for entry in entries}))
        raise ConfigurationError(f"this key waits in {flows}: choose with --flow and --channel")
    if not known.note.strip():
        raise ConfigurationError("--note is empty: say why nothing has to be done any more")
    done = False
    for entry in entries[:1]:
        places = Places.of(staging, entry.channel, entry.flow)
        done = replaying.resolve(places, entry.key, by=known.by, note=known.note, now=_now())
    if known.json:
        as_json({"resolved": done})
    elif done:
        say(f"resolved, and its record removed; for another reason than {entries[0].row['reason']} it would wait anew")
    return _found(done, staging)


def replayed(known: Namespace) -> int:
    """What became of what was to be tried again."""
    staging = Staging.deployed()
    rows = replaying.replayed(staging, _search(known, staging), _now())
    as_json(rows) if known.json else table(rows, FATES)
    return _found(bool(rows), staging)


def counts(known: Namespace) -> int:
    """How many wait."""
    staging = Staging.deployed()
    rows = replaying.counts(staging, _search(known, staging), _now())
    if known.json:
        as_json(rows)
    elif rows:
        table(rows, {**COUNTS, "oldest": "OLDEST"})
    return _found(bool(rows), staging)


COMMANDS: dict[str, Callable[[Namespace], int]] = {
    "list": list_,
    "show": show,
    "replay": replay,
    "resolve": resolve,
    "replayed": replayed,
    "counts": counts,
}


def _now() -> datetime:
    return datetime.now(UTC)


def _search(known: Namespace, staging: Staging, **own: Any) -> Search:
    """Raises ConfigurationError for a channel that nobody knows."""
    waiting = replaying.known_channels(staging)
    if known.channel and known.channel not in waiting:
        names = sorted({*load_channels(), *waiting})
        if known.channel not in names:
            raise ConfigurationError(f"there is no channel {known.channel!r}; there are: {', '.join(names)}")
    return Search(
        channels=(known.channel,) if known.channel else (),
        flows=(known.flow,) if known.flow else INBOUND,
        places=(QUARANTINE, PARKED) if getattr(known, "parked", False) else (QUARANTINE,),
        reason=getattr(known, "reason", ""),
        older_than=getattr(known, "older_than", None),
        **own,
    )


def _of_key(known: Namespace, staging: Staging, key: str) -> list[Entry]:
    search = _search(known, staging)
    return replaying.found(staging, key, Search(search.channels, search.flows, (QUARANTINE, PARKED)))


def _chosen(known: Namespace, staging: Staging) -> list[Entry]:
    """What a replay is to try again.

    Raises ConfigurationError for a key that is not open in a quarantine.
    """
    search = _search(known, staging)
    if not known.keys:
        return replaying.listed(staging, search, _now())
    entries = []
    for key in known.keys:
        open_ones = [entry for entry in replaying.found(staging, key, search) if entry.row["state"] == OPEN]
        if not open_ones:
            raise ConfigurationError(f"{key} is not open in the quarantine: look with `show {key}`. Nothing was done")
        entries += open_ones
    return entries


def _row(entry: Entry) -> dict[str, Any]:
    row = entry.as_row()
    told = row.pop(REPLAYED, None)
    return {**row, "replay": " ".join(str(told[name]) for name in ("at", "by", "note") if told[name])} if told else row


def _trigger(dag: str) -> str:
    """Empty, or why it could not be triggered."""
    conf = json.dumps({"waiting_only": True})
    command = [sys.executable, "-m", "airflow", "dags", "trigger", dag, "--conf", conf]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_TRIGGER, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        return type(error).__name__
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return "" if done.returncode == 0 else (said[-1] if said else f"exit code {done.returncode}")


def _told(triggered: dict[str, str], *, is_json: bool) -> int:
    failed = {dag: why for dag, why in triggered.items() if why}
    for dag, why in failed.items():
        complain(
            f"{dag} could not be triggered ({why}). The records stay parked: its next run begins with them, or trigger "
            'it by hand with {"waiting_only": true}',
            NOT_TRIGGERED,
        )
    if not is_json and len(triggered) > len(failed):
        say("triggered; the run of a DAG that is paused stays queued until it is unpaused. See `replayed` afterwards")
    return NOT_TRIGGERED if failed else DONE


def _found(found: bool, staging: Staging) -> int:
    return DONE if found else complain(f"nothing of that kind in {staging.url}", NOTHING)
