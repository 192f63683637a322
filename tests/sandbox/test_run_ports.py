import socket
from collections.abc import Iterator

import pytest

from sandbox.run import ports
from sandbox.run.errors import PortError


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_named_with_the_variable_that_changes_it(taken: int) -> None:
    chosen = ports.chosen({"OMNITRON_PORT": str(taken)})
    with pytest.raises(PortError, match=f"Port {taken} for the sandbox Omnitron is taken.*OMNITRON_PORT=") as error:
        chosen.omnitron.check_free()
    assert error.value.exit_code == 2


def test_a_port_that_was_just_left_is_free(taken: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()):
        left, _ = server.accept()
        left.close()
        port = server.getsockname()[1]
    assert ports.is_free(port)


def test_a_server_that_runs_elsewhere_is_named_with_its_port() -> None:
    with pytest.raises(PortError, match="Airflow already runs on port 9999: set AIRFLOW_PORT=9999"):
        ports.chosen({}).airflow.check_same(9999)


@pytest.mark.parametrize("text", ["0", "65536", "http", "-1", "٣"])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(PortError, match="MARKETPLACE_PORT"):
        ports.chosen({"MARKETPLACE_PORT": text})


def test_one_port_for_two_is_refused() -> None:
    with pytest.raises(PortError, match="OMNITRON_PORT and MARKETPLACE_PORT are both 8802"):
        ports.chosen({"OMNITRON_PORT": "8802"})


def test_an_empty_variable_means_the_default() -> None:
    assert ports.chosen({"AIRFLOW_PORT": ""}).airflow.number == 8080
