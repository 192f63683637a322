"""What the existing client needs before it can be imported: classes that its library lacks, a cache, our address.

Runs in the client's own environment, not in ours.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from omnisdk.omnitron import endpoints, models

SETTINGS = {
    "OMNITRON_MODULE": "channel_app.omnitron.integration",
    "CHANNEL_MODULE": "channel",
    "OMNITRON_URL": "https://replaced-below.invalid/",  # its settings take nothing but https
    "CACHE_DATABASE_INDEX": "0",
}
LENT = {
    "ChannelOperationalEventEndpoint": ("channel/{channel_id}/operational_events", "OperationalEvent"),
    "ChannelBulkCategoryAttributeEndpoint": ("channel/{channel_id}/bulk_category_attributes", "BulkCategoryAttribute"),
    "ChannelBulkAttributeEndpoint": ("channel/{channel_id}/bulk_attributes", "BulkAttribute"),
}


class Cache:
    """As much of Redis as the client uses; lives as long as the process."""

    kept: dict[str, bytes] = {}  # noqa: RUF012

    def get(self, key: str) -> bytes | None:
        return self.kept.get(key)

    def set(self, key: str, value: Any, *_: Any) -> None:
        self.kept[key] = str(value).encode()


def lend() -> None:
    """Put the missing classes where they are looked for, and set what is read while modules are imported."""
    for name, (path, model) in LENT.items():
        setattr(models, model, type(model, (models.BaseModel,), {}))
        setattr(endpoints, name, type(name, (endpoints.OmnitronApiEndpoint,), {"__init__": _opened(path, model)}))
    os.environ.update(SETTINGS)

    from channel_app.core import clients, settings  # noqa: PLC0415 - reads the environment

    clients.RedisClient = Cache
    settings.OMNITRON_URL = os.environ["JUDGE_URL"]


def _opened(path: str, model: str) -> Callable[..., None]:
    def opened(self: Any, *args: Any, **own: Any) -> None:
        endpoints.OmnitronApiEndpoint.__init__(self, *args, endpoint=path, model=getattr(models, model), **own)

    return opened


def story() -> dict[str, Any]:
    """What the channel has, as the test wrote it down."""
    return json.loads(Path(os.environ["JUDGE_STORY"]).read_text("utf-8"))
