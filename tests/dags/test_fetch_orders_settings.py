"""A wrong setting is said at once, by name, before the first write, and no retry repeats it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conftest import BackOffice
from tests.dags.runs import Run, start
from tests.dags.test_fetch_orders_runs import DAY, writes
from tests.shelf import order

pytestmark = pytest.mark.airflow


@dataclass
class Attempt:
    """A run that was told to fail in fetch, and what it said."""

    dag: Any
    back_office: BackOffice
    capfd: pytest.CaptureFixture[str]

    def __call__(self) -> str:
        run = start(self.dag, conf=DAY)
        said = self.capfd.readouterr().out
        assert run.state == "failed"
        assert run.states()["fetch"] == "failed"
        assert run.tries("fetch") == 1
        assert run.states()["settle"] == "failed"
        assert writes(self.back_office) == []
        found = re.search(r"AirflowFailException: (.*)", said)
        assert found, "no sentence"
        return found[1]


@pytest.fixture
def sentence(
    shelf_dag: Any, connections: Any, back_office: BackOffice, shelf: Any, capfd: pytest.CaptureFixture[str]
) -> Attempt:
    shelf(order("1"))
    return Attempt(shelf_dag, back_office, capfd)


@pytest.mark.parametrize("conn_id", ["omnitron", "shelf"])
def test_a_missing_connection(sentence: Attempt, conn_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"AIRFLOW_CONN_{conn_id.upper()}")

    assert f"there is no Airflow connection '{conn_id}': create it with type HTTP" in sentence()


@pytest.mark.parametrize("conn_id", ["omnitron", "shelf"])
def test_a_connection_of_another_type(sentence: Attempt, conn_id: str, connections: Callable[..., None]) -> None:
    connections(conn_id, conn_type="postgres")

    assert f"connection '{conn_id}' is of type 'postgres'; it must be HTTP" in sentence()


@pytest.mark.parametrize("missing", ["login", "password"])
def test_a_connection_without_who_or_how(sentence: Attempt, missing: str, connections: Callable[..., None]) -> None:
    connections("omnitron", **{missing: None})

    assert "connection 'omnitron' has no login or no password" in sentence()


@pytest.mark.parametrize("conn_id", ["omnitron", "shelf"])
def test_plain_http_to_another_machine(sentence: Attempt, conn_id: str, connections: Callable[..., None]) -> None:
    connections(conn_id, host="http://omnitron.example")

    assert f"connection {conn_id}: http:// would send passwords" in sentence()


@pytest.mark.parametrize("conn_id", ["omnitron", "shelf"])
def test_a_connection_without_a_host(sentence: Attempt, conn_id: str, connections: Callable[..., None]) -> None:
    connections(conn_id, host="", port=None)

    assert f"connection {conn_id}: a base URL like https://host is needed" in sentence()


def test_a_wrong_password_costs_one_login_however_often_it_runs(
    sentence: Attempt, connections: Callable[..., None], back_office: BackOffice
) -> None:
    connections("omnitron", password="not-the-password")

    first, second = sentence(), sentence()

    assert first == second
    assert "Omnitron refuses user name or password of its Airflow connection (user 'integration'" in first
    assert "not-the-password" not in first
    assert len(back_office.calls("POST", "/auth/login/")) == 1


def test_a_corrected_password_is_tried_at_once(
    sentence: Attempt, connections: Callable[..., None], shelf_dag: Any
) -> None:
    connections("omnitron", password="not-the-password")
    sentence()

    connections("omnitron")

    assert start(shelf_dag, conf=DAY).state == "success"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({"omnitron_channel_id": 99}, "Omnitron has no channel 99: correct omnitron_channel_id"),
        ({"omnitron_channel_id": 3}, "channel 3 is not active in Omnitron: activate it there, or pause the DAG"),
        ({"catalog_id": 99}, "Omnitron has no catalog 99: correct catalog_id"),
        ({"connector": "teleprinter"}, "channel shelf: there is no connector 'teleprinter'"),
        ({"connector": "tests.shelf:Cupboard"}, "channel shelf: there is no connector 'tests.shelf:Cupboard'"),
        ({"connector": "tests.shelf:order"}, "channel shelf: 'tests.shelf:order' is not a Connector"),
        ({"settings": {"colour": "red"}}, "channel shelf, settings: colour: Extra inputs are not permitted"),
        ({"connector": "marketplace", "settings": {"number_prefix": 7}}, "channel shelf, settings: number_prefix: "),
        ({"catalog_id": None}, "channel shelf: catalog_id: Input should be a valid integer"),
    ],
    ids=[
        "channel", "asleep", "catalog", "connector", "class", "no connector", "setting", "setting of a connector",
        "entry",
    ],
)  # fmt: skip
def test_a_wrong_entry_of_the_channel_file(
    sentence: Attempt, configure: Callable[..., None], own: dict[str, Any], expected: str
) -> None:
    configure(**own)

    assert expected in sentence()


def test_a_channel_that_left_the_file(sentence: Attempt, configure: Callable[..., None], tmp_path: Any) -> None:
    configure()
    (tmp_path / "channels.yaml").write_text("channels: {}")

    assert "channel shelf is not in the channel file any more" in sentence()


def test_no_channel_file_at_all(sentence: Attempt, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDER_INTEGRATION_CHANNELS", str(tmp_path / "nowhere.yaml"))

    assert "nowhere.yaml: set ORDER_INTEGRATION_CHANNELS" in sentence()


def test_once_the_setting_is_right_a_clear_of_the_same_run_brings_everything(
    shelf_dag: Any, connections: Any, configure: Callable[..., None], back_office: BackOffice, shelf: Any
) -> None:
    shelf(order("1"))
    configure(catalog_id=99)
    run: Run = start(shelf_dag, conf=DAY)
    assert run.state == "failed"

    configure()
    run.clear("fetch").go_on()

    assert run.state == "success"
    assert set(back_office.linked("order")) == {"1"}
