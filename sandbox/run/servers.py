"""The stand-ins as processes: Omnitron, the marketplace, Medusa."""

import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from sandbox.medusa import tools
from sandbox.medusa.daemons import Daemon
from sandbox.medusa.errors import StandError
from sandbox.medusa.postgres import Postgres
from sandbox.run import world
from sandbox.run.errors import RunError
from sandbox.run.plan import BAD, END, MARKETPLACE, MEDUSA_ORDERS, RATE, Channel
from sandbox.run.ports import Port, Ports
from sandbox.run.processes import MARK, Service
from sandbox.run.state import REPOSITORY, Secrets, State, write_private

Json = dict[str, Any]

READY_SECONDS = 60.0
FEED_SECONDS = 60.0  # in a story its clerk decides sooner, and refuses what he is told to


def omnitron(state: State, ports: Ports) -> Service:
    return Service("omnitron", state.logs, ports.omnitron.number)


def marketplace(state: State, ports: Ports, channel: Channel = MARKETPLACE) -> Service:
    return Service(channel.name, state.logs, ports.of(channel.name).number)


def start_omnitron(state: State, ports: Ports, secrets: Secrets) -> Service:
    write_private(state.world, world.world(secrets))
    service = omnitron(state, ports)
    options = ["--port", str(ports.omnitron.number), "--database", str(state.omnitron_database)]
    service.start(
        _module("sandbox.omnitron", *options, "--world", str(state.world)), cwd=REPOSITORY, env=_environment()
    )
    return service


def start_marketplace(state: State, ports: Ports, secrets: Secrets, channel: Channel = MARKETPLACE) -> Service:
    """Its day is over: nobody buys any more, and what is changed later is all that a later window holds."""
    service = marketplace(state, ports, channel)
    options = ["--port", str(service.port), "--database", str(state.marketplace_database(channel.name))]
    options += ["--seed", str(channel.seed), "--rate", str(RATE), "--bad", str(BAD), "--until", END.isoformat()]
    options += ["--feed-seconds", str(FEED_SECONDS)]
    env = {**_environment(), "MARKETPLACE_API_KEY": secrets.marketplace_key}
    service.start(_module("sandbox.marketplace", *options), cwd=REPOSITORY, env=env)
    return service


def wait_for(service: Service, port: Port) -> None:
    service.wait_until(lambda: _is_healthy(port), READY_SECONDS)


def tell_world(ports: Ports, news: Json) -> None:
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
        options += ["--postgres-port", str(self.ports.medusa_postgres.number), "--orders", str(MEDUSA_ORDERS)]
        env = {**_environment(), MARK: medusa_stand(self.state).mark}
        command = _module("sandbox.medusa", *options)
        return subprocess.Popen(
            command, cwd=REPOSITORY, env=env, stdout=subprocess.PIPE, text=True, start_new_session=True
        )


def answer_of(process: subprocess.Popen[str]) -> Json:
    """What the stand says when it is up."""
    said, _ = process.communicate()
    if process.returncode:
        raise RunError("The Medusa stand did not come up.")
    return dict(json.loads(said))


def abort(process: subprocess.Popen[str]) -> None:
    """End a start that is still at work, npm included."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate()


def medusa_stand(state: State) -> Service:
    """Whatever a start of the stand left running, should we have died meanwhile."""
    return Service("medusa-stand", state.logs)


def stop_medusa(state: State) -> bool:
    """False when nothing ran."""
    if not state.medusa.exists():
        return False
    command = _module("sandbox.medusa", "--home", str(state.medusa), "--stop")
    done = subprocess.run(command, cwd=REPOSITORY, env=_environment(), capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(done.stderr.strip())
    return any(json.loads(done.stdout).values())


def forget_medusa(state: State) -> None:
    """As root its database may lie outside of our folder, where PostgreSQL's user can reach it."""
    if state.medusa.exists():
        with suppress(StandError):
            shutil.rmtree(Postgres(state.medusa, 0, tools.Tools("", "", "", "")).folder, ignore_errors=True)


def _module(name: str, *options: str) -> list[str]:
    return [sys.executable, "-m", name, *options]


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(REPOSITORY)}


def _is_healthy(port: Port) -> bool:
    try:
        return httpx.get(f"{port.url}/health", timeout=5, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
