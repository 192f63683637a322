"""Which port everything listens on, and the sentence when one is taken. All of it is on the loopback."""

import os
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sandbox.run.errors import PortError

LOOPBACK = "127.0.0.1"
VALID = range(1, 65536)


@dataclass(frozen=True)
class Port:
    """A port as it was chosen: `variable` is the environment variable that chooses another."""

    owner: str
    variable: str
    number: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.number}"

    def check_free(self) -> None:
        if not is_free(self.number):
            raise PortError(
                f"Port {self.number} for {self.owner} is taken: choose another with {self.variable}=…, "
                f"or end what listens there."
            )

    def check_same(self, running: int) -> None:
        """Where it runs already, on `running`."""
        if self.number != running:
            raise PortError(
                f"{self.owner} already runs on port {running}: set {self.variable}={running}, or end it with "
                f"`make down`."
            )


@dataclass(frozen=True)
class Ports:
    """All ports of the main job. Airflow's log servers are not among them: they would listen on all interfaces."""

    airflow: Port
    omnitron: Port
    marketplace: Port
    marketplace_async: Port
    medusa: Port
    medusa_postgres: Port

    def of(self, channel: str) -> Port:
        """Where a channel's stand-in listens."""
        found: Port = getattr(self, channel)
        return found


def chosen(environment: Mapping[str, str] = os.environ) -> Ports:
    """The defaults, unless the environment says otherwise; twice the same is refused."""
    ports = Ports(
        airflow=_port("Airflow", "AIRFLOW_PORT", 8080, environment),
        omnitron=_port("the sandbox Omnitron", "OMNITRON_PORT", 8801, environment),
        marketplace=_port("the sandbox marketplace", "MARKETPLACE_PORT", 8802, environment),
        marketplace_async=_port("the second sandbox marketplace", "MARKETPLACE_ASYNC_PORT", 8803, environment),
        medusa=_port("Medusa", "MEDUSA_PORT", 9100, environment),
        medusa_postgres=_port("Medusa's database", "MEDUSA_POSTGRES_PORT", 9101, environment),
    )
    _refuse_same(vars(ports).values())
    return ports


def is_free(number: int) -> bool:
    """Whether somebody could listen there; what ended a moment ago does not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, number))
        except OSError:
            return False
    return True


def _port(owner: str, variable: str, default: int, environment: Mapping[str, str]) -> Port:
    text = environment.get(variable) or str(default)
    if not (text.isascii() and text.isdigit() and int(text) in VALID):
        raise PortError(f"{variable} is {text!r}, which is not a port.")
    return Port(owner, variable, int(text))


def _refuse_same(ports: Iterable[Port]) -> None:
    taken: dict[int, Port] = {}
    for port in ports:
        other = taken.setdefault(port.number, port)
        if other is not port:
            raise PortError(f"{other.variable} and {port.variable} are both {port.number}: choose another for one.")
