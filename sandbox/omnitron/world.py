"""The world that a test or a demonstration starts from: who sells what where. Its JSON is in sandbox/README.md.

What was said before changes nothing when it is said again, so that a restart keeps what was done meanwhile; what is
said differently takes effect.
"""

import hashlib
import json
import uuid
from collections.abc import Callable
from typing import Any

from sandbox.omnitron.api import Schema
from sandbox.omnitron.database import Database, Row
from sandbox.omnitron.errors import invalid
from sandbox.omnitron.fields import Field, Fields, clean
from sandbox.omnitron.places import LEVELS
from sandbox.omnitron.schema import CONTENT_TYPES

ID = Field("int", required=True, min=1)
NAME = Field(required=True, blank=False, max=255)
SECTIONS: dict[str, Fields] = {
    "users": {"username": NAME, "password": Field(required=True, blank=False, max=128)},
    "catalogs": {
        "id": ID, "name": NAME, "price_list": Field("int", null=True, min=1),
        "stock_list": Field("int", null=True, min=1),
    },
    "channels": {
        "id": ID, "name": NAME, "catalog": Field("int", null=True, ref="catalogs"),
        "is_active": Field("bool", default=True), "conf": Field("object", default={}),
        "schema": Field("object", default={}), "channel_type": Field(max=64, default="sales_channel"),
    },
    "cargos": {"erp_code": NAME, "name": NAME, "shipping_company": Field(max=64, default="")},
    "cancellation_reasons": {
        "id": ID, "subject": Field(required=True, blank=False, max=100),
        "cancellation_type": Field("choice", choices=("cancel", "refund"), default="cancel"),
        "is_active": Field("bool", default=True),
    },
    "retail_stores": {"erp_code": NAME, "name": NAME, "city": Field(null=True, max=255)},
    "mappings": {
        "level": Field("choice", required=True, blank=False, choices=tuple(LEVELS)),
        "channel": Field("int", required=True, ref="channels"), "code": NAME, "name": NAME,
        "city": Field(null=True, max=255), "township": Field(null=True, max=255),
    },
    "products": {
        "channel": Field("int", required=True, ref="channels"), "remote_id": NAME, "sku": NAME,
        "name": Field(null=True, max=255),
    },
}  # fmt: skip
WORLD_SCHEMA = Schema(type="object", properties={name: {"type": "array", "items": {}} for name in SECTIONS})


def tell(db: Database, world: dict[str, Any]) -> dict[str, int]:
    """Makes the world so; answers how many entries were news, section by section."""
    if unknown := sorted(set(world) - set(SECTIONS)):
        raise invalid(unknown[0][:100], f"There is no such section; there are {', '.join(SECTIONS)}.")
    news = {}
    for section in SECTIONS:  # in this order: a channel needs its catalog
        entries = world.get(section, [])
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise invalid(section, "Expected a list of dictionaries.")
        news[section] = sum(_tell_entry(db, section, entry) for entry in entries)
    return news


def _tell_entry(db: Database, section: str, entry: dict[str, Any]) -> bool:
    said = clean(SECTIONS[section], entry, db)
    key = json.dumps([said[name] for name in KEYS[section]], ensure_ascii=False)
    digest = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    known = db.one("world_entries", "kind = ? AND key = ?", section, key)
    if known and known["digest"] == digest:
        return False
    APPLY.get(section, _save)(db, section, said)
    if known:
        db.update("world_entries", known["pk"], {"digest": digest})
    else:
        db.insert("world_entries", {"kind": section, "key": key, "digest": digest})
    return True


def _upsert(db: Database, table: str, where: str, params: list[Any], values: Row) -> int:
    known = db.one(table, where, *params)
    if known is None:
        return int(db.insert(table, values)["pk"])
    db.update(table, known["pk"], {key: value for key, value in values.items() if key != "pk"})
    return int(known["pk"])


def _save(db: Database, section: str, said: Row) -> None:
    keys = ["pk" if name == "id" else name for name in KEYS[section]]
    values = {"pk" if name == "id" else name: value for name, value in said.items()}
    if section == "cancellation_reasons":
        values |= {"order": 100, "uuid": str(uuid.uuid4())}
    where = " AND ".join(f"{key} = ?" for key in keys)
    _upsert(db, section, where, [values[key] for key in keys], values)


def _save_catalog(db: Database, section: str, said: Row) -> None:
    for table in ("price_lists", "stock_lists"):
        pk = said[table.removesuffix("s")]
        if pk is not None and not db.exists(table, pk):
            db.insert(table, {"pk": pk, "name": f"{said['name']} {table}"})
    _save(db, section, {**said, "extra_price_lists": [], "extra_stock_lists": []})


def _save_store(db: Database, section: str, said: Row) -> None:
    city = _location(db, {"level": "city", "name": said["city"]}) if said["city"] else None
    _save(db, section, {**said, "city": city, "is_active": True, "channels": [], "store_hours": []})


def _save_mapping(db: Database, _section: str, said: Row) -> None:
    values = {
        "level": said["level"],
        "object_id": _location(db, said),
        "integration_type": "sales_channel",
        "code": f"{said['channel']}_{said['code']}",
    }
    where = "level = ? AND integration_type = ? AND code = ?"
    _upsert(db, "location_mappings", where, [values[key] for key in ("level", "integration_type", "code")], values)


def _save_product(db: Database, _section: str, said: Row) -> None:
    product = {"sku": said["sku"], "name": said["name"] or said["sku"], "is_active": True}
    pk = _upsert(db, "products", "sku = ?", [said["sku"]], product)
    link = {"channel": said["channel"], "content_type": "product", "object_id": pk}
    values = {**link, "remote_id": said["remote_id"], "status": "success", "version_date": db.clock.now()}
    where = "channel = ? AND content_type = ? AND object_id = ?"
    _upsert(db, "integration_actions", where, list(link.values()), values)


def _location(db: Database, said: Row) -> int:
    """The one location of this name, in the city and the township where they are named."""
    where, params = "name = ?", [said["name"]]
    for level in ("city", "township"):
        if said.get(level) and level != said["level"]:
            where += f" AND {level} IN (SELECT pk FROM {LEVELS[level]} WHERE name = ?)"  # noqa: S608
            params.append(said[level])
    if ("city" in where and said["level"] == "country") or ("township" in where and said["level"] != "district"):
        raise invalid(said["level"], "It does not lie in a city or a township.")
    found = db.rows(LEVELS[said["level"]], where, params, "LIMIT 2")
    if len(found) != 1:
        raise invalid(
            "name", f"{len(found) or 'no'} {said['level']} of the name {said['name']!r}; exactly one is needed."
        )
    return int(found[0]["pk"])


KEYS: dict[str, tuple[str, ...]] = {
    "users": ("username",),
    "catalogs": ("id",),
    "channels": ("id",),
    "cargos": ("erp_code",),
    "cancellation_reasons": ("id",),
    "retail_stores": ("erp_code",),
    "mappings": ("level", "channel", "code"),
    "products": ("channel", "remote_id"),
}
APPLY: dict[str, Callable[[Database, str, Row], None]] = {
    "catalogs": _save_catalog,
    "retail_stores": _save_store,
    "mappings": _save_mapping,
    "products": _save_product,
}


def add_content_types(db: Database) -> None:
    if not db.count("content_types"):
        for model, (pk, app_label, _) in CONTENT_TYPES.items():
            db.insert("content_types", {"pk": pk, "app_label": app_label, "model": model})
