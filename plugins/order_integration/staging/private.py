"""Folders and files of this machine for their owner alone, whatever the umask, and whoever was there before."""

import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath

from order_integration.errors import ConfigurationError, ContractError

OWNER_ONLY = 0o700
EVERYBODY_WRITES = 0o002
ROOT_USER = 0  # reads everything anyway; volumes are mounted as its own


def own_folder(folder: Path) -> None:
    """Make the folder that a setting names; one that was there is closed to others.

    Raises ConfigurationError where it can't be: in a folder that everybody writes in, anything may be planted.
    """
    for one in [*reversed(folder.parents), folder]:  # `parents=True` would make those above with everybody's rights
        if not one.exists():
            one.mkdir(mode=OWNER_ONLY, exist_ok=True)
    found = folder.stat()
    if found.st_uid not in {os.geteuid(), ROOT_USER} or found.st_mode & EVERYBODY_WRITES:
        raise ConfigurationError(f"{folder} is somebody else's, or everybody may write in it: name a folder of our own")
    if found.st_uid == os.geteuid():
        _close(folder, found)


def write_own(root: Path, name: str, content: bytes) -> None:
    """Write `<root>/<name>` whole or not at all; all folders below `root` are ours.

    Raises ContractError where somebody put something else in their place.
    """
    path = _below(root, name)
    _draft(path, content).replace(path)


def create_own(root: Path, name: str, content: bytes) -> bool:
    """The same, but False where there is such a file; of several at once one is told True."""
    path = _below(root, name)
    draft = _draft(path, content)
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return False
    finally:
        draft.unlink()
    return True


def _below(root: Path, name: str) -> Path:
    parts = PurePosixPath(name).parts
    if not parts or ".." in parts or parts[0] == "/":
        raise ContractError("a name that leads out of its folder")
    folder = root
    for part in parts[:-1]:
        folder /= part
        _own_below(folder)
    return folder / parts[-1]


def _draft(path: Path, content: bytes) -> Path:
    # A name that nobody else takes: workers in containers of their own may have one pid, and write the same file.
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, 0o600)  # the umask may have taken too much
        file.write(content)
    return Path(draft)


def _own_below(folder: Path) -> None:
    with suppress(FileExistsError):  # a link that leads nowhere, too
        folder.mkdir(mode=OWNER_ONLY)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise ContractError("a folder of ours is a link, or somebody else's: a person must look", folder=folder)
    _close(folder, found)


def _close(folder: Path, found: os.stat_result) -> None:
    if stat.S_IMODE(found.st_mode) != OWNER_ONLY:
        folder.chmod(OWNER_ONLY)
