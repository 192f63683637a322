import io
import os
import socket
import stat
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from rich.console import Console

from sandbox.run import table
from sandbox.run.errors import RunError
from sandbox.run.expected import rounded, shares
from sandbox.run.flow_run import Call, FlowRun
from sandbox.run.state import REPOSITORY, State

KURUS = Decimal("0.01")


@pytest.mark.parametrize(
    ("amount", "wanted"),
    [
        ("131.215", "131.22"),
        ("131.2149999999999997", "131.22"),
        ("131.21499", "131.21"),
        ("0.005", "0.01"),
        ("494.967", "494.97"),
    ],
)
def test_amounts_are_rounded_half_up_and_noise_is_no_money(amount: str, wanted: str) -> None:
    assert rounded(Fraction(amount), KURUS) == Decimal(wanted)


def test_shares_add_up_and_differ_by_one_smallest_unit() -> None:
    assert shares(Decimal("10.00"), 3, KURUS) == [Decimal("3.33"), Decimal("3.33"), Decimal("3.34")]


def test_secrets_are_made_once_and_read_by_their_owner_alone(tmp_path: Path) -> None:
    state = State(tmp_path / "home")
    made = state.prepare()
    assert state.prepare() == made
    assert stat.S_IMODE((state.home / "secrets.json").stat().st_mode) == 0o600
    assert stat.S_IMODE(state.home.stat().st_mode) == 0o700


def test_two_commands_at_once_are_refused(tmp_path: Path) -> None:
    state = State(tmp_path)
    with state.alone(), pytest.raises(RunError, match="Another command"), state.alone():
        pass


def test_a_taken_port_ends_the_command_before_anything_starts(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "sandbox.run", "once", "--home", str(tmp_path / "home")],
            cwd=REPOSITORY,
            env={**os.environ, "AIRFLOW_PORT": str(port)},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 2
    assert f"Port {port} for Airflow is taken: choose another with AIRFLOW_PORT=" in done.stdout
    assert not (tmp_path / "home" / "services").exists()


def test_down_where_nothing_runs_is_fine(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sandbox.run", "clean", "--home", str(tmp_path / "home")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "nothing was running\n")


def run(flow: str, channel: str, row: dict[str, object] | None, state: str = "success") -> FlowRun:
    return FlowRun(Call(flow, channel), "r", state, row, 1.0)


def shown(runs: list[FlowRun], differences: list[str]) -> str:
    console = Console(file=io.StringIO(), width=120)
    table.show(console, runs, {"all is well": differences})
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


ROW = {"rows": 3, "distinct": 2, "created": 1, "already_there": 0, "quarantined": 1, "reasons": {"conflict": 1}}


def test_the_table_has_a_line_a_flow_and_channel_and_sums_its_runs() -> None:
    runs = [run("fetch_orders", "a", {**ROW, "balance": True}), run("fetch_orders", "b", None)]
    text = shown([*runs, run("fetch_orders", "a", {"created": 2})], [])
    assert "created 3, quarantined 1" in text
    assert "rows" not in text
    assert "nothing" in text
    assert "✓ all is well" in text


def test_a_red_run_is_red_in_the_table() -> None:
    runs = [run("fetch_orders", "a", ROW), run("fetch_orders", "a", ROW, state="failed")]
    assert "2 ✗" in shown(runs, [])


def test_the_first_differences_are_named_and_the_others_counted() -> None:
    text = shown([], [f"order {number} is missing" for number in range(12)])
    assert "✗ all is well" in text
    assert "order 9 is missing" in text
    assert "order 10 is missing" not in text
    assert "and 2 more" in text
