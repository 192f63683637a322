"""What holds people's data, or a token, is its owner's alone: whatever the umask, whatever was there before."""

import asyncio
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from order_integration.errors import ConfigurationError, ContractError
from order_integration.omnitron.shared_token import SharedToken
from order_integration.staging import Begun, Folder, OpenBatches, OwedLinks, Said, Staging, Waiting
from tests.conftest import PASSWORD, USER, BackOffice

NOW = "2026-01-05T12:00:00+00:00"
UMASKS = [0o000, 0o022, 0o077, 0o777]


@pytest.fixture
def area(tmp_path: Path) -> Path:
    return tmp_path / "there" / "staging"


@pytest.fixture(params=UMASKS, ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def modes(root: Path) -> tuple[set[int], set[int]]:
    """Of folders, and of files."""
    found = [root, *root.rglob("*")]
    folders = {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()}
    return folders, {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()}


def fill(area: Path) -> None:
    """Something in every folder that has a class of its own."""
    staging = Staging(f"file://{area}")
    Folder.of_attempt(staging, "shelf", "fetch_orders", "run", "fetch-0-1").write("page", [{"name": "Ayşe"}])
    for waiting in (Waiting.quarantine, Waiting.parked):
        box = waiting(staging, "shelf", "fetch_orders")
        box.put("1", {"reason": "refused", "record": {"name": "Ayşe"}}, run="run", now=NOW)
        box.close("1", "superseded", now=NOW, read_at=NOW)
    OpenBatches(staging, "shelf", "update_orders").register(1, {"run": "run"})
    OwedLinks(staging, "shelf", "fetch_orders").owe("run", [{"pk": 1}])
    begun = Begun(staging, "shelf", "fetch_orders")
    begun.begin("1", {})
    begun.made("1", 1)
    Said(staging, "shelf", "fetch_and_update_order_items").put("1", {"status": "550"})
    staging.create("alarms/shelf/fetch_orders/1.json", b"{}")


def test_all_of_staging_is_its_owner_s_whatever_the_umask(area: Path, umask: int) -> None:
    area.parent.mkdir(mode=0o700)
    area.parent.chmod(0o700)

    fill(area)

    assert modes(area) == ({0o700}, {0o600})


def test_folders_that_were_there_before_are_closed(area: Path) -> None:
    for folder in (area, area / "quarantine", area / "quarantine" / "shelf", area / "runs"):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        folder.chmod(0o755)

    fill(area)

    assert modes(area) == ({0o700}, {0o600})


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_staging_folder_in_which_everybody_writes_is_refused(area: Path, mode: int) -> None:
    area.mkdir(parents=True)
    area.chmod(mode)

    with pytest.raises(ConfigurationError, match="name a folder of our own"):
        fill(area)
    assert list(area.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
@pytest.mark.parametrize(("given", "error"), [("", ConfigurationError), ("quarantine", ContractError)])
def test_a_folder_that_is_somebody_else_s_is_refused(area: Path, given: str, error: type[Exception]) -> None:
    (area / given).mkdir(parents=True)
    os.chown(area / given, 12345, 12345)

    with pytest.raises(error, match="somebody else's"):
        fill(area)


@pytest.mark.parametrize("planted", ["quarantine", "quarantine/shelf", "quarantine/shelf/fetch_orders"])
def test_a_link_in_the_place_of_a_folder_is_refused(area: Path, tmp_path: Path, planted: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (area / planted).parent.mkdir(parents=True)
    (area / planted).symlink_to(elsewhere)
    quarantine = Waiting.quarantine(Staging(f"file://{area}"), "shelf", "fetch_orders")

    with pytest.raises(ContractError, match="a person must look"):
        quarantine.put("1", {"reason": "refused", "record": {"name": "Ayşe"}}, run="run", now=NOW)
    assert list(elsewhere.iterdir()) == []


def test_a_link_in_the_place_of_a_file_is_replaced_and_its_target_left_alone(area: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (area / "runs").mkdir(parents=True)
    (area / "runs" / "page").symlink_to(victim)
    staging = Staging(f"file://{area}")

    staging.write("runs/page", b"theirs")

    assert (victim.read_text(), staging.read("runs/page")) == ("mine", b"theirs")
    assert not (area / "runs" / "page").is_symlink()


def test_writers_of_one_file_at_the_same_time_write_it_whole(area: Path) -> None:
    staging = Staging(f"file://{area}")
    contents = [letter * 200_000 for letter in (b"a", b"b", b"c", b"d")]

    def write(content: bytes) -> None:  # of one pid, as workers in containers of their own may be
        for _ in range(50):
            staging.write("runs/page", content)

    with ThreadPoolExecutor(len(contents)) as writers:
        list(writers.map(write, contents))

    assert staging.read("runs/page") in contents
    assert [path.name for path in (area / "runs").iterdir()] == ["page"]


def test_housekeeping_removes_nothing_behind_a_link(area: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "victim").write_text("mine")
    (area / "runs").mkdir(parents=True)
    (area / "runs" / "planted").symlink_to(elsewhere)

    Staging(f"file://{area}").purge("runs", datetime.now(UTC) + timedelta(days=1))

    assert (elsewhere / "victim").read_text() == "mine"


@pytest.mark.parametrize("name", ["../out", "runs/../../out", "/etc/out", ""])
def test_no_name_leads_out_of_staging(area: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ContractError, match="leads out"):
        Staging(f"file://{area}").write(name, b"theirs")
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def headers(folder: Path, omnitron_url: str) -> dict[str, str]:
    return asyncio.run(SharedToken(f"{omnitron_url}/api/v1/", USER, PASSWORD, folder).headers())


def test_the_token_and_its_lock_are_their_owner_s_whatever_the_umask(
    back_office: BackOffice, omnitron_url: str, tmp_path: Path, umask: int
) -> None:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)

    assert headers(folder, omnitron_url)["Authorization"].startswith("Token ")

    assert {path.suffix for path in folder.iterdir()} == {".json", ".lock"}
    folders, files = modes(folder)
    assert folders == {0o700}
    assert all(mode & 0o077 == 0 for mode in files)


def test_a_token_is_not_left_where_everybody_writes(back_office: BackOffice, omnitron_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    folder.mkdir()
    folder.chmod(0o1777)

    with pytest.raises(ConfigurationError, match="name a folder of our own"):
        headers(folder, omnitron_url)
    assert list(folder.iterdir()) == []
    assert back_office.calls("POST", "auth/login/") == []
