"""The main job: what isn't running is started, the flow runs, and both sides' databases are compared."""

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from sandbox.run import check_marketplace, check_medusa, compare, scheduler_stack, servers, table, world
from sandbox.run.expected import Expected
from sandbox.run.flow_run import FlowRun, Follower
from sandbox.run.ports import Port, Ports
from sandbox.run.processes import Service, patient, stop_all
from sandbox.run.rest import AirflowApi
from sandbox.run.scheduler_stack import SchedulerStack
from sandbox.run.state import Secrets, State

Channel = Literal["marketplace", "medusa"]
FLOW = "fetch_orders"
NUMBERS = {"marketplace": world.MARKETPLACE, "medusa": world.MEDUSA}


@dataclass
class Job:
    """One command's work. It keeps what it started, so that it ends just that."""

    state: State
    ports: Ports
    channel: Channel
    console: Console
    _secrets: Secrets = field(init=False)
    _began: float = field(default_factory=time.monotonic)
    _started: list[Service] = field(default_factory=list)
    _undo: list[Callable[[], object]] = field(default_factory=list)
    _medusa_url: str = ""

    def __post_init__(self) -> None:
        self._check_ports()
        self._secrets = self.state.prepare()

    @property
    def stack(self) -> SchedulerStack:
        return SchedulerStack(self.state, self.ports.airflow, self._secrets)

    def say(self, text: str) -> None:
        self.console.print(f"[{time.monotonic() - self._began:5.1f} s] {text}", markup=False, highlight=False)

    def start(self) -> None:
        """All that the channel needs; returns when everything answers."""
        medusa = self._begin_medusa() if self.channel == "medusa" else None
        scheduler_stack.connections(self.state, self.ports, self._secrets)
        waiting = [self._begin(servers.omnitron, servers.start_omnitron, self.ports.omnitron)]
        if self.channel == "marketplace":
            waiting.append(self._begin(servers.marketplace, servers.start_marketplace, self.ports.marketplace))
        if missing := self.stack.missing():
            self._started.extend(missing)
            self.stack.start(missing, self.say)
        for service, port in waiting:
            servers.wait_for(service, port)
        if medusa:
            self._finish_medusa(medusa)
        self.stack.wait()
        self.say("everything is up")

    def run(self) -> dict[str, Any]:
        """The flow, once, and the check; the answer is what `--json` writes."""
        expected = self._expected()
        with AirflowApi(self.ports.airflow.url, scheduler_stack.USER, self._secrets.airflow_password) as api:
            dag_id = f"{FLOW}__{self.channel}"
            follower = Follower(api, dag_id, self.state.airflow / "logs", self.say)
            done = follower.run(expected.start, expected.end, since=self.stack.read_since())
            self.say(f"{dag_id}: {done.state} after {done.seconds:.0f} s")
        differences = compare.differences(self.state.omnitron_database, NUMBERS[self.channel], expected)
        if done.row:
            differences += compare.table_differences(done.row, expected)
        table.show(self.console, self.channel, done.row, differences)
        if not done.is_green:
            logs = self.state.airflow / "logs" / f"dag_id={dag_id}" / f"run_id={done.run_id}"
            self.say(f"The run is red; the logs of its tasks are in {logs}")
        return self._answer(done, expected, differences)

    def end_what_was_started(self) -> None:
        """A second Ctrl-C has to wait for it."""
        if self._started or self._undo:
            with patient():
                self.say("ending what was started …")
                stop_all(self._started)
                for undo in self._undo:
                    undo()

    def keep_running(self) -> None:
        """From now on it is the user's."""
        self._started.clear()
        self._undo.clear()
        self.console.print(f"Airflow      {self.ports.airflow.url}  user {scheduler_stack.USER}", highlight=False)
        self.console.print(f"             password {self._secrets.airflow_password}", markup=False, highlight=False)
        self.console.print(f"Omnitron     {self.ports.omnitron.url}", highlight=False)
        if self.channel == "marketplace":
            self.console.print(f"Marketplace  {self.ports.marketplace.url}", highlight=False)
        else:
            self.console.print(f"Medusa       {self.ports.medusa.url} (an API, no page)", highlight=False)
        self.console.print("`make down` ends it.")

    def _check_ports(self) -> None:
        """Before anything is started."""
        wanted = [
            (scheduler_stack.components(self.state)[scheduler_stack.API_SERVER], self.ports.airflow),
            (servers.omnitron(self.state, self.ports), self.ports.omnitron),
        ]
        if self.channel == "marketplace":
            wanted.append((servers.marketplace(self.state, self.ports), self.ports.marketplace))
        else:
            servers.MedusaStand(self.state, self.ports).check()
        for service, port in wanted:
            running = service.running_port()
            if running is None:
                port.check_free()
            else:
                port.check_same(running)

    def _begin(
        self,
        service_of: Callable[[State, Ports], Service],
        start: Callable[[State, Ports, Secrets], Service],
        port: Port,
    ) -> tuple[Service, Port]:
        service = service_of(self.state, self.ports)
        if service.pid() is None:
            self._started.append(service)
            start(self.state, self.ports, self._secrets)
        return service, port

    def _begin_medusa(self) -> subprocess.Popen[str]:
        stand = servers.MedusaStand(self.state, self.ports)
        ran = stand.runs()
        process = stand.start()
        self._undo.append(lambda: servers.abort(process))
        if not ran:
            self._undo.append(lambda: servers.stop_medusa(self.state))
        return process

    def _finish_medusa(self, process: subprocess.Popen[str]) -> None:
        said = servers.answer_of(process)
        self._medusa_url = said["database_url"]
        scheduler_stack.connections(self.state, self.ports, self._secrets, said["api_key"])
        servers.tell_world(self.ports, world.medusa_products(said["variants"]))

    def _expected(self) -> Expected:
        return (
            check_marketplace.expected() if self.channel == "marketplace" else check_medusa.expected(self._medusa_url)
        )

    def _answer(self, done: FlowRun, expected: Expected, differences: list[str]) -> dict[str, Any]:
        return {
            "channel": self.channel,
            "dag": done.dag_id,
            "run": done.run_id,
            "state": done.state,
            "window_start": expected.start.isoformat(),
            "window_end": expected.end.isoformat(),
            "table": done.row,
            "check": {"agrees": not differences, "differences": differences},
            "run_seconds": round(done.seconds, 1),
            "seconds": round(time.monotonic() - self._began, 1),
            "ok": done.is_green and not differences,
        }


def down(state: State, console: Console) -> None:
    """End everything of this folder, whichever command started it."""
    services = [*scheduler_stack.components(state).values(), servers.medusa_stand(state)]
    services += [Service(name, state.logs) for name in ("marketplace", "omnitron")]
    with patient():
        ended = [service.name for service in stop_all(services)]
        if servers.stop_medusa(state):
            ended.append("medusa")
    console.print(f"ended: {', '.join(ended)}" if ended else "nothing was running")


def write_json(answer: dict[str, Any], where: str) -> None:
    text = json.dumps(answer, ensure_ascii=False, indent=2)
    if where == "-":
        print(text, flush=True)
    else:
        Path(where).write_text(f"{text}\n", "utf-8")
