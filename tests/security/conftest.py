"""A deployment whose people and secrets are markers, and all places in which none of them may be."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: tests.dags.conftest has to name it before.

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.conftest import HOME, ROOT, airflow_db, configure, connections, dag_bag, staging
from tests.dags.runs import Run, at_once, start
from tests.security.people import PERSON, SECRETS
from tests.security.scanner import Finding, Scanner
from tests.security.shelf import start_again

__all__ = ["airflow_db", "configure", "connections", "dag_bag", "staging"]

PEOPLE_MAY_BE = ("runs", "quarantine", "parked")
DAY = {"window_start": "2026-01-05T00:00:00+03:00", "window_end": "2026-01-06T00:00:00+03:00"}
USER = "canary"


@dataclass
class Packets:
    """A StatsD server: what arrives, as it arrives."""

    received: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.address = self.socket.getsockname()
        self.thread = threading.Thread(target=self._receive, daemon=True)
        self.thread.start()

    def _receive(self) -> None:
        while packet := self.socket.recv(65536):
            self.received.append(packet)

    def close(self) -> None:
        StatsD(self.address).send(b"")
        self.thread.join()
        self.socket.close()


class StatsD:
    """The least of a StatsD client: Airflow's metrics need one, and none is installed."""

    def __init__(self, address: Any) -> None:
        self.address = address

    def send(self, packet: bytes) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
            sending.sendto(packet, self.address)

    def incr(self, stat: str, count: float = 1, rate: float = 1, *, tags: Any = None) -> None:
        self.send(f"{stat}:{count}|c|@{rate}|#{tags}".encode())

    decr = gauge = timing = incr

    def timer(self, *args: Any, **kwargs: Any) -> Any:
        from airflow.sdk._shared.observability.metrics.protocols import Timer

        self.send(f"{args} {kwargs}".encode())
        return Timer()


@pytest.fixture
def packets() -> Iterator[Packets]:
    from airflow.sdk._shared.observability.metrics import stats

    listening = Packets()
    stats.initialize(factory=lambda: StatsD(listening.address), export_legacy_names=True)
    yield listening
    stats._factory = stats._backend = None
    listening.close()


@dataclass
class Deployment:
    """Both sides, and what was left where."""

    dags: dict[str, Any]
    office: BackOffice
    staging: Path
    packets: Packets
    capfd: pytest.CaptureFixture[str]
    caplog: pytest.LogCaptureFixture
    said: list[str] = field(default_factory=list)
    window: dict[str, str] = field(default_factory=lambda: DAY)

    def run(self, flow: str, **own: Any) -> Run:
        conf = self.window if flow.startswith("fetch") else {}
        done = start(self.dags[flow], **{"conf": conf, **own})
        self.said += [*self.capfd.readouterr(), self.caplog.text]  # Airflow's own, and what modules log beside it
        self.caplog.clear()
        return done

    def places(self) -> Iterator[tuple[str, bytes | str]]:
        """All that is a text, by name; files and the database are apart."""
        yield "the log", "".join(self.said)
        yield "metrics", b"\n".join(self.packets.received)
        for kind in ("error_reports", "operational_events"):
            yield f"Omnitron's {kind}", json.dumps(self.office.rows(kind), ensure_ascii=False)

    def findings(self, markers: dict[str, str] | None = None) -> list[str]:
        """What is where it may not be; nobody's data and no secret by default."""
        scanner = Scanner(markers or {**PERSON, **SECRETS})
        found: list[Finding] = []
        for where, content in self.places():
            assert content, f"nothing was said in {where}"
            found += scanner.content(where, content)
        found += scanner.database(HOME / "airflow.db")
        for folder in (HOME / "logs", self.staging.parent / "state"):
            found += scanner.folder(folder)
        found += scanner.folder(self.staging, but=PEOPLE_MAY_BE)
        return sorted(map(str, found))

    def secrets_in_staging(self, markers: dict[str, str]) -> list[str]:
        """People may be in there, secrets may not."""
        return sorted(map(str, Scanner(markers).folder(self.staging)))

    def token(self) -> str:
        """The one that the last runs used."""
        [path] = (self.staging.parent / "state").glob("*.json")
        return str(json.loads(path.read_text())["token"])


@pytest.fixture(scope="session")
def dags(dag_bag: Any) -> dict[str, Any]:
    """The shelf's, by flow, with retries that do not wait."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(str(ROOT / "dags"), bundle_name="dags-folder")
    return {name.rpartition("__")[0]: at_once(dag) for name, dag in bag.dags.items() if name.endswith("__shelf")}


@pytest.fixture
def deployment(
    dags: Any, connections: Any, configure: Callable[..., None], back_office: BackOffice, staging: Path,
    packets: Packets, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture,
) -> Iterator[Deployment]:  # fmt: skip
    """The shelf with all commands; secrets in both connections."""
    start_again()
    reason = {"id": 2, "subject": "Geç kaldı", "cancellation_type": "cancel"}
    back_office.told(users=[{"username": USER, "password": SECRETS["password"]}], cancellation_reasons=[reason])
    back_office.patch("/admin/channels/1", json={"conf": {"reason_mapping": {"size": 1, "late": 2}}}).raise_for_status()
    connections("omnitron", login=USER, password=SECRETS["password"])
    connections("shelf", password=SECRETS["API key"], extra={"secret": SECRETS["secret in extra"]})
    configure(connector="tests.security.shelf:CanaryShelf")
    capfd.readouterr()
    yield Deployment(dags, back_office, staging, packets, capfd, caplog)
    start_again()
