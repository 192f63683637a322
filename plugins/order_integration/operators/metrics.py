"""Metric names, and the one place that emits them (StatsD or OpenTelemetry, as Airflow is configured)."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any


class Metric(StrEnum):
    """Counters and gauges of this package."""

    RECORDS = "order_integration.records"  # by flow, channel, result
    QUARANTINED = "order_integration.quarantined"  # by flow, channel, reason
    RECONCILED = "order_integration.reconciled"  # by flow, channel, kind
    ALARMS = "order_integration.alarms"  # by flow, channel, kind


def count_records(flow: str, channel: str, table: Mapping[str, Any]) -> None:
    """A run's table as metrics."""
    from airflow.sdk.observability.stats import Stats  # noqa: PLC0415

    tags = {"flow": flow, "channel": channel}
    for result, count in table.items():
        if isinstance(count, int) and not isinstance(count, bool) and count:
            Stats.incr(Metric.RECORDS.value, count, tags={**tags, "result": result})
    for reason, count in table["reasons"].items():
        Stats.incr(Metric.QUARANTINED.value, count, tags={**tags, "reason": reason})


def count_reconciled(flow: str, channel: str, counts: Mapping[str, int]) -> None:
    """How many orders stand where, zeros as well: a gauge, since a difference is there until it is mended."""
    from airflow.sdk.observability.stats import Stats  # noqa: PLC0415

    for kind, count in counts.items():
        Stats.gauge(Metric.RECONCILED.value, count, tags={"flow": flow, "channel": channel, "kind": kind})


def count_alarm(flow: str, channel: str, kind: str) -> None:
    """Somebody was told."""
    from airflow.sdk.observability.stats import Stats  # noqa: PLC0415

    Stats.incr(Metric.ALARMS.value, tags={"flow": flow, "channel": channel, "kind": kind})
