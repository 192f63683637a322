"""Alarms: what a person must hear of. Told once, carried by the channel's Airflow notifiers and by a line in the log.

At most one a (flow, channel, kind, window). A task that is killed while it tells leaves a note of it, so that the DAG
`watch_channels` tells it again: twice is better than never. Sentences are ours, and name nobody.
"""

import logging
from contextlib import suppress
from dataclasses import asdict
from datetime import datetime, timedelta
from importlib import import_module
from typing import TYPE_CHECKING, Any

from order_integration.channels.notifiers import NotifierConfig
from order_integration.channels.registry import ChannelConfig, load_channels
from order_integration.errors import ConfigurationError
from order_integration.operators.base import now, staging
from order_integration.operators.metrics import count_alarm
from order_integration.staging import Alarm, AlarmBook, AlarmKind, key_digest

if TYPE_CHECKING:
    from airflow.sdk import BaseNotifier

__all__ = [
    "Alarm",
    "AlarmKind",
    "again_after",
    "notifier_of",
    "tell",
    "tell_again",
    "tell_now_and_again",
    "tell_of_outage",
]

log = logging.getLogger(__name__)

BEING_TOLD = timedelta(minutes=10)  # longer than any notifier takes; then who told it was killed, or a notifier failed
GIVE_UP = timedelta(days=1)  # an alarm that a notifier could not carry for so long is no news any more
TOLD, KEPT_BACK = "told", "kept back"

Row = dict[str, Any]


def tell(alarm: Alarm) -> bool:
    """Tell it; False: it was told before. A notifier that fails is logged, and tried again by `watch_channels`.

    It may block: call it from a coroutine by `asyncio.to_thread`.
    """
    return _tell(alarm, alarm.window)


def tell_of_outage(alarm: Alarm, since: str, again_after: timedelta) -> bool:
    """The same, where the window is one of many that an outage turns red: told at its beginning, then now and again.

    `since`: what all windows of the outage have in common. False: this window's was told, or is kept back.
    """
    if not again_after:
        return tell(alarm)
    book = AlarmBook(staging(), alarm.channel, alarm.flow)
    with suppress(Exception):  # staging is away: said when the alarm is to be noted
        known = book.get(alarm.window, alarm.kind)
        if known and known["state"] == TOLD:
            return False
    is_told = _tell(alarm, _turn(book, alarm.kind, since, again_after))
    with suppress(Exception):
        note = {**asdict(alarm), "state": TOLD if is_told else KEPT_BACK}
        if is_told:
            book.put(alarm.window, alarm.kind, note)
        else:
            book.claim(alarm.window, alarm.kind, note)
    return is_told


def tell_now_and_again(alarm: Alarm, again_after: timedelta) -> bool:
    """For whoever looks every quarter of an hour; `window`: when that began which goes on since. 0: told once."""
    book = AlarmBook(staging(), alarm.channel, alarm.flow)
    return _tell(alarm, _turn(book, alarm.kind, alarm.window, again_after))


def _turn(book: AlarmBook, kind: AlarmKind, since: str, again_after: timedelta) -> str:
    """The name of an outage's first alarm, or of the one that is due by now."""
    first = f"outage since {since}"
    begun = None
    with suppress(Exception):
        begun = book.get(first, kind)
    age = now() - datetime.fromisoformat(begun["at"]) if begun else timedelta(0)
    turn = max(age // again_after, 0) if again_after else 0  # machines may differ about the time
    return f"{first}, {turn}" if turn else first


def tell_again(book: AlarmBook) -> None:
    """What a kill or a failing notifier kept from somebody; by `watch_channels`, which runs once at a time."""
    for token, note in book.owed().items():
        age = now() - datetime.fromisoformat(note["at"])
        alarm = Alarm(**{name: note[name] for name in Alarm.__match_args__} | {"kind": AlarmKind(note["kind"])})
        if age < BEING_TOLD:
            continue
        claim = {**note, "token": token, "state": TOLD}
        known = book.get(note["claimed"], alarm.kind)
        is_ours = known.get("token") == token if known else book.claim(note["claimed"], alarm.kind, claim)
        if is_ours and age < GIVE_UP:
            _deliver(book, token, note, alarm)
            continue
        if is_ours:
            log.error("not everybody could be told within %s: %s", GIVE_UP, _line(alarm))
        book.done(token)


def again_after(channel: str) -> timedelta:
    """How long after an alarm the next one of the same outage; the default where the channel's entry is broken."""
    with suppress(ConfigurationError):
        known = load_channels().get(channel)
        if isinstance(known, ChannelConfig):
            return known.alarm_again_after
    return ChannelConfig.model_fields["alarm_again_after"].default  # type: ignore[no-any-return]


def notifier_of(config: NotifierConfig) -> "BaseNotifier":
    """The notifier itself.

    Raises ConfigurationError where there is none of this name, or it does not take these arguments. Its own words are
    not repeated: they may quote an argument, which may be a secret.
    """
    from airflow.sdk import BaseNotifier  # noqa: PLC0415

    module, _, name = config.notifier.rpartition(".")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(
            f"alarms: there is no notifier {config.notifier}: is its provider installed?"
        ) from error
    except Exception as error:  # noqa: BLE001 - whatever a provider's module does when it is imported
        raise ConfigurationError(f"alarms: {config.notifier} can't be imported: {type(error).__name__}") from None
    if not (isinstance(found, type) and issubclass(found, BaseNotifier)):
        raise ConfigurationError(f"alarms: {config.notifier} is no notifier of Airflow")
    try:
        return found(**config.arguments)
    except TypeError as error:  # it names the argument
        raise ConfigurationError(f"alarms: {config.notifier}: {error}") from error
    except Exception as error:  # noqa: BLE001 - or its constructor
        raise ConfigurationError(f"alarms: {config.notifier} can't be made: {type(error).__name__}") from None


def _tell(alarm: Alarm, claimed: str) -> bool:
    """Tell it, if nobody has noted `claimed` before."""
    book = AlarmBook(staging(), alarm.channel, alarm.flow)
    note: Row = {**asdict(alarm), "claimed": claimed, "at": now().isoformat(), "carried": []}
    token = ""
    try:
        token = book.owe(note)
        if not book.claim(claimed, alarm.kind, {**note, "token": token, "state": TOLD}):
            book.done(token)
            return False
    except Exception as error:  # noqa: BLE001 - whatever a store raises: it may be what the alarm is about
        log.error("staging can't note this alarm, so it may come again: %s", type(error).__name__)  # noqa: TRY400
    count_alarm(alarm.flow, alarm.channel, alarm.kind)
    _deliver(book, token, note, alarm)
    return True


def _deliver(book: AlarmBook, token: str, note: Row, alarm: Alarm) -> None:
    """To the log, and by all notifiers that have not carried it yet. One that fails leaves it owed."""
    log.warning("ALARM %s", _line(alarm))
    notifiers = {key_digest(repr(config)): config for config in _notifiers_of(alarm.channel)}
    carried = [*note["carried"]]
    for name, config in notifiers.items():
        if name not in carried and _carry(alarm, config):
            carried.append(name)
            with suppress(Exception):  # staging is away: it may come twice
                book.owe({**note, "carried": carried}, token)
    if set(notifiers) <= set(carried):
        with suppress(Exception):
            book.done(token)


def _carry(alarm: Alarm, config: NotifierConfig) -> bool:
    """Whether the notifier took it. Its fields may use `{{ alarm.sentence }}` and the alarm's other fields.

    It does not get the task's own context: an exception in there may quote a record.
    """
    context: Any = {"alarm": asdict(alarm)}
    try:
        notifier_of(config)(context)
    except ConfigurationError as error:
        log.error("%s", error)  # noqa: TRY400
        return False
    except Exception as error:  # noqa: BLE001 - an alarm that is not carried fails no task
        log.error("%s did not carry it: %s", config.notifier, type(error).__name__)  # noqa: TRY400
        return False
    return True


def _notifiers_of(channel: str) -> tuple[NotifierConfig, ...]:
    try:
        known = load_channels().get(channel)
    except ConfigurationError as error:
        log.error("%s", error)  # noqa: TRY400
        return ()
    return known.alarms if known else ()


def _line(alarm: Alarm) -> str:
    return f"{alarm.flow} of {alarm.channel}, {alarm.kind}: {alarm.sentence} [{alarm.window}]"
