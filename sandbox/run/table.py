"""The table at the end: what each flow counted for each channel, and what the independent checks say to it."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from sandbox.run.flow_run import FlowRun, counts

FIRST_DIFFERENCES = 10
Sums = dict[tuple[str, str], Counter[str]]
INPUT = ("rows", "distinct", "duplicates")  # the same records as those that follow


def show(console: Console, runs: Sequence[FlowRun], verdicts: Mapping[str, Sequence[str]]) -> None:
    """A line a flow and channel, over all its runs; `verdicts` are the differences that a check found, by its name."""
    table = Table(title="What the flows did", title_justify="left")
    for name in ("flow", "channel", "runs", "what they counted"):
        table.add_column(name, justify="right" if name == "runs" else "left")
    flow_before = None
    for (flow, channel), sums in sums_of(runs).items():
        of_this = [run for run in runs if (run.call.flow, run.call.channel) == (flow, channel)]
        green = all(run.is_green for run in of_this)
        if flow_before not in (None, flow):
            table.add_section()
        told = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in sums.items()) or "nothing"
        number = f"{len(of_this)} [green]✓[/green]" if green else f"{len(of_this)} [red]✗[/red]"
        table.add_row(flow if flow != flow_before else "", channel, number, told)
        flow_before = flow
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
        sums.update({name: count for name, count in counts(run.row).items() if name not in INPUT})
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
