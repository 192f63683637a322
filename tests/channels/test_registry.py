"""The channel file: what is wrong is said by channel and field, and hurts no other entry."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from order_integration.channels.marketplace import CONNECTOR as MARKETPLACE
from order_integration.channels.registry import (
    PATH_VARIABLE,
    BrokenChannel,
    ChannelConfig,
    Channels,
    connector_class,
    load_channels,
)
from order_integration.errors import ConfigurationError
from tests.flows.steps import config
from tests.shelf import Shelf

GOOD: dict[str, Any] = {
    "connector": "marketplace",
    "connection": "market",
    "omnitron_channel_id": 1,
    "catalog_id": 1,
    "active_from": "2026-01-01T00:00:00+03:00",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "channels.yaml"


def loaded(file: Path, **channels: Any) -> Channels:
    file.write_text(yaml.safe_dump({"channels": channels}))
    return load_channels(file)


def sentence(channels: Channels, name: str) -> str:
    broken = channels[name]
    assert isinstance(broken, BrokenChannel)
    return broken.sentence


def test_a_good_entry_needs_five_lines(file: Path) -> None:
    channel = loaded(file, shelf=GOOD)["shelf"]

    assert isinstance(channel, ChannelConfig)
    assert (channel.name, channel.overlap, channel.lag) == ("shelf", timedelta(minutes=10), timedelta(minutes=2))
    assert channel.active_from == datetime(2025, 12, 31, 21, tzinfo=UTC)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"omnitron_channel_id": 0}, "omnitron_channel_id"),
    ({"omnitron_channel_id": "one"}, "omnitron_channel_id"),
    ({"catalog_id": None}, "catalog_id"),
    ({"connector": ""}, "connector"),
    ({"active_from": "2026-01-01"}, "active_from"),
    ({"active_from": "2026-01-01T00:00:00"}, "active_from"),
    ({"schedule": "every day"}, "schedule"),
    ({"schedule": "61 * * * *"}, "schedule"),
    ({"schedule": "* * * * * *"}, "schedule"),
    ({"schedule": ""}, "schedule"),
    ({"schedule": "@reboot"}, "schedule"),
    ({"schedule": "0 0 31 2 *"}, "schedule '0 0 31 2 *' never comes"),
    ({"schedule": "0 0 31 4,6,9,11 *"}, "never comes"),
    ({"reconcile_schedule": "every night"}, "reconcile_schedule 'every night' is not"),
    ({"reconcile_schedule": "0 0 31 2 *"}, "reconcile_schedule '0 0 31 2 *' never comes"),
    ({"reconcile_days": 0}, "reconcile_days"),
    ({"reconcile_days": 32}, "reconcile_days"),
    ({"reconcile_grace": "soon"}, "reconcile_grace"),
    ({"timezone": "Europe/Istambul"}, "timezone"),
    ({"timezone": "../../etc/passwd"}, "timezone"),
    ({"timezone": ""}, "timezone"),
    ({"overlap": "ten minutes"}, "overlap"),
    ({"overlap": "-5m"}, "overlap"),
    ({"lag": "99999999999999d"}, "lag"),
    ({"overlap": "1m", "lag": "2m"}, "overlap is shorter than lag"),
    ({"parked_kept": "89d"}, "parked_kept is shorter than quarantine_kept"),
    ({"limits": {"push_tasks": 6}}, "limits.push_tasks"),
    ({"limits": {"requests_per_second": 0}}, "limits.requests_per_second"),
    ({"limits": {"quarantine_share": 1.5}}, "limits.quarantine_share"),
    ({"limits": {"chunks": 3}}, "limits.chunks"),
    ({"page_size": 0}, "page_size"),
    ({"passwort": "x"}, "passwort"),
    ({"name": "other"}, "name"),
    ({1: "x"}, "1"),
]


@pytest.mark.parametrize(("wrong", "named"), WRONG)
def test_a_wrong_entry_names_channel_and_field_and_hurts_no_other(
    file: Path, wrong: dict[Any, Any], named: str
) -> None:
    channels = loaded(file, bad={**GOOD, **wrong}, good=GOOD)

    assert sentence(channels, "bad").startswith("channel bad: ")
    assert named in sentence(channels, "bad")
    assert isinstance(channels["good"], ChannelConfig)


@pytest.mark.parametrize("missing", GOOD)
def test_a_missing_setting_is_named(file: Path, missing: str) -> None:
    channels = loaded(file, bad={name: value for name, value in GOOD.items() if name != missing}, good=GOOD)

    assert missing in sentence(channels, "bad")
    assert isinstance(channels["good"], ChannelConfig)


@pytest.mark.parametrize("entry", [None, "marketplace", [], 5])
def test_an_entry_that_is_no_mapping_hurts_no_other(file: Path, entry: Any) -> None:
    channels = loaded(file, bad=entry, good=GOOD)

    assert "not a mapping" in sentence(channels, "bad")
    assert isinstance(channels["good"], ChannelConfig)


@pytest.mark.parametrize("name", ["Shelf", "my-shelf", "ş", "1st", "x" * 41, "", "a b"])
def test_a_name_that_is_no_part_of_a_dag_id_is_broken_under_one_that_is(file: Path, name: str) -> None:
    broken = loaded(file, **{name: GOOD})[name]

    assert isinstance(broken, BrokenChannel)
    assert broken.name
    assert set(broken.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_")
    assert len(broken.name) <= 40


def test_a_secret_that_was_written_into_the_wrong_field_is_not_repeated(file: Path) -> None:
    channels = loaded(file, bad={**GOOD, "omnitron_channel_id": "hunter2", "overlap": "hunter2"})

    assert "hunter2" not in sentence(channels, "bad")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("90s", 90), ("15m", 900), ("15 m", 900), ("2h", 7200), ("3d", 259200), ("0s", 0), (45, 45), ("PT1H", 3600)],
)
def test_durations_are_written_with_their_unit(file: Path, text: Any, expected: int) -> None:
    channel = loaded(file, shelf={**GOOD, "overlap": text, "lag": 0})["shelf"]

    assert isinstance(channel, ChannelConfig)
    assert channel.overlap == timedelta(seconds=expected)


def test_an_overlap_as_long_as_the_lag_leaves_no_hole(file: Path) -> None:
    assert isinstance(loaded(file, shelf={**GOOD, "overlap": "5m", "lag": "5m"})["shelf"], ChannelConfig)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "a mapping `channels:`"),
        (b"[]", "a mapping `channels:`"),
        (b"channels: []", "a mapping `channels:`"),
        (b"channels: {a: [", "not YAML"),
        (b"channels: !!python/object:os.system {}", "not YAML"),
        (b"channels: {\xff\xfe}", "not YAML"),
    ],
)
def test_a_file_that_is_none_is_refused_by_its_name(file: Path, content: bytes, said: str) -> None:
    file.write_bytes(content)

    with pytest.raises(ConfigurationError, match=said) as caught:
        load_channels(file)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize("schedule", ["0 0 29 2 *", "@hourly", "0 0 29 2 1", "0 0 L * *"])
def test_a_schedule_that_seldom_comes_comes(file: Path, schedule: str) -> None:
    assert isinstance(loaded(file, shelf={**GOOD, "schedule": schedule})["shelf"], ChannelConfig)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("channels:\n  shelf: {overlap: 5m}\n  other: {}\n  shelf: {overlap: 6m}\n", "'shelf' in line 4"),
        ("channels:\n  shelf: {}\n  'shelf': {}\n", "'shelf' in line 3"),
        ("channels:\n  shelf:\n    limits:\n      timeout: 5s\n      timeout: 6s\n", "'timeout' in line 5"),
    ],
)
def test_what_stands_twice_is_named_and_none_of_them_wins(file: Path, content: str, said: str) -> None:
    good = "".join(f"    {name}: {value!r}\n" for name, value in GOOD.items())
    file.write_text(f"{content}  good:\n{good}")

    channels = load_channels(file)

    broken = channels["shelf"]
    assert isinstance(broken, BrokenChannel)
    assert f"{said} stands there twice" in broken.sentence
    assert isinstance(channels["good"], ChannelConfig)


def test_two_mappings_of_channels_are_none(file: Path) -> None:
    file.write_text("channels: {}\nchannels: {}\n")

    with pytest.raises(ConfigurationError, match="'channels' in line 2 stands there twice"):
        load_channels(file)


def test_what_is_merged_in_may_be_overridden(file: Path) -> None:
    common = "".join(f"  {name}: {value!r}\n" for name, value in GOOD.items())
    file.write_text(
        f"common: &common\n{common}more: &more\n  <<: *common\n  catalog_id: 2\n"
        "channels:\n  shelf: {<<: *more, catalog_id: 3}\n  other: {<<: *more}\n"
    )

    channels = load_channels(file)

    found = [channel.catalog_id for channel in channels.values() if isinstance(channel, ChannelConfig)]
    assert found == [3, 2]


def test_a_file_that_is_not_there_names_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(tmp_path / "nowhere.yaml"))

    with pytest.raises(ConfigurationError, match=PATH_VARIABLE):
        load_channels()


def test_the_variable_says_where_the_file_is(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PATH_VARIABLE, str(file))
    file.write_text(yaml.safe_dump({"channels": {"shelf": GOOD}}))

    assert set(load_channels()) == {"shelf"}


# Connectors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "expected"), [("marketplace", MARKETPLACE), ("tests.shelf:Shelf", Shelf)])
def test_a_connector_is_a_built_in_or_a_dotted_path(name: str, expected: type) -> None:
    assert connector_class(config(connector=name)) is expected


@pytest.mark.parametrize(
    "name",
    ["nowhere", "registry", "nowhere.at:Shelf", "tests.shelf:Nothing", "tests.shelf:", ":Shelf", "..:Shelf", ".x"],
)
def test_an_unknown_connector_is_refused_by_channel_and_name(name: str) -> None:
    with pytest.raises(ConfigurationError, match="channel shelf: there is no connector") as caught:
        connector_class(config(connector=name))
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize("name", ["tests.shelf:NOON", "tests.shelf:ShelfGetOrders", "builtins:dict"])
def test_what_is_no_connector_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=r"channel shelf: .* is not a Connector"):
        connector_class(config(connector=name))


# Slots of the schedule -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("timezone", "moment", "expected"),
    [
        ("UTC", "2026-01-05T03:00:00+00:00", True),
        ("UTC", "2026-01-05T03:00:01+00:00", False),
        ("UTC", "2026-01-05T03:00:00.000001+00:00", False),
        ("UTC", "2026-01-05T03:01:00+00:00", False),
        ("UTC", "2026-01-05T06:00:00+03:00", True),
        ("Europe/Istanbul", "2026-01-05T00:00:00+00:00", True),
        ("Europe/Istanbul", "2026-01-05T03:00:00+00:00", False),
        ("Europe/Berlin", "2026-01-05T02:00:00+00:00", True),
        ("Europe/Berlin", "2026-07-05T01:00:00+00:00", True),
        ("Europe/Berlin", "2026-07-05T02:00:00+00:00", False),
    ],
)
def test_a_slot_is_one_in_the_schedule_s_own_zone(timezone: str, moment: str, *, expected: bool) -> None:
    channel = config(schedule="0 3 * * *", timezone=timezone)

    assert channel.on_schedule(datetime.fromisoformat(moment)) is expected


@pytest.mark.parametrize("timezone", ["Europe/Istanbul", "America/New_York", "Australia/Lord_Howe"])
def test_a_slot_is_where_the_clock_on_the_wall_says_four_also_when_it_changes(timezone: str) -> None:
    channel = config(schedule="0 4 * * *", timezone=timezone)
    days = [datetime(2026, month, 1, tzinfo=UTC) + timedelta(days=day) for month in (3, 4, 10, 11) for day in range(9)]
    hours = [day + timedelta(minutes=30 * half) for day in days for half in range(48)]
    walls = [(hour, hour.astimezone(ZoneInfo(timezone))) for hour in hours]

    wrong = [hour for hour, wall in walls if channel.on_schedule(hour) != (wall.hour == 4 and wall.minute == 0)]

    assert wrong == []


def test_two_merges_and_an_alias_to_itself_hurt_nobody(file: Path) -> None:
    good = "".join(f"    {name}: {value!r}\n" for name, value in GOOD.items())
    file.write_text(
        "a: &a {page_size: 5}\nb: &b {owner: x}\nchannels:\n"
        f"  merged:\n    <<: *a\n    <<: *b\n{good}  round:\n    settings: &s {{a: *s}}\n  good:\n{good}"
    )

    channels = load_channels(file)

    assert isinstance(channels["good"], ChannelConfig)
    assert isinstance(channels["merged"], ChannelConfig)
    assert (channels["merged"].page_size, channels["merged"].owner) == (5, "x")
    assert isinstance(channels["round"], BrokenChannel)
