"""Customers and their addresses: looked up first, created once, changed only by newer news."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from order_integration.dto import AddressDto, CustomerDto
from order_integration.errors import Reason, RecordError, RefusedError, UnknownOutcomeError
from order_integration.exact_json import dumps
from order_integration.omnitron.client import Memo, Omnitron, Row, id_of
from order_integration.omnitron.lookups import Lookups

IDENTIFIERS = ("email", "phone_number")
COMPARED = ("email", "phone_number", "first_name", "last_name")
MODIFIED_AT = "modified_at"  # in extra_field: the channel's time of what we wrote last
HASH_PREFIX = "hash_data:"


def identifier_of(channel: Row) -> str:
    """The field that finds a customer in this channel; `email` where its conf names no other that is known."""
    configured = (channel.get("conf") or {}).get("CUSTOMER_IDENTIFIER_FIELD")
    return configured if configured in IDENTIFIERS else IDENTIFIERS[0]


@dataclass
class Customers:
    """One channel's customers. `identifier`: the field that finds an existing one (CUSTOMER_IDENTIFIER_FIELD)."""

    omnitron: Omnitron
    identifier: str = "email"
    _pks: dict[str, int] = field(default_factory=dict)  # by what was said of a customer
    _latest: dict[int, str] = field(default_factory=dict)  # what was said of each last

    async def pk_of(self, customer: CustomerDto, as_of: datetime) -> int:
        """The customer's pk, created or brought up to date where needed; asked once while nothing else is said of it.

        `as_of` is the channel's time of this news. Raises RecordError where Omnitron refuses it or knows several.
        """
        said = customer.model_dump_json()
        pk = self._pks.get(said)
        if pk is None or self._latest[pk] != said:  # one who changed and changed back is news, too
            pk, is_current = await self._upsert(customer, as_of)
            if is_current:
                self._pks[said], self._latest[pk] = pk, said
        return pk

    async def _upsert(self, customer: CustomerDto, as_of: datetime) -> tuple[int, bool]:
        """The pk, and whether Omnitron now holds these news (newer ones may be there)."""
        row = await self._find(customer)
        if row is None:
            row = await self._create(customer, as_of)
        return await self._bring_up_to_date(row, customer, as_of)

    async def _find(self, customer: CustomerDto) -> Row | None:
        value = getattr(customer, self.identifier)
        return await self._one(self.identifier, value) if value else None

    async def _one(self, name: str, value: str) -> Row | None:
        rows = await self.omnitron.rows(
            self.omnitron.at("customers/"),
            {name: value, "channel": self.omnitron.channel_id},
            sure=lambda row: str(row.get(name)).casefold() == value.casefold(),
        )
        if len(rows) > 1:
            raise RecordError(Reason.CUSTOMER_AMBIGUOUS, f"customer.{name}", f"{len(rows)} customers have this {name}")
        return rows[0] if rows else None

    async def _create(self, customer: CustomerDto, as_of: datetime, *, again: bool = True) -> Row:
        """Refused or lost, the answer is looked for: by e-mail first, then by the channel's code.

        Lost without a trace, the customer is sent once more; that answer may be refused or lost like the first.
        """
        try:
            return dict(await self._post(customer, as_of))
        except (RefusedError, UnknownOutcomeError) as error:
            found = await self._one("email", customer.email) or await self._one("channel_code", customer.channel_code)
            if found:
                return found
            if isinstance(error, RefusedError):
                raise refused(error, "customer") from error
            if not again:
                raise
        return await self._create(customer, as_of, again=False)

    async def _post(self, customer: CustomerDto, as_of: datetime) -> Any:
        body = {
            **customer.model_dump(include={*COMPARED, "channel_code", "is_active"}, exclude_none=True),
            "channel": self.omnitron.channel_id,
            "extra_field": {**customer.extra_field, MODIFIED_AT: as_of.isoformat()},
        }
        return await self.omnitron.http.call("POST", self.omnitron.at("customers/"), body=body)

    async def _bring_up_to_date(self, row: Row, customer: CustomerDto, as_of: datetime) -> tuple[int, bool]:
        pk, ours = id_of(row), customer.model_dump(include=set(COMPARED), exclude_none=True)
        changed = {name: value for name, value in ours.items() if row.get(name) != value}
        # Equal news is written down too, by its time alone: an older order, backfilled later, must not undo it.
        if not is_newer(as_of, row.get("extra_field")):
            return pk, not changed
        body = {
            **changed,
            "channel": self.omnitron.channel_id,
            "channel_code": row.get("channel_code") or customer.channel_code,
            "extra_field": {**(row.get("extra_field") or {}), **customer.extra_field, MODIFIED_AT: as_of.isoformat()},
        }
        try:
            path = self.omnitron.at(f"customers/{pk}/")
            await self.omnitron.http.call("PATCH", path, body=body, repeatable=True)
        except RefusedError as error:
            raise refused(error, "customer") from error
        return pk, True


def is_newer(as_of: datetime, extra_field: Any) -> bool:
    """Whether news of `as_of` may overwrite what `extra_field` says was written last."""
    written = (extra_field or {}).get(MODIFIED_AT)
    try:
        moment = datetime.fromisoformat(written) if written else None
    except (TypeError, ValueError):  # somebody else's key of the same name
        return True
    return moment is None or moment.tzinfo is None or moment < as_of


@dataclass
class Addresses:
    """Addresses are unique by their content; the second of two equal ones is the first."""

    omnitron: Omnitron
    lookups: Lookups
    _known: Memo[str, int] = field(default_factory=Memo)

    async def pk_of(self, address: AddressDto, customer: CustomerDto, customer_pk: int, where: str) -> int:
        """The address's pk, created where it is new.

        Raises LocationError for a place that Omnitron does not know, RecordError where it refuses the address.
        """
        body = await self._body(address, customer, customer_pk, where)
        return await self._known.get(dumps(body), lambda: self._create(body, where))

    async def _body(self, address: AddressDto, customer: CustomerDto, customer_pk: int, where: str) -> Row:
        place = await self.lookups.locations.place(address, where)
        body = {
            **address.model_dump(
                exclude={"country", "city", "township", "district", "retail_store", "is_active"}, exclude_none=True
            ),
            "first_name": address.first_name or customer.first_name,
            "last_name": address.last_name or customer.last_name,
            "customer": customer_pk,
            "country": place.country,
            "city": place.city,
            "township": place.township,
            "district": place.district,
        }
        if address.retail_store:
            store = await self.lookups.store(address.retail_store, where)
            body |= {"retail_store": store, "address_type": "retail_store"}
        return body

    async def _create(self, body: Row, where: str) -> int:
        try:
            # Repeating it is safe: the second of two equal addresses is refused with the first one's hash.
            return id_of(
                await self.omnitron.http.call("POST", self.omnitron.at("addresses/"), body=body, repeatable=True)
            )
        except RefusedError as error:
            digest = _hash_of(error)
            if digest is None:
                raise refused(error, where) from error
        rows = await self.omnitron.rows(
            self.omnitron.at("addresses/"), {"hash_data": digest}, sure=lambda row: row.get("hash_data") == digest
        )
        if len(rows) != 1:
            raise RecordError(Reason.CONFLICT, where, f"{len(rows)} addresses of Omnitron have the hash of this one")
        return id_of(rows[0])


def _hash_of(error: RefusedError) -> str | None:
    for message in error.messages():
        first = message.split()[0] if message.split() else ""
        if first.startswith(HASH_PREFIX):
            return first.removeprefix(HASH_PREFIX)
    return None


def refused(error: RefusedError, where: str) -> RecordError:
    """A record that Omnitron refuses: which fields, under which code. Its words may quote values and stay out."""
    fields = ", ".join(error.fields) or error.code or "no field named"
    return RecordError(Reason.REFUSED, where, f"Omnitron refuses it: {fields}", status=error.status, code=error.code)
