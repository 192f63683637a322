"""What a merchant can set for the channel is published in Omnitron; what is set there is checked. `fetch → push`."""

import logging
from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from order_integration.channels.commands import Connector, GetChannelConfSchema
from order_integration.errors import ConfigurationError, ContractError
from order_integration.flows.reasons import FALLBACK, MAPPING, ReasonMapping
from order_integration.omnitron.client import Omnitron, id_of
from order_integration.omnitron.customers import IDENTIFIERS
from order_integration.staging import Folder

FLOW = "update_channel_conf_schema"
ENTRIES = "entries"
IDENTIFIER = "CUSTOMER_IDENTIFIER_FIELD"

log = logging.getLogger(__name__)
Row = dict[str, Any]


class DataType(StrEnum):
    """The kinds of value that Omnitron's form knows."""

    TEXT = "text"
    URL = "URL"
    EMAIL = "email"
    DATE = "date"
    DATETIME = "datetime"
    BOOL = "bool"
    JSON = "json"
    LIST = "list"
    INTEGER = "integer"


class ConfEntry(BaseModel):
    """One field of that form. `form` describes the inside of a json or a list; on the wire it is `schema`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str = Field(min_length=1)
    label: str = Field(min_length=1)
    data_type: DataType
    required: bool = False
    form: dict[str, Any] | None = Field(default=None, alias="schema")

    def as_row(self) -> Row:
        """Plain JSON: an object of a class would not get through."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


# What every channel has, whatever its connector.
OURS = (
    ConfEntry(key=MAPPING, label="The channel's reason codes → cancellation reasons", data_type="json", required=True),
    ConfEntry(key=FALLBACK, label="Cancellation reason of cancels without a mapped one", data_type="integer"),
    ConfEntry(key=IDENTIFIER, label="What finds a customer: email or phone_number", data_type="text"),
)


# fetch ----------------------------------------------------------------------------------------------------------------


async def fetch(connector: Connector, folder: Folder) -> Row:
    """Stage all entries: ours, and those of the connector. Returns counts.

    Raises ContractError for an entry of the connector that Omnitron's form does not know.
    """
    own = await connector.command(GetChannelConfSchema).run()
    entries = [*OURS, *(_entry(key, said) for key, said in own.items())]
    folder.write(ENTRIES, (entry.as_row() for entry in entries))
    return {"entries": len(entries)}


def _entry(key: str, said: Row) -> ConfEntry:
    if key in {entry.key for entry in OURS}:
        raise ContractError(f"GetChannelConfSchema gives {key!r}, which every channel has already")
    try:
        entry = ConfEntry.model_validate({"key": key, **said})
    except (ValidationError, TypeError) as error:
        wrong = [".".join(map(str, one["loc"])) for one in error.errors()] if isinstance(error, ValidationError) else []
        raise ContractError(f"GetChannelConfSchema, {key!r} is no entry: {', '.join(wrong) or 'not a dict'}") from None
    if entry.key != key:
        raise ContractError(f"GetChannelConfSchema, {key!r} says that its key is {entry.key!r}")
    return entry


# push -----------------------------------------------------------------------------------------------------------------


async def push(omnitron: Omnitron, entries: Iterable[Row]) -> Row:
    """Publish what differs, then check what the merchant has set. Returns counts.

    Raises ConfigurationError that names all that is set wrongly; what was published stays.
    """
    channel = await omnitron.channel()
    there = channel.get("schema") or {}
    merged, changed = _merged(there, entries)
    if changed:
        body = {"schema": merged}
        await omnitron.http.call("PATCH", f"channels/{omnitron.channel_id}/", body=body, repeatable=True)
        log.info("published: %s", ", ".join(changed))
    return {"published": len(changed), "unchanged": len(merged) - len(changed), **await check(omnitron, channel)}


def _merged(there: Row, entries: Iterable[Row]) -> tuple[Row, list[str]]:
    """What others put there stays, whole entries and what they added to ours; also returns the keys that differ."""
    merged = {**there}
    for entry in entries:
        known = there.get(entry["key"])
        merged[entry["key"]] = {**known, **entry} if isinstance(known, dict) else entry
    return merged, [key for key, entry in merged.items() if there.get(key) != entry]


async def check(omnitron: Omnitron, channel: Row) -> Row:
    """Whether the reasons that the merchant set are there and can be used, in both directions. Returns counts.

    Raises ConfigurationError with all that is wrong, so that one look mends it.
    """
    conf = channel.get("conf") or {}
    mapping = ReasonMapping.of(conf)
    wanted = {f"{MAPPING} {code!r}": pk for code, pk in mapping.pks.items()}
    if mapping.fallback is not None:
        wanted[FALLBACK] = mapping.fallback
    else:
        log.info("%s is not set: a cancel whose reason is not mapped will be quarantined", FALLBACK)
    if not mapping.pks:
        log.warning("%s is not set in the channel's conf: cancels and returns will be quarantined", MAPPING)
    wrong = [*await _unusable(omnitron, wanted), *_ambiguous(mapping), *_unknown_identifier(conf)]
    if wrong:
        raise ConfigurationError(f"correct the channel's conf in Omnitron: {'; '.join(wrong)}")
    return {"reasons": len(mapping.pks)}


async def _unusable(omnitron: Omnitron, wanted: dict[str, int]) -> list[str]:
    if not wanted:
        return []
    rows = await omnitron.rows(omnitron.at("cancellation_reasons/"), {}, sure=lambda _: True)
    active = {id_of(row): bool(row.get("is_active", True)) for row in rows}
    said = {None: "Omnitron has no such cancellation reason", False: "this cancellation reason is not active"}
    return [f"{name} → {pk}: {said[active.get(pk)]}" for name, pk in wanted.items() if not active.get(pk)]


def _ambiguous(mapping: ReasonMapping) -> list[str]:
    """The merchant's answers travel back through the mapping: there, two codes of one reason can't be told apart."""
    try:
        mapping.check_backwards()
    except ConfigurationError as error:
        return [error.sentence]
    return []


def _unknown_identifier(conf: Row) -> list[str]:
    said = conf.get(IDENTIFIER)
    return (
        [f"{IDENTIFIER} is {said!r}, not one of {', '.join(IDENTIFIERS)}"] if said and said not in IDENTIFIERS else []
    )
