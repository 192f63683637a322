"""What a channel has not been told yet: ``orders/updates/`` and ``cancellation_requests/updates/``.

Due is an object with an integration action that no open batch request processes, and that changed after the version the
action records, or failed and may be tried again by the channel's FAILED_INTEGRATION setting.
"""

from datetime import datetime, timedelta
from typing import Any

from sandbox.omnitron.api import Call, Routes
from sandbox.omnitron.batches import expire
from sandbox.omnitron.cancels import REQUEST_FILTERS
from sandbox.omnitron.database import Row, iso, shown
from sandbox.omnitron.listing import Filters, Where, conditions, page
from sandbox.omnitron.orders import ORDER_FILTERS

routes = Routes("updates", scoped=True)

OLDEST_FIRST = "modified_date, pk"


@routes.get("/orders/updates/", ORDER_FILTERS)
def order_updates(call: Call) -> Any:
    return _due(call, "orders", "order", ORDER_FILTERS)


@routes.get("/cancellation_requests/updates/", REQUEST_FILTERS)
def cancellation_request_updates(call: Call) -> Any:
    return _due(call, "cancellation_requests", "cancellationrequest", REQUEST_FILTERS)


def _due(call: Call, table: str, model: str, known: Filters) -> Any:
    if call.sandbox.switches.expire_open_batches_minutes is not None:
        with call.db.transaction():
            expire(call)
    where = [Where("channel = ?", [call.channel["pk"]]), _changed_or_retried(call, table, model)]
    if not call.sandbox.switches.updates_as_array:
        return page(call, table, known, where=where, order=None if call.parameter("sort") else OLDEST_FIRST)
    parts = [*where, *conditions(call, table, known)]
    params = [value for part in parts for value in part.params]
    rows = call.db.rows(table, " AND ".join(part.sql for part in parts), params, f"ORDER BY {OLDEST_FIRST}")
    return [shown(table, row) for row in rows]


def _changed_or_retried(call: Call, table: str, model: str) -> Where:
    retry, params = _retry_rule(call)
    sql = f"""EXISTS (SELECT 1 FROM integration_actions a
        WHERE a.channel = {table}.channel AND a.content_type = ? AND a.object_id = {table}.pk
        AND a.status IS NOT 'processing'
        AND (a.version_date IS NULL OR {table}.modified_date > a.version_date OR (a.status = 'error' AND {retry})))"""  # noqa: S608
    return Where(sql, [model, *params])


def _retry_rule(call: Call) -> tuple[str, list[Any]]:
    """Assumption: RETRY_INTERVAL is minutes since the last failure, EXPIRATION_DATE days since the first one."""
    setting = (call.channel["conf"] or {}).get("FAILED_INTEGRATION")
    rule = setting.get("DEFAULT") if isinstance(setting, dict) else None
    rule = rule if isinstance(rule, dict) else {}
    now = datetime.fromisoformat(call.db.clock.now())
    sql, params = ["1"], list[Any]()
    if (most := _number(rule, "MAX_RETRY_COUNT")) is not None:
        sql.append("a.failed_count <= ?")  # the first failure is no retry
        params.append(most)
    if (minutes := _number(rule, "RETRY_INTERVAL")) is not None:
        sql.append("a.last_failed_date <= ?")
        params.append(iso(now - timedelta(minutes=minutes)))
    if (days := _number(rule, "EXPIRATION_DATE")) is not None:
        sql.append("a.first_failed_date >= ?")
        params.append(iso(now - timedelta(days=days)))
    return " AND ".join(sql), params


def _number(rule: Row, name: str) -> float | None:
    value = rule.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return min(max(value, 0), 100_000)
