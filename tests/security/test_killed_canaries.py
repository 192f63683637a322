"""A process that is killed, or falls, in the middle of a write: nobody's data in what it said last, or left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import BackOffice
from tests.dags.conftest import ROOT
from tests.security.conftest import PEOPLE_MAY_BE, USER
from tests.security.people import PERSON, SECRETS
from tests.security.scanner import Scanner

pytestmark = [pytest.mark.airflow, pytest.mark.timeout(300)]

PATIENCE = 200  # seconds; a quiet machine needs ten


def connection(url: str, **own: str) -> str:
    host, _, port = url.rpartition(":")
    return json.dumps({"conn_type": "http", "host": host, "port": int(port), **own})


def killed_at_its_first_order(office: BackOffice, url: str, home: Path, how: signal.Signals) -> str:
    """What the process said."""
    office.told(users=[{"username": USER, "password": SECRETS["password"]}])
    office.fault("POST", "create_orders", "latency", seconds=30)
    shelf = connection(url, password=SECRETS["API key"], extra=json.dumps({"secret": SECRETS["secret in extra"]}))
    own = {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}",
        "AIRFLOW_CONN_OMNITRON": connection(url, login=USER, password=SECRETS["password"]),
        "AIRFLOW_CONN_SHELF": shelf,
    }
    command = [sys.executable, "-m", "tests.security.child", str(home), "fetch_orders"]
    said = home / "said"
    with (
        said.open("wb") as file,
        subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **own}, stdout=file, stderr=subprocess.STDOUT
        ) as process,
    ):
        deadline = time.monotonic() + PATIENCE
        while not any(call["fault"] == "latency" for call in office.calls("POST", "create_orders/")):
            assert process.poll() is None, said.read_text()[-2000:]
            assert time.monotonic() < deadline, said.read_text()[-2000:]
            time.sleep(0.2)
        process.send_signal(how)
        assert process.wait(timeout=30) == -how
    return said.read_text()


@pytest.mark.parametrize("how", [signal.SIGKILL, pytest.param(signal.SIGABRT, marks=pytest.mark.by_hand)])
def test_nobody_is_found_anywhere_after_a_process_is_killed(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, how: signal.Signals
) -> None:
    said = killed_at_its_first_order(back_office, omnitron_url, tmp_path, how)

    scanner = Scanner({**PERSON, **SECRETS})
    assert ("Fatal Python error" in said) == (how is signal.SIGABRT)
    assert "create_orders" in said or "fetch" in said
    found = scanner.content("what it said", said) + scanner.database(tmp_path / "airflow.db")
    found += scanner.folder(tmp_path / "staging", but=PEOPLE_MAY_BE) + scanner.folder(tmp_path / "state")
    if (tmp_path / "logs").exists():
        found += scanner.folder(tmp_path / "logs")
    assert list(map(str, found)) == []
    assert Scanner(PERSON).folder(tmp_path / "staging" / "runs") != []  # it was there
    assert Scanner(SECRETS).folder(tmp_path / "staging") == []
