"""Nothing of ours can be reached without Airflow's own log-in, for there is nothing of ours to be reached."""
# ruff: noqa: PLC0415 - Airflow reads its home when it is imported: tests.dags.conftest has to name it before.

from typing import Any

import pytest

from tests.dags.conftest import airflow_db

__all__ = ["airflow_db"]

pytestmark = pytest.mark.airflow


def test_the_plugin_brings_nothing_but_its_name() -> None:
    from airflow.plugins_manager import AirflowPlugin

    from order_integration.plugin import OrderIntegrationPlugin

    own = {name for name in vars(OrderIntegrationPlugin) if not name.startswith("__")}
    assert own == {"name"}
    brought = {name: value for name, value in vars(AirflowPlugin).items() if isinstance(value, list)}
    assert len(brought) > 5
    assert {name: getattr(OrderIntegrationPlugin, name) for name in brought} == {name: [] for name in brought}


def routes(app: Any) -> set[str]:
    """Of the application and of what is mounted in it."""
    own = {getattr(route, "path", "") for route in app.routes}
    mounted = {route.path + path for route in app.routes if hasattr(route, "app") for path in _below(route.app)}
    return own | mounted


def _below(app: Any) -> set[str]:
    return routes(app) if hasattr(app, "routes") else set()


def test_the_api_server_has_no_route_of_ours(airflow_db: None) -> None:
    from airflow import plugins_manager
    from airflow.api_fastapi.app import create_app

    found = plugins_manager.get_fastapi_plugins()
    assert found == ([], [])
    known = routes(create_app(apps="core"))

    assert any(path.endswith("/dags/{dag_id}/dagRuns") for path in known)
    assert {path for path in known if "order_integration" in path or "order-integration" in path} == set()
