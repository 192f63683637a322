"""The table at the end: what the run counted, and what the independent check says to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

FIRST_DIFFERENCES = 10
COLUMNS = {
    "rows": "rows",
    "duplicates": "duplicates",
    "distinct": "distinct",
    "created": "created",
    "already_there": "already there",
    "seen_before": "seen before",
    "quarantined": "quarantined",
    "parked": "parked",
}


def show(console: Console, channel: str, row: Mapping[str, Any] | None, differences: Sequence[str]) -> None:
    """One line a figure: it stays readable in a narrow terminal and in a log."""
    table = Table(title=f"Orders of {channel} in Omnitron", title_justify="left", show_header=False)
    table.add_column("figure")
    table.add_column("value", justify="right")
    if row is None:
        table.add_row("the run left no table", "[red]✗[/red]")
    else:
        for name, title in COLUMNS.items():
            table.add_row(title, str(row.get(name, "?")))
            if name == "quarantined":
                for reason, count in sorted(row["reasons"].items()):
                    table.add_row(f"[dim]  {reason}[/dim]", f"[dim]{count}[/dim]")
        table.add_row("balance", _verdict(good="holds", bad="does not hold", is_good=bool(row["balance"])))
    table.add_section()
    table.add_row(
        "independent check", _verdict(good="agrees", bad=f"{len(differences)} differences", is_good=not differences)
    )
    console.print(table)
    for sentence in differences[:FIRST_DIFFERENCES]:
        console.print(f"  {sentence}", style="red", markup=False)
    if len(differences) > FIRST_DIFFERENCES:
        console.print(f"  … and {len(differences) - FIRST_DIFFERENCES} more", style="red")


def _verdict(*, good: str, bad: str, is_good: bool) -> str:
    return f"[green]✓ {good}[/green]" if is_good else f"[red]✗ {bad}[/red]"
