"""An Airflow connection of type `http`, as this package reads it.

Host (with or without scheme; https where none is given), port, login, password. Extra holds no settings of ours: the
http provider would send unknown keys of it as headers.
"""

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowNotFoundException

from order_integration.errors import ConfigurationError


def connection(conn_id: str) -> Connection:
    """The connection.

    Raises ConfigurationError where it is missing, or is of another type.
    """
    try:
        return _checked(BaseHook.get_connection(conn_id), conn_id)
    except AirflowNotFoundException as error:
        raise _missing(conn_id) from error


async def connection_of_trigger(conn_id: str) -> Connection:
    """The same where nothing may block: in a trigger."""
    try:
        return _checked(await BaseHook.aget_connection(conn_id), conn_id)
    except AirflowNotFoundException as error:
        raise _missing(conn_id) from error


def _missing(conn_id: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no Airflow connection {conn_id!r}: create it with type HTTP, host, login and password"
    )


def _checked(found: Connection, conn_id: str) -> Connection:
    if found.conn_type not in {"http", "https"}:
        raise ConfigurationError(f"connection {conn_id!r} is of type {found.conn_type!r}; it must be HTTP")
    return found


def base_url(found: Connection) -> str:
    """Its address: https unless the connection says otherwise."""
    host = found.host or ""
    scheme, separator, rest = host.partition("://")
    address = host if separator else f"{found.schema or 'https'}://{host}"
    path = ""
    if separator and "/" in rest:  # a port belongs before the path
        name, _, path = rest.partition("/")
        address, path = f"{scheme}://{name}", f"/{path}"
    return f"{address}:{found.port}{path}" if found.port else address + path
