"""What push tasks leave behind, and settle collects: one outcome a key of the manifest, whatever happens to a task."""

from collections.abc import Iterable
from dataclasses import asdict, replace

from order_integration.flows.inbound import CHUNK, MANIFEST, QUARANTINED
from order_integration.flows.outcomes import SETTLED, Balance, Outcome, Result
from order_integration.flows.settling import Settlement
from order_integration.staging import Folder, OwedLinks

OUTCOMES = "outcomes"
OF = "of"  # beside outcomes: the folder of the chunks they are about


def collected(chunks: Folder, pushed: Iterable[Folder | None]) -> tuple[Settlement, Balance]:
    """What all tasks of a run say, one outcome per key of the manifest.

    A record that no push task gave account of (it was killed, say) is parked: the next run begins with it.
    """
    manifest = next(iter(chunks.read(MANIFEST)))
    settlement = Settlement(began=manifest.get("began", ""))  # staged by an earlier version it has none
    for row in chunks.read(QUARANTINED):
        settlement.records[row["key"]] = row.pop("record")
        settlement.read_at[row["key"]] = row.pop("read_at")
        settlement.outcomes.append(Outcome.from_row(row))
    for number, folder in enumerate(pushed):
        said = {row["key"]: Outcome.from_row(row) for row in folder.read(OUTCOMES)} if folder else {}
        for row in chunks.read(f"{CHUNK}-{number:03}"):
            outcome = _final(said.get(row["key"]) or _unaccounted(row["key"]))
            settlement.outcomes.append(outcome)
            settlement.read_at[row["key"]] = row["read_at"]
            if outcome.result in {Result.QUARANTINED, Result.PARKED}:
                settlement.records[row["key"]] = row["record"]
    balance = Balance(rows=manifest["rows"], duplicates=manifest["duplicates"], distinct=manifest["distinct"])
    balance.gone_left = manifest.get("gone_left", 0)
    return settlement, balance


def said_before(chunks: Folder, attempts: Iterable[Folder]) -> dict[str, Outcome]:
    """What earlier tries of a push task settled for good, by key: a retry need not do it again."""
    found: dict[str, Outcome] = {}
    for folder in attempts:
        if OUTCOMES in folder.names() and next(iter(folder.read(OF)))["chunks"] == chunks.path:
            said = (Outcome.from_row(row) for row in folder.read(OUTCOMES))
            found |= {outcome.key: outcome for outcome in said if outcome.result in SETTLED}
    return found


def keep_outcomes(folder: Folder, chunks: Folder, outcomes: list[Outcome], owed: OwedLinks) -> None:
    """Outcomes, the chunks that they are about, and the links, even if this run never gets to settle."""
    folder.write(OF, [{"chunks": chunks.path}])
    folder.write(OUTCOMES, (outcome.as_row() for outcome in outcomes))
    owed.owe(folder.path.replace("/", "-"), [asdict(link) for outcome in outcomes for link in outcome.links])


def _final(outcome: Outcome) -> Outcome:
    """There is no next try any more for what was left to one: somebody ended the push task before."""
    return replace(outcome, result=Result.PARKED) if outcome.result is Result.FAILED else outcome


def _unaccounted(key: str) -> Outcome:
    return Outcome(key, Result.PARKED, "push_failed", sentence="its push task left no outcome", failed=True)
