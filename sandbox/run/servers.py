"""The stand-ins as processes: Omnitron, the marketplace, Medusa."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx

from sandbox.medusa import tools
from sandbox.medusa.daemons import Daemon
from sandbox.medusa.errors import StandError
from sandbox.run import world
from sandbox.run.errors import RunError
from sandbox.run.plan import BAD, RATE, SEED
from sandbox.run.ports import Port, Ports
from sandbox.run.processes import Service
from sandbox.run.state import REPOSITORY, Secrets, State, write_private

READY_SECONDS = 60.0


def omnitron(state: State, ports: Ports) -> Service:
    return Service("omnitron", state.logs, ports.omnitron.number)


def marketplace(state: State, ports: Ports) -> Service:
    return Service("marketplace", state.logs, ports.marketplace.number)


def start_omnitron(state: State, ports: Ports, secrets: Secrets) -> Service:
    write_private(state.world, world.world(secrets))
    service = omnitron(state, ports)
    options = ["--port", str(ports.omnitron.number), "--database", str(state.omnitron_database)]
    service.start(
        _module("sandbox.omnitron", *options, "--world", str(state.world)), cwd=REPOSITORY, env=_environment()
    )
    return service


def start_marketplace(state: State, ports: Ports, secrets: Secrets) -> Service:
    service = marketplace(state, ports)
    options = ["--port", str(ports.marketplace.number), "--database", str(state.marketplace_database)]
    options += ["--seed", str(SEED), "--rate", str(RATE), "--bad", str(BAD)]
    env = {**_environment(), "MARKETPLACE_API_KEY": secrets.marketplace_key}
    service.start(_module("sandbox.marketplace", *options), cwd=REPOSITORY, env=env)
    return service


def wait_for(service: Service, port: Port) -> None:
    service.wait_until(lambda: _is_healthy(port), READY_SECONDS)


def tell_world(ports: Ports, news: world.Json) -> None:
    """Say it to the Omnitron that runs."""
    answer = httpx.post(f"{ports.omnitron.url}/admin/world", json=news, timeout=30, trust_env=False)
    if answer.is_error:
        raise RunError(f"The sandbox Omnitron refuses its world: {answer.text[:300]}")


@dataclass(frozen=True)
class MedusaStand:
    """The Medusa stand and its database: `sandbox.medusa` starts and ends them itself."""

    state: State
    ports: Ports

    @property
    def home(self) -> Path:
        return self.state.medusa

    def check(self) -> None:
        """Before anything starts: programs and ports."""
        try:
            tools.find_tools()
        except StandError as error:
            raise RunError(str(error)) from error
        for name, port in (("medusa", self.ports.medusa), ("postgres", self.ports.medusa_postgres)):
            daemon = Daemon(self.home, name, port.number, port.variable)
            if daemon.pid() is None:
                port.check_free()
            else:
                port.check_same(int(json.loads(daemon.pid_file.read_text())["port"]))

    def runs(self) -> bool:
        """Whether both processes were up already."""
        return all(Daemon(self.home, name, 0, "").pid() for name in ("medusa", "postgres"))

    def start(self) -> subprocess.Popen[str]:
        """Begin; it takes a minute or two the first time, and shows its own progress."""
        options = ["--home", str(self.home), "--port", str(self.ports.medusa.number)]
        options += ["--postgres-port", str(self.ports.medusa_postgres.number)]
        command = _module("sandbox.medusa", *options)
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=_environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
        )

    def stop(self) -> bool:
        """False when nothing ran."""
        if not self.home.exists():
            return False
        command = _module("sandbox.medusa", "--home", str(self.home), "--stop")
        done = subprocess.run(command, cwd=REPOSITORY, env=_environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RunError(done.stderr.strip())
        return any(json.loads(done.stdout).values())


def _module(name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", name, *options]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def _is_healthy(port: Port) -> bool:
    try:
        return httpx.get(f"{port.url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
