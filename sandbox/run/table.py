"""The table at the end: what each flow counted for each channel, and what the independent checks say to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.run.flow_run import FlowRun, counts

FIRST_DIFFERENCES = 10
Sums = dict[tuple[str, str], Counter[str]]
OTHERWISE_COUNTED = ("rows", "distinct", "duplicates", "new_in_quarantine", "due", "sent")  # what follows adds up to it


def show(console: Console, runs: Sequence[FlowRun], verdicts: Mapping[str, Sequence[str]]) -> None:
    """A line a channel below each flow, over all its runs; `verdicts` are the differences, by the name of the check."""
    table = Table(title="What the flows did", title_justify="left")
    for name in ("flow", "runs", "what they counted"):
        table.add_column(name, justify="right" if name == "runs" else "left", no_wrap=name != "what they counted")
    flow_before = None
    for (flow, channel), sums in sums_of(runs).items():
        if flow_before != flow:
            table.add_section()
            table.add_row(f"[bold]{flow}[/bold]")
            flow_before = flow
        of_this = [run for run in runs if (run.call.flow, run.call.channel) == (flow, channel)]
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sums.items()) or "nothing"
        table.add_row(f"  {channel}", f"{len(of_this)} {_mark(all(run.is_green for run in of_this))}", told)
    console.print(table)
    for name, differences in verdicts.items():
        console.print(f"{_mark(not differences)} {name}", highlight=False)
        for sentence in differences[:FIRST_DIFFERENCES]:
            console.print(f"    {sentence}", style="red", markup=False, highlight=False)
        if len(differences) > FIRST_DIFFERENCES:
            console.print(f"    … and {len(differences) - FIRST_DIFFERENCES} more", style="red")


def sums_of(runs: Sequence[FlowRun]) -> Sums:
    """By flow and channel, in the order in which they ran first."""
    found: Sums = {}
    for run in runs:
        sums = found.setdefault((run.call.flow, run.call.channel), Counter())
        sums.update({name: count for name, count in counts(run.row).items() if name not in OTHERWISE_COUNTED})
    return found


def as_json(run: FlowRun) -> dict[str, Any]:
    return {
        "flow": run.call.flow,
        "channel": run.call.channel,
        "dag": run.call.dag_id,
        "run": run.run_id,
        "state": run.state,
        "conf": dict(run.call.conf),
        "table": run.row,
        "deferred": sorted(run.deferred),
        "seconds": round(run.seconds, 1),
    }


def _mark(good: bool) -> str:
    return "[green]✓[/green]" if good else "[red]✗[/red]"
