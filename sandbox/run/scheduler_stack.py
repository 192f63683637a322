"""Airflow on its embedded defaults: SQLite, LocalExecutor, four components, each a process."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from sandbox.run import world
from sandbox.run.errors import RunError
from sandbox.run.ports import LOOPBACK, Port, Ports
from sandbox.run.processes import Service, last_lines
from sandbox.run.state import REPOSITORY, Secrets, State, write_private

USER = "admin"
API_SERVER = "api-server"
PARALLELISM = 4  # Airflow's own default starts 32 workers, 1.3 GB
CHANNELS = Path(__file__).with_name("channels.yaml")
READY_SECONDS = 120.0
LOCKED_SECONDS = 60  # SQLite has one writer: the others wait so long for it, on a busy machine too
Say = Callable[[str], None]


def components(state: State, port: int = 0) -> dict[str, Service]:
    """By the name that Airflow's command line has for them."""
    ports = {API_SERVER: port}
    names = (API_SERVER, "scheduler", "dag-processor", "triggerer")
    return {name: Service(f"airflow-{name}", state.logs, ports.get(name, 0)) for name in names}


@dataclass(frozen=True)
class SchedulerStack:
    """The four components and what they share."""

    state: State
    port: Port
    secrets: Secrets

    @property
    def components(self) -> dict[str, Service]:
        return components(self.state, self.port.number)

    def missing(self) -> list[Service]:
        """What doesn't run yet."""
        return [service for service in self.components.values() if service.pid() is None]

    def start(self, missing: list[Service], say: Say) -> None:
        """`wait` says when it answers."""
        self._migrate(say)
        say("Airflow starts …")
        write_private(self.state.passwords, {USER: self.secrets.airflow_password})
        # Log servers would listen on all interfaces; here the API server reads the files itself.
        options = {
            API_SERVER: ["--host", LOOPBACK, "--port", str(self.port.number), "--workers", "1"],
            "scheduler": ["--skip-serve-logs"],
            "triggerer": ["--skip-serve-logs"],
        }
        for name, service in self.components.items():
            if service in missing:
                command = [sys.executable, "-m", "airflow", name, *options.get(name, [])]
                service.start(command, cwd=self.state.airflow, env=self.environment())

    def wait(self) -> None:
        """Until every component is healthy; the API server is the one that says so."""
        for name, service in self.components.items():
            service.wait_until(lambda name=name: self._is_healthy(name), READY_SECONDS)  # type: ignore[misc]

    def read_since(self) -> datetime:
        """DAGs that were parsed after this moment are those of today's files."""
        return datetime.fromtimestamp(self.components["dag-processor"].pid_file.stat().st_mtime, UTC)

    def environment(self) -> dict[str, str]:
        """Ours alone: settings of another Airflow of this person would change what is shown here."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AIRFLOW", "ORDER_INTEGRATION", "_AIRFLOW")) and name != "PYTHONPATH"
        }
        settings = {f"AIRFLOW__{name}": value for name, value in self._settings().items()}
        own = {
            "AIRFLOW_HOME": str(self.state.airflow),
            "ORDER_INTEGRATION_CHANNELS": str(CHANNELS),
            "ORDER_INTEGRATION_STAGING": f"file://{self.state.staging}",
            "NO_PROXY": f"{LOOPBACK},localhost",
            "no_proxy": f"{LOOPBACK},localhost",
        }
        return {**inherited, **settings, **own}

    def _settings(self) -> dict[str, str]:
        connections = f'{{"connections_file_path": "{self.state.connections}"}}'
        return {
            "CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
            "CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
            "CORE__LOAD_EXAMPLES": "False",
            "CORE__EXECUTOR": "LocalExecutor",
            "CORE__PARALLELISM": str(PARALLELISM),
            "CORE__EXECUTION_API_SERVER_URL": f"{self.port.url}/execution/",
            "CORE__FERNET_KEY": self.secrets.fernet_key,
            "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(self.state.passwords),
            "API__BASE_URL": self.port.url,
            "API__SECRET_KEY": self.secrets.api_secret,
            "API_AUTH__JWT_SECRET": self.secrets.jwt_secret,
            "DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.state.airflow_database}?timeout={LOCKED_SECONDS}",
            "SECRETS__BACKEND": "airflow.secrets.local_filesystem.LocalFilesystemBackend",
            "SECRETS__BACKEND_KWARGS": connections,
            "DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",  # the files don't change while the job runs
            "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.2",  # a flow's tasks follow each other closely
            # A supervisor that misses its task's end looks again after this long, and keeps the slot meanwhile (5 s).
            "WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
            "USAGE_DATA_COLLECTION__ENABLED": "False",
        }

    def _migrate(self, say: Say) -> None:
        """Once for a version of Airflow."""
        stamp = self.state.airflow / "migrated"
        wanted = version("apache-airflow")
        if stamp.exists() and stamp.read_text() == wanted:
            return
        say("Airflow's database …")
        log = self.state.logs / "airflow-migrate.log"
        with log.open("wb") as file:
            command = [sys.executable, "-m", "airflow", "db", "migrate"]
            done = subprocess.run(
                command, cwd=self.state.airflow, env=self.environment(), stdout=file, stderr=file, check=False
            )
        if done.returncode:
            raise RunError("\n".join([f"Airflow's database could not be made. The end of {log}:", *last_lines(log)]))
        stamp.write_text(wanted)

    def _is_healthy(self, component: str) -> bool:
        health = self._health()
        if component == API_SERVER:
            return bool(health)
        return (health.get(component.replace("-", "_")) or {}).get("status") == "healthy"

    def _health(self) -> dict[str, Any]:
        try:
            answer = httpx.get(f"{self.port.url}/api/v2/monitor/health", timeout=10, trust_env=False)
            return dict(answer.json()) if answer.status_code == 200 else {}
        except (httpx.TransportError, ValueError):
            return {}


def connections(state: State, ports: Ports, secrets: Secrets, medusa_key: str | None = None) -> None:
    """Write Airflow's connections; Medusa's key is known once it runs, and kept."""
    known = json.loads(state.connections.read_text()) if state.connections.exists() else {}
    found = {
        "omnitron": _http(ports.omnitron, world.USER, secrets.omnitron_password),
        "marketplace": _http(ports.marketplace, "", secrets.marketplace_key),
        "marketplace_async": _http(ports.marketplace_async, "", secrets.marketplace_key),
    }
    if medusa_key:
        found["medusa"] = _http(ports.medusa, "", medusa_key)
    write_private(state.connections, {**known, **found})


def _http(port: Port, login: str, password: str) -> dict[str, Any]:
    return {
        "conn_type": "http",
        "host": f"http://{LOOPBACK}",
        "port": port.number,
        "login": login,
        "password": password,
    }
