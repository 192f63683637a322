"""The steps of `reconcile_orders`: compare both sides, have what is missing fetched, say what was found."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

from order_integration.channels.registry import ChannelConfig
from order_integration.flows import FETCH_ORDERS
from order_integration.operators.alarms import Alarm, AlarmKind, tell
from order_integration.operators.base import FlowOperator, RedRun, now, run_key, staging
from order_integration.operators.flow_dag import dag_id
from order_integration.operators.metrics import count_reconciled
from order_integration.staging import Fresh, ReportFiles, key_digest

if TYPE_CHECKING:
    from airflow.sdk import Context

COMPARE = "compare"
DAYS = "days"  # a param


class Compare(FlowOperator):
    """Read both sides; write the report; park what is missing, which the next run of `fetch_orders` begins with."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns counts, the window that was compared, the report's name, and how many are too many to be fetched."""
        from order_integration.flows.reconcile_orders import park_missing, reconcile  # noqa: PLC0415
        from order_integration.flows.reconciliation import Finding, lasting  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        run, days, at = key_digest(run_key(context)), int(context["params"][DAYS]), now()
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            result = await reconcile(
                omnitron, connector, staging(), at, days=days, read_until=_read_until(channel), run=run
            )
        files = ReportFiles(staging(), channel.name, self.flow)
        name = files.name(context["dag_run"].run_after, run)
        path = files.write(name, (one.as_row() for one in result.findings))
        files.keep_told(one.as_row() for one in lasting(map(Finding.from_row, files.told()), result))
        wanted = [one for one in result.findings if one.is_fetched] if channel.reconcile_fetches_missing else []
        left = len(wanted) if len(wanted) > channel.limits.quarantine_floor else 0
        parked = park_missing(staging(), channel.name, [] if left else wanted, run=run, now=at)
        window = {"window_start": result.window.start.isoformat(), "window_end": result.window.end.isoformat()}
        self.log.info("%d orders compared, %d parked to be fetched; report: %s", result.compared, len(parked), path)
        return {"counts": result.counts(), "parked": len(parked), "left": left, "report": path, "name": name, **window}


class FetchMissing(FlowOperator):
    """Start a run of `fetch_orders` that reads nothing but what waits. Without it the next one does the same."""

    def execute(self, context: "Context") -> None:
        """Skipped where nothing was parked."""
        if not context["ti"].xcom_pull(task_ids=COMPARE)["parked"]:
            raise AirflowSkipException("nothing to fetch")
        # What TriggerDagRunOperator does, whose import takes longer than this file may to be parsed.
        raise DagRunTriggerException(
            trigger_dag_id=dag_id(FETCH_ORDERS, self.channel),
            dag_run_id=f"{self.flow}__{context['ti'].run_id}",  # a second try starts no second run
            conf={"waiting_only": True},
            reset_dag_run=False,
            skip_when_already_exists=True,
            wait_for_completion=False,
            allowed_states=[],
            failed_states=[],
            poke_interval=60,
            deferrable=False,
        )

    async def run_step(self, context: "Context", channel: ChannelConfig) -> None:
        """Nothing to wait for."""


class Report(FlowOperator):
    """A table in the log, metrics, an alarm for what is new; red only where the channel wants it."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, int]:
        """Returns the counts."""
        from order_integration.flows.reconciliation import (  # noqa: PLC0415
            DIFFERENCES,
            Finding,
            Kind,
            as_table,
            news,
            summary,
        )

        said = context["ti"].xcom_pull(task_ids=COMPARE)
        files = ReportFiles(staging(), channel.name, self.flow)
        rows = files.read(said["name"])
        if rows is None:
            raise RedRun("the report has expired: clear the run from compare")
        found = [Finding.from_row(row) for row in rows]
        table = as_table(said["counts"], found)
        where = f"Which orders: {said['report']}{_left(channel, said)}"
        self.log.info("%s of %s\n%s\n%s", self.flow, channel.name, table, where)
        count_reconciled(self.flow, channel.name, said["counts"])
        known = [Finding.from_row(row) for row in files.told()]
        is_bad = any(one.kind in {Kind.EXTRA, Kind.DIFFERENT, Kind.TWICE} for one in found)
        is_red = is_bad and channel.reconcile_turns_red  # then the run's own alarm says it
        if (new := news(found, known)) and not is_red:
            # A second try says the same; one after a Clear from compare may have found others.
            window = f"{said['name']} {key_digest(repr([one.identity for one in new]))[:8]}"
            sentence = f"new since the last report: {summary(new)}. {where}"
            alarm = Alarm(self.flow, channel.name, AlarmKind.DIFFERENCES, window, sentence, context["ti"].log_url)
            await asyncio.to_thread(tell, alarm)
        files.keep_told(one.as_row() for one in (*known, *new))
        if is_red:
            context["ti"].xcom_push(key="return_value", value=said["counts"])
            differing = summary(one for one in found if one.kind in DIFFERENCES)
            raise RedRun(f"the channel and Omnitron do not agree: {differing}. {where}")
        return dict(said["counts"])


def _read_until(channel: ChannelConfig) -> datetime:
    """How far `fetch_orders` has come: what it has still to read, after a pause or an outage, is not missing."""
    until = Fresh(staging(), channel.name, FETCH_ORDERS).get().get("until")
    return datetime.fromisoformat(until) if until else channel.active_from


def _left(channel: ChannelConfig, said: Mapping[str, Any]) -> str:
    """How to have fetched what was too much to be fetched without a person's yes."""
    if not said["left"]:
        return ""
    return (
        f". None of the {said['left']} missing ones is fetched, since more than {channel.limits.quarantine_floor} "
        f"(quarantine_floor) are: if Omnitron shall have them, trigger {dag_id(FETCH_ORDERS, channel.name)} with "
        f"window_start {said['window_start']} and window_end {said['window_end']}"
    )
