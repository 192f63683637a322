"""The main job: what isn't running is started, the story is told, and both sides' databases are compared."""

import json
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from sandbox.run import check_airflow, scheduler_stack, servers, stands, table, world
from sandbox.run.flow_run import Follower
from sandbox.run.plan import STORIES, Channel
from sandbox.run.ports import Port, Ports
from sandbox.run.processes import Service, patient, stop_all
from sandbox.run.rest import AirflowApi
from sandbox.run.scheduler_stack import SchedulerStack
from sandbox.run.stands import Stand
from sandbox.run.state import Secrets, State
from sandbox.run.story import FLOWS, Story
from sandbox.run.telling import Telling


@dataclass
class Job:
    """One command's work. It keeps what it started, so that it ends just that."""

    state: State
    ports: Ports
    channel: Literal["marketplace", "medusa"]
    console: Console
    _secrets: Secrets = field(init=False)
    _began: float = field(default_factory=time.monotonic)
    _started: list[Service] = field(default_factory=list)
    _undo: list[Callable[[], object]] = field(default_factory=list)
    _medusa: dict[str, Any] = field(default_factory=dict)

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
        waiting = [
            self._begin(
                servers.omnitron(self.state, self.ports),
                lambda: servers.start_omnitron(self.state, self.ports, self._secrets),
                self.ports.omnitron,
            )
        ]
        if self.channel == "marketplace":
            waiting += [self._begin_marketplace(one) for one in STORIES[self.channel]]
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
        """The story and its checks; the answer is what `--json` writes."""
        with ExitStack() as undo:
            stands = [self._stand(channel, undo) for channel in STORIES[self.channel]]
            api = undo.enter_context(
                AirflowApi(self.ports.airflow.url, scheduler_stack.USER, self._secrets.airflow_password)
            )
            follower = Follower(api, self.state.airflow / "logs", self.say)
            dags = [f"{flow}__{stand.channel.name}" for flow in FLOWS for stand in stands]
            follower.wait_until_known(dags, self.stack.read_since())
            told = Telling(Story([stand.part for stand in stands], follower, self.say), stands, self.state, self.ports)
            verdicts = told.tell()
        runs, rounds = told.story.runs, told.rounds
        table.show(self.console, runs, verdicts)
        for run in (*runs, *rounds):
            if not run.is_green:
                logs = self.state.airflow / "logs" / f"dag_id={run.call.dag_id}" / f"run_id={run.run_id}"
                self.say(f"{run.call.dag_id} is red; the logs of its tasks are in {logs}")
        return {
            "channel": self.channel,
            "runs": [table.as_json(run) for run in runs],
            "rounds": [table.as_json(run) for run in rounds],
            "compared": told.compared,
            "largest_xcom": check_airflow.largest_xcom(self.state.airflow_database),
            "checks": verdicts,
            "seconds": round(time.monotonic() - self._began, 1),
            "ok": all(run.is_green for run in (*runs, *rounds)) and not any(verdicts.values()),
        }

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
            for port in (self.ports.marketplace, self.ports.marketplace_async):
                self.console.print(f"Marketplace  {port.url}", highlight=False)
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
            wanted += [
                (servers.marketplace(self.state, self.ports, one), self.ports.of(one.name))
                for one in STORIES[self.channel]
            ]
        else:
            servers.MedusaStand(self.state, self.ports).check()
        for service, port in wanted:
            running = service.running_port()
            if running is None:
                port.check_free()
            else:
                port.check_same(running)

    def _begin(self, service: Service, start: Callable[[], object], port: Port) -> tuple[Service, Port]:
        if service.pid() is None:
            self._started.append(service)
            start()
        return service, port

    def _begin_marketplace(self, channel: Channel) -> tuple[Service, Port]:
        return self._begin(
            servers.marketplace(self.state, self.ports, channel),
            lambda: servers.start_marketplace(self.state, self.ports, self._secrets, channel),
            self.ports.of(channel.name),
        )

    def _begin_medusa(self) -> subprocess.Popen[str]:
        stand = servers.MedusaStand(self.state, self.ports)
        ran = stand.runs()
        process = stand.start()
        self._undo.append(lambda: servers.abort(process))
        if not ran:
            self._undo.append(lambda: servers.stop_medusa(self.state))
        return process

    def _finish_medusa(self, process: subprocess.Popen[str]) -> None:
        self._medusa = said = servers.answer_of(process)
        scheduler_stack.connections(self.state, self.ports, self._secrets, said["api_key"])
        servers.tell_world(self.ports, world.medusa_products(said["variants"]))

    def _stand(self, channel: Channel, undo: ExitStack) -> Stand:
        made = (
            stands.medusa(channel, self._medusa, self.state, self.ports)
            if self.channel == "medusa"
            else stands.marketplace(channel, self.state, self.ports)
        )
        undo.callback(made.part.shop.close)
        undo.callback(made.part.merchant.close)
        return made


def down(state: State, console: Console) -> None:
    """End everything of this folder, whichever command started it."""
    services = [*scheduler_stack.components(state).values(), servers.medusa_stand(state)]
    services += [Service(name, state.logs) for name in ("marketplace", "marketplace_async", "omnitron")]
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
