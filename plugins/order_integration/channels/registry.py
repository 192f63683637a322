"""The configured channels: one YAML file, read when a DAG file is parsed and when a task starts.

A wrong entry is a `BrokenChannel` with the sentence that says so; it hurts no other entry.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self
from zoneinfo import ZoneInfo

import yaml
from croniter import CroniterBadDateError, CroniterError, croniter
from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from order_integration.channels.notifiers import NotifierConfig, readable
from order_integration.errors import ConfigurationError

if TYPE_CHECKING:  # a DAG file is parsed in every task: it shall not pay for an HTTP client
    from order_integration.channels.commands import Connector

# Where the file is; the other setting of this package is the staging URL (see `order_integration.staging`).
PATH_VARIABLE = "ORDER_INTEGRATION_CHANNELS"
DEFAULT_PATH = "config/channels.yaml"
ENTRY_POINTS = "order_integration.connectors"
BUILT_IN = "order_integration.channels"

NAME = r"[a-z][a-z0-9_]{0,39}"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LARGEST_JUMP = timedelta(hours=2)  # of a clock that goes forward in spring


def _duration(value: object) -> object:
    match = re.fullmatch(r"(\d{1,9})\s*([smhd])", value) if isinstance(value, str) else None
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]]) if match else value


Duration = Annotated[timedelta, BeforeValidator(_duration), Field(ge=timedelta(0))]


ANY_DAY = datetime(2000, 1, 1)  # noqa: DTZ001 - asked is whether there is a next date, not when


def _comes_at_all(schedule: str, name: str = "schedule") -> None:
    wrong = f"{name} {schedule!r} is not a cron expression of five fields"
    if len(schedule.split()) > 5:  # noqa: PLR2004
        raise ValueError(wrong)
    try:
        croniter(schedule, ANY_DAY).get_next(datetime)
    except CroniterBadDateError:
        raise ValueError(f"{name} {schedule!r} never comes: no year has such a day") from None
    except CroniterError:
        raise ValueError(wrong) from None


class ChannelLimits(BaseModel):
    """How hard the flows of one channel may press: each side's rate is shared by the push tasks of a run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    requests_per_second: float = Field(default=20.0, gt=0)  # to the channel
    omnitron_requests_per_second: float = Field(default=200.0, gt=0)
    in_flight: int = Field(default=16, ge=1, le=256)  # calls under way at once, per task
    push_tasks: int = Field(default=4, ge=1, le=5)  # at once; a run has at most eight tasks
    chunk_size: int = Field(default=100, ge=1)  # orders of one push task, unless that makes more than `push_tasks`
    timeout: Duration = timedelta(seconds=30)
    quarantine_share: float = Field(default=0.2, ge=0, le=1)  # of the distinct records; more turns the run red
    quarantine_floor: int = Field(default=50, ge=0)


class ChannelConfig(BaseModel):
    """One entry of the file. `name` is part of DAG ids and of keys: renaming a channel makes it another one."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(pattern=f"^{NAME}$")
    connector: str = Field(min_length=1)
    connection: str = Field(min_length=1)
    omnitron_connection: str = "omnitron"
    omnitron_channel_id: int = Field(ge=1)
    catalog_id: int = Field(ge=1)
    active_from: AwareDatetime
    schedule: str = "*/15 * * * *"
    timezone: str = "UTC"
    catchup: bool = True
    overlap: Duration = timedelta(minutes=10)
    lag: Duration = timedelta(minutes=2)
    page_size: int = Field(default=100, ge=1, le=1000)
    is_sync: bool = True  # whether the channel is asked to answer updated orders at once; false: as a feed
    feed_poll: Duration = Field(default=timedelta(seconds=30), ge=timedelta(seconds=1))
    feed_deadline: Duration = Field(default=timedelta(hours=12), gt=timedelta(0), le=timedelta(hours=20))
    link_beside_open_jobs: bool = True  # while the channel works on a feed, link with POST integration_actions/
    limits: ChannelLimits = ChannelLimits()
    owner: str = "data-team"
    retry_delay: Duration = timedelta(minutes=1)  # of a failed task; doubles from try to try
    alarms: tuple[NotifierConfig, ...] = ()  # besides a line in the log
    alarm_again_after: Duration = timedelta(days=1)  # while an outage goes on; 0: in every window
    quiet_after: Duration = timedelta(0)  # without any order; 0: never
    fresh_within: Duration | None = None  # the newest window that is settled; None: three windows; 0: not watched
    reconcile_schedule: str = "30 4 * * *"
    reconcile_days: int = Field(default=3, ge=1, le=31)
    reconcile_grace: Duration = timedelta(hours=1)  # what changed later, on either side, is not judged
    reconcile_fetches_missing: bool = True
    reconcile_turns_red: bool = False  # while orders are extra, different or twice
    quarantine_kept: Duration = Field(default=timedelta(days=90), gt=timedelta(0))  # since a record was seen last
    parked_kept: Duration = Field(default=timedelta(days=90), gt=timedelta(0))  # since a record began to wait
    settings: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _makes_sense(self) -> Self:
        if self.overlap < self.lag:
            raise ValueError("overlap is shorter than lag: what falls between two windows would never be read")
        if self.parked_kept < self.quarantine_kept:
            raise ValueError("parked_kept is shorter than quarantine_kept: a cancel would be given up before its order")
        _comes_at_all(self.schedule)
        _comes_at_all(self.reconcile_schedule, "reconcile_schedule")
        try:
            ZoneInfo(self.timezone)
        except (KeyError, ValueError, OSError) as error:
            raise ValueError(f"timezone {self.timezone!r} is not one like Europe/Istanbul") from error
        return self

    def on_schedule(self, moment: datetime) -> bool:
        """Whether a scheduled run's logical date can be `moment`."""
        if moment.second or moment.microsecond:
            return False
        zone = ZoneInfo(self.timezone)
        wall = moment.astimezone(zone).replace(tzinfo=None)
        # Airflow has the slot of half past two at half past three on the day on which the clock leaves two out.
        left_out = wall - self.clock_jump(moment)
        is_left_out = left_out.replace(tzinfo=zone).astimezone(UTC).astimezone(zone).replace(tzinfo=None) != left_out
        return any(croniter.match(self.schedule, one) for one in (wall, *[left_out] * is_left_out))

    def clock_jump(self, moment: datetime) -> timedelta:
        """How far the clock of the schedule's zone went forward shortly before `moment`; mostly not at all."""
        zone = ZoneInfo(self.timezone)
        now, before = (one.astimezone(zone).utcoffset() for one in (moment, moment - LARGEST_JUMP))
        return max((now or timedelta()) - (before or timedelta()), timedelta())


@dataclass(frozen=True)
class BrokenChannel:
    """An entry that can't be used, and the sentence that says why."""

    name: str
    sentence: str
    alarms: tuple[NotifierConfig, ...] = ()


Channels = Mapping[str, ChannelConfig | BrokenChannel]


MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class _Twice:
    """Stands for the value of a key that stands twice: nobody knows which of the two is meant."""

    sentence: str


class _EachKeyOnce(yaml.SafeLoader):
    """YAML forbids a key that stands twice in a mapping, but PyYAML lets the later one win without a word."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Keys are compared as they are written: what `<<` merges in may be overridden."""
        node = super().compose_mapping_node(anchor)
        seen: dict[tuple[str, str], int] = {}
        for place, (key, _) in enumerate(node.value):
            name = (key.tag, str(key.value))
            if key.tag == MERGE:
                continue  # what two of them bring in is merged in turn
            if isinstance(key, yaml.ScalarNode) and name in seen:
                sentence = f"{key.value!r} in line {key.start_mark.line + 1} stands there twice"
                node.value[seen[name]] = node.value[place] = (key, yaml.ScalarNode("!twice", sentence))
            seen.setdefault(name, place)
        return node


_EachKeyOnce.add_constructor("!twice", lambda _, node: _Twice(str(node.value)))


def _twice(value: object) -> str | None:
    """The first key below that stands twice. Each value is looked at once, however many aliases lead to it."""
    seen, rest = {id(value)}, [value]
    while rest:
        one = rest.pop()
        if isinstance(one, _Twice):
            return one.sentence
        below = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        new = {id(value): value for value in below if id(value) not in seen}
        seen |= new.keys()
        rest += reversed(new.values())
    return None


def channels_path() -> Path:
    """The file in use."""
    return Path(os.environ.get(PATH_VARIABLE, DEFAULT_PATH))


def load_channels(path: Path | None = None) -> Channels:
    """All entries of the file, by name.

    Raises ConfigurationError when there is no such file, or it is not YAML with a mapping `channels`.
    """
    path = path or channels_path()
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), _EachKeyOnce)  # noqa: S506 - a SafeLoader
    except OSError as error:
        raise ConfigurationError(f"no channel file at {path}: set {PATH_VARIABLE} ({error.strerror})") from error
    except RecursionError:
        raise ConfigurationError(f"{path} is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not YAML: {str(error).splitlines()[0]}") from error
    entries = content.get("channels") if isinstance(content, dict) else None
    if isinstance(entries, _Twice):
        raise ConfigurationError(f"{path}: {entries.sentence}")
    if not isinstance(entries, dict):
        raise ConfigurationError(f"{path}: a mapping `channels:` of name to settings is needed")
    return {str(name): _channel(str(name), entry) for name, entry in entries.items()}


def configured(name: str) -> ChannelConfig:
    """The channel's settings as they are now.

    Raises ConfigurationError when they are gone or can't be used.
    """
    channel = load_channels().get(name)
    if channel is None:
        raise ConfigurationError(f"channel {name} is not in the channel file any more")
    if isinstance(channel, BrokenChannel):
        raise ConfigurationError(channel.sentence)
    return channel


def _channel(name: str, entry: object) -> ChannelConfig | BrokenChannel:
    if twice := _twice(entry):
        return BrokenChannel(_safe(name), f"channel {name}: {twice}")
    if not isinstance(entry, dict):
        return BrokenChannel(_safe(name), f"channel {name}: its settings are not a mapping")
    if "name" in entry:
        return BrokenChannel(_safe(name), f"channel {name}: name: remove it; the entry's key is its name")
    try:
        return ChannelConfig.model_validate({**entry, "name": name})
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors(include_input=False)
        )
        return BrokenChannel(_safe(name), f"channel {name}: {wrong}", readable(entry.get("alarms", ())))


def _safe(name: str) -> str:
    """A DAG id has to come of it, whatever was written; one that no well-named channel has."""
    if re.fullmatch(NAME, name):
        return name
    return f"{re.sub(r'[^a-z0-9_]', '_', name.lower())[:31]}_{sha256(name.encode()).hexdigest()[:8]}"


def connector_class(channel: ChannelConfig) -> type["Connector"]:
    """The connector's class: a built-in's name, an entry point of `order_integration.connectors`, or `module:Class`.

    Raises ConfigurationError that names the channel and what was tried.
    """
    name = channel.connector
    try:
        if ":" in name:
            module, _, attribute = name.partition(":")
            return _class_of(channel, getattr(import_module(module), attribute))
        for point in entry_points(group=ENTRY_POINTS, name=name):
            return _class_of(channel, point.load())
        return _class_of(channel, import_module(f"{BUILT_IN}.{name}").CONNECTOR)
    except (ImportError, AttributeError, TypeError, ValueError) as error:  # the last two: a name that can't be one
        raise ConfigurationError(
            f"channel {channel.name}: there is no connector {name!r}; give a built-in's name, an entry point of "
            f"{ENTRY_POINTS}, or module:Class ({error})"
        ) from error


def _class_of(channel: ChannelConfig, found: object) -> type["Connector"]:
    from order_integration.channels.commands import Connector  # noqa: PLC0415

    if isinstance(found, type) and issubclass(found, Connector):
        return found
    raise ConfigurationError(f"channel {channel.name}: {channel.connector!r} is not a Connector")
