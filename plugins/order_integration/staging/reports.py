"""What runs found out, for people to look up: one file a run, ids and codes alone."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from order_integration.exact_json import dumps, loads
from order_integration.staging.area import Row, Staging, key_digest

ENDING = ".ndjson"
TOLD = "told.json"


@dataclass(frozen=True)
class ReportFiles:
    """The reports of one flow and channel. A name begins with its run's time, so the last one is the latest."""

    staging: Staging
    channel: str
    flow: str

    def name(self, at: datetime, run: str) -> str:
        """The same in every try of a run."""
        return f"{at.astimezone(UTC):%Y-%m-%dT%H%M%SZ}-{key_digest(run)[:8]}{ENDING}"

    def write(self, name: str, rows: Iterable[Row]) -> str:
        """Returns the path below staging. Not compressed: people open it."""
        path = f"{self._folder}/{name}"
        self.staging.write(path, "".join(f"{dumps(row)}\n" for row in rows).encode())
        return path

    def read(self, name: str) -> list[Row] | None:
        """The rows; None: there is no such report (any more)."""
        content = self.staging.read(f"{self._folder}/{name}")
        return None if content is None else [loads(line) for line in content.decode().split("\n") if line]

    def told(self) -> list[Row]:
        """What people were told of: not what is in a report, since its run may have been killed before it told."""
        content = self.staging.read(f"{self._folder}/{TOLD}")
        return loads(content) if content else []

    def keep_told(self, rows: Iterable[Row]) -> None:
        """Instead of what was known."""
        self.staging.write(f"{self._folder}/{TOLD}", dumps(list(rows)).encode())

    @property
    def _folder(self) -> str:
        return f"reports/{self.channel}/{self.flow}"
