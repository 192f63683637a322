"""The staging area itself, and what one attempt of a task leaves in it."""

import gzip
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import fsspec
from fsspec.implementations.local import LocalFileSystem

from order_integration.errors import ContractError
from order_integration.exact_json import dumps, loads
from order_integration.staging.private import create_own, own_folder, write_own

URL_VARIABLE = "ORDER_INTEGRATION_STAGING"

Row = dict[str, Any]


def key_digest(key: str) -> str:
    """A name for a key that is safe in a path, in a report and in a log."""
    return sha256(key.encode(errors="surrogatepass")).hexdigest()[:24]


@dataclass(frozen=True)
class Staging:
    """One staging area. Everything below goes through its few operations."""

    url: str

    @classmethod
    def deployed(cls) -> "Staging":
        """That of this deployment: ORDER_INTEGRATION_STAGING, or a folder below AIRFLOW_HOME.

        With more than one worker it has to be an object store that all of them reach.
        """
        home = os.path.expanduser(os.environ.get("AIRFLOW_HOME", "~/airflow"))  # noqa: PTH111
        return cls(os.environ.get(URL_VARIABLE, f"file://{home}/order_integration/staging"))

    def __post_init__(self) -> None:
        fs, root = fsspec.core.url_to_fs(self.url)
        object.__setattr__(self, "_fs", fs)
        object.__setattr__(self, "_root", root.rstrip("/"))

    def write(self, path: str, content: bytes) -> None:
        """Whole or not at all."""
        if isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            root = Path(self._root)  # type: ignore[attr-defined]
            own_folder(root)
            write_own(root, path, content)
        else:
            self._fs.pipe_file(f"{self._root}/{path}", content)  # type: ignore[attr-defined]

    def create(self, path: str, content: bytes) -> bool:
        """Like `write`, but False where there is such a file. Of several at once one is told True.

        An object store that knows no conditional write may tell it two.
        """
        full = f"{self._root}/{path}"  # type: ignore[attr-defined]
        if isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            root = Path(self._root)  # type: ignore[attr-defined]
            own_folder(root)
            return create_own(root, path, content)
        if self._fs.exists(full):  # type: ignore[attr-defined]
            return False
        try:
            self._fs.pipe_file(full, content, mode="create")  # type: ignore[attr-defined]
        except FileExistsError:
            return False
        return True

    def read(self, path: str) -> bytes | None:
        """The content, or None where there is no such file."""
        try:
            return bytes(self._fs.cat_file(f"{self._root}/{path}"))  # type: ignore[attr-defined]
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> list[str]:
        """Names of the files of a folder, sorted; a folder that is not there is empty."""
        try:
            found = self._fs.ls(f"{self._root}/{folder}", detail=False)  # type: ignore[attr-defined]
        except FileNotFoundError:
            return []
        names = (str(path).rstrip("/").rpartition("/")[2] for path in found)
        return sorted(name for name in names if not name.startswith("."))

    def remove(self, path: str) -> None:
        """Forget a file; one that is not there is forgotten already."""
        try:
            self._fs.rm_file(f"{self._root}/{path}")  # type: ignore[attr-defined]
        except FileNotFoundError:
            return

    def purge(self, folder: str, older_than: datetime) -> int:
        """Remove the files below a folder that were written before a moment; returns how many."""
        found = self._fs.find(f"{self._root}/{folder}")  # type: ignore[attr-defined]
        old = [path for path in found if _zoned(self._fs.modified(path)) < older_than]  # type: ignore[attr-defined]
        for path in old:
            self._fs.rm_file(path)  # type: ignore[attr-defined]
        if isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            _remove_empty(Path(f"{self._root}/{folder}"))  # type: ignore[attr-defined]
        return len(old)

    def purge_drafts(self, older_than: datetime) -> int:
        """Remove what a kill left half written, wherever it is: no other name of ours begins with a dot."""
        if not isinstance(self._fs, LocalFileSystem):  # type: ignore[attr-defined]
            return 0
        removed = 0
        for path in Path(self._root).rglob(".*"):  # type: ignore[attr-defined]
            with suppress(FileNotFoundError):  # somebody has just given it its own name
                found = path.lstat()
                if stat.S_ISREG(found.st_mode) and datetime.fromtimestamp(found.st_mtime, UTC) < older_than:
                    path.unlink()
                    removed += 1
        return removed


def _zoned(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _remove_empty(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            with suppress(OSError):  # not empty, or another task has just made it
                path.rmdir()


@dataclass(frozen=True)
class Folder:
    """What one attempt of a task leaves behind; `path` is what XCom carries."""

    staging: Staging
    path: str

    @classmethod
    def of_attempt(cls, staging: Staging, channel: str, flow: str, run: str, task: str) -> "Folder":
        """`run` (any characters) and `task` (with map index and try) name the attempt."""
        return cls(staging, f"runs/{channel}/{flow}/{key_digest(run)}/{task}")

    def write(self, name: str, rows: Iterable[Row]) -> int:
        """Write an NDJSON file; returns the number of rows."""
        lines = [dumps(row) for row in rows]
        self.staging.write(f"{self.path}/{name}.ndjson.gz", gzip.compress("\n".join(lines).encode(), 3, mtime=0))
        return len(lines)

    def earlier(self, task: str) -> "list[Folder]":
        """What other attempts of this run left under names that begin with `task`."""
        run = self.path.rpartition("/")[0]
        found = (Folder(self.staging, f"{run}/{name}") for name in self.staging.names(run) if name.startswith(task))
        return [folder for folder in found if folder.path != self.path]

    def names(self) -> list[str]:
        """The files, without their ending."""
        return [name.removesuffix(".ndjson.gz") for name in self.staging.names(self.path)]

    def read(self, name: str) -> Iterator[Row]:
        """The rows of a file.

        Raises ContractError when the file is gone.
        """
        content = self.staging.read(f"{self.path}/{name}.ndjson.gz")
        if content is None:
            raise ContractError("staging expired: clear the run from its fetch task", file=f"{self.path}/{name}")
        text = gzip.decompress(content).decode()
        return (loads(line) for line in text.split("\n") if line)
