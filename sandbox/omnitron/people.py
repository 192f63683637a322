"""Customers and their addresses."""

import hashlib
import json
from typing import Any

from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.database import Row, fold, shown
from sandbox.omnitron.errors import duplicate, invalid
from sandbox.omnitron.fields import NOT_NULL, Field, Fields, clean
from sandbox.omnitron.listing import DATES, Where, filters, page
from sandbox.omnitron.places import parents

routes = Routes("customers", scoped=True)

CUSTOMER: Fields = {
    "channel": Field("int", required=True, ref="channels"),
    "email": Field("email", required=True, blank=False, max=254),
    "first_name": Field(max=255, default=""),
    "last_name": Field(max=255, default=""),
    "phone_number": Field(null=True, max=128),
    "is_active": Field("bool", default=False),
    "channel_code": Field(required=True, blank=False, max=64),
    "erp_code": Field(null=True, max=64),
    "extra_field": Field("object", default={}),
    "attributes": Field("object", default={}),
    "attributes_kwargs": Field("object", default={}),
    "email_allowed": Field("bool", default=False),
    "sms_allowed": Field("bool", default=False),
    "call_allowed": Field("bool", default=False),
    "gender": Field(null=True, max=16),
    "user_type": Field(null=True, max=32),
    "date_of_birth": Field("day", null=True),
    "date_joined": Field("date", null=True),
}
CUSTOMER_FILTERS = filters(
    "channel", "email", "email__exact", "email__startswith", "first_name", "last_name", "phone_number", "is_active",
    "channel_code", "channel_code__exact", "pk__in", *DATES, channel_id="channel",
)  # fmt: skip
ADDRESS: Fields = {
    "email": Field("email", required=True, blank=False, max=254),
    "phone_number": Field(required=True, blank=False, max=128),
    "first_name": Field(required=True, blank=False, max=255),
    "last_name": Field(required=True, blank=False, max=255),
    "customer": Field("int", required=True, ref="customers"),
    "country": Field("int", required=True, ref="countries"),
    "city": Field("int", required=True, ref="cities"),
    "township": Field("int", null=True, ref="townships"),
    "district": Field("int", null=True, ref="districts"),
    "line": Field(required=True, blank=False, max=255),
    "title": Field(null=True, max=128),
    "postcode": Field(null=True, max=64),
    "notes": Field(null=True, max=512),
    "company_name": Field(null=True, max=255),
    "tax_office": Field(null=True, max=64),
    "tax_no": Field(null=True, max=20),
    "e_bill_taxpayer": Field("bool", default=False),
    "identity_number": Field(null=True, max=64),
    "remote_id": Field(null=True, max=255),
    "extra_field": Field("object", default={}),
    "retail_store": Field("int", null=True, ref="retail_stores"),
    "address_type": Field("choice", choices=("customer", "retail_store", "checkout_provider"), default="customer"),
}
ADDRESS_FILTERS = filters("hash_data", "customer", "email", "is_active", "remote_id", "pk__in", *DATES)
NOT_CONTENT = {"remote_id", "extra_field"}  # assumption: two ids of the channel for one place are one address
LEVEL_TABLES = {"city": "cities", "township": "townships", "district": "districts"}


@routes.get("/customers/", CUSTOMER_FILTERS)
def customers(call: Call) -> Row:
    return page(call, "customers", CUSTOMER_FILTERS, where=[Where("channel = ?", [call.channel["pk"]])])


@routes.post("/customers/", CUSTOMER)
def create_customer(call: Call) -> Row:
    said = clean(CUSTOMER, call.body, call.db)
    _check_customer(call, said)
    return shown("customers", call.db.insert("customers", said))


@routes.get("/customers/{pk:int}/")
def customer(call: Call) -> Row:
    return shown("customers", call.find("customers"))


@routes.patch("/customers/{pk:int}/", CUSTOMER)
def change_customer(call: Call) -> Row:
    pk = call.find("customers")["pk"]
    said = clean(CUSTOMER, call.body, call.db, partial=True)
    _check_customer(call, said, pk)
    call.db.update("customers", pk, said)
    return customer(call)


def _check_customer(call: Call, said: Row, pk: int = 0) -> None:
    """Assumption: within a channel an e-mail and a customer code are one customer's."""
    own_channel(call, said)
    for column in ("email", "channel_code"):
        if column in said and call.db.one(
            "customers", f"channel = ? AND {column} = ? AND pk <> ?", call.channel["pk"], said[column], pk
        ):
            text = f"A customer with this {column} already exists in the channel."
            raise duplicate(call.sandbox.switches, text, "customer_100_1")


def own_channel(call: Call, said: Row) -> None:
    """A body that names a channel has to name the one of its path."""
    if said.get("channel", call.channel["pk"]) not in {None, call.channel["pk"]}:
        raise invalid("channel", "The channel is not the one of the path.")


@routes.get("/addresses/", ADDRESS_FILTERS)
def addresses(call: Call) -> Row:
    mine = Where("customer IN (SELECT pk FROM customers WHERE channel = ?)", [call.channel["pk"]])
    return page(call, "addresses", ADDRESS_FILTERS, where=[mine])


@routes.post("/addresses/", ADDRESS)
def create_address(call: Call) -> Row:
    said = clean(ADDRESS, call.body, call.db)
    _check_address(call, said)
    said["hash_data"] = _digest(said)
    if call.db.one("addresses", "hash_data = ?", said["hash_data"]):
        text = f"hash_data:{said['hash_data']} This address already exists."
        raise duplicate(call.sandbox.switches, text, "address_hash_data_100_1")
    return shown("addresses", call.db.insert("addresses", {**said, "is_active": True}))


def _check_address(call: Call, said: Row) -> None:
    owner = call.db.get("customers", said["customer"])
    if owner is None or owner["channel"] != call.channel["pk"]:
        raise invalid("customer", f'Invalid pk "{said["customer"]}" - object does not exist.')
    for level, table in LEVEL_TABLES.items():
        place = call.db.get(table, said[level]) if said[level] is not None else None
        for parent, pk in parents(place or {}):
            if said[parent] != pk:
                raise invalid(level, f"The {level} is not in the {parent}.")
    if said["address_type"] == "retail_store" and said["retail_store"] is None:
        raise invalid("retail_store", NOT_NULL)


def _digest(said: dict[str, Any]) -> str:
    content = {name: _normal(value) for name, value in said.items() if name not in NOT_CONTENT}
    text = json.dumps(content, ensure_ascii=False, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _normal(value: Any) -> Any:
    """The same address in another spelling: blanks and case do not count, empty is none."""
    return (" ".join(fold(value).split()) or None) if isinstance(value, str) else value
