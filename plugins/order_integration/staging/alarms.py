"""What an alarm is; which alarms were told, so that nobody is told twice, and which did not reach everybody yet."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import uuid4

from order_integration.exact_json import dumps, loads
from order_integration.staging.area import Row, Staging, key_digest


class AlarmKind(StrEnum):
    """What an alarm is about; part of what makes two alarms the same."""

    CONFIGURATION = "configuration"  # a setting is wrong
    UNAVAILABLE = "unavailable"  # the channel or Omnitron does not answer, or not as agreed
    FAILED = "failed"  # some records failed in their last try
    LOCKED = "locked"  # another batch request was in the way for hours
    CONTRACT = "contract"  # the other side, or our staging, is not what we rely on
    REFUSED = "refused"  # Omnitron refuses what it was to take
    DEFECT = "defect"  # an error of ours, or of a connector
    KILLED = "killed"  # a task died without a word, or took too long
    VERDICT = "verdict"  # settle found a run's result unacceptable
    QUIET = "quiet"  # no order for longer than usual
    STALE = "stale"  # what is settled is too old
    EXPIRED = "expired"  # records waited until their time was over
    DIFFERENCES = "differences"  # the channel and Omnitron do not agree


@dataclass(frozen=True)
class Alarm:
    """`window`: what it belongs to (a data interval's start, a day, a run); the same one is told once."""

    flow: str
    channel: str
    kind: AlarmKind
    window: str
    sentence: str
    url: str = ""  # where to look


@dataclass(frozen=True)
class AlarmBook:
    """One note a (kind, window): who creates it tells the alarm. And one an alarm that is being told, until it is.

    The latter is written first: whatever a kill interrupts is found there, and told again rather than never.
    """

    staging: Staging
    channel: str
    flow: str

    def get(self, window: str, kind: str) -> Row | None:
        """The note of an alarm that was told, or kept back."""
        content = self.staging.read(self._path(window, kind))
        return loads(content) if content else None

    def claim(self, window: str, kind: str, row: Row) -> bool:
        """Whether nobody was before us."""
        return self.staging.create(self._path(window, kind), dumps(row).encode())

    def put(self, window: str, kind: str, row: Row) -> None:
        """Note it, whoever did before."""
        self.staging.write(self._path(window, kind), dumps(row).encode())

    def kinds(self, window: str) -> list[str]:
        """Of which kinds a window has notes."""
        return [name.removesuffix(".json") for name in self.staging.names(f"{self._folder}/{key_digest(window)}")]

    def owe(self, row: Row, token: str = "") -> str:
        """An alarm that is about to be told; returns the name to ask for it by."""
        token = token or uuid4().hex
        self.staging.write(self._owed(token), dumps(row).encode())
        return token

    def done(self, token: str) -> None:
        """It reached everybody, or somebody else tells it."""
        self.staging.remove(self._owed(token))

    def owed(self) -> dict[str, Row]:
        """Alarms that did not reach everybody, by name; some are being told at this moment."""
        folder = f"{self._folder}/owed"
        found = {name: self.staging.read(f"{folder}/{name}") for name in self.staging.names(folder)}
        return {name.removesuffix(".json"): loads(content) for name, content in found.items() if content}

    def _path(self, window: str, kind: str) -> str:
        return f"{self._folder}/{key_digest(window)}/{kind}.json"

    def _owed(self, token: str) -> str:
        return f"{self._folder}/owed/{token}.json"

    @property
    def _folder(self) -> str:
        return f"alarms/{self.channel}/{self.flow}"
