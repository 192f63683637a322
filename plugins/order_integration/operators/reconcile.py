"""The steps of `reconcile_orders`: compare both sides, have what is missing fetched, say what was found."""

import asyncio
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException, DagRunTriggerException

from order_integration.channels.registry import ChannelConfig
from order_integration.operators.alarms import Alarm, AlarmKind, tell
from order_integration.operators.base import FlowOperator, RedRun, now, run_key, staging
from order_integration.operators.flow_dag import dag_id
from order_integration.operators.metrics import count_reconciled
from order_integration.staging import ReportFiles, key_digest

if TYPE_CHECKING:
    from airflow.sdk import Context

COMPARE = "compare"
DAYS = "days"  # a param
FETCH_ORDERS = "fetch_orders"


class Compare(FlowOperator):
    """Read both sides; write the report; park what is missing, which the next run of `fetch_orders` begins with."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns counts, the window that was compared, and the report's name."""
        from order_integration.flows.reconcile_orders import park_missing, reconcile  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        run, days, at = key_digest(run_key(context)), int(context["params"][DAYS]), now()
        async with (
            ChannelHook(channel).get_conn() as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            result = await reconcile(omnitron, connector, staging(), at, days=days, run=run)
        files = ReportFiles(staging(), channel.name, self.flow)
        name = files.name(context["dag_run"].run_after, run)
        path = files.write(name, (one.as_row() for one in result.findings))
        wanted = [one for one in result.findings if one.is_fetched] if channel.reconcile_fetches_missing else []
        parked = park_missing(staging(), channel.name, wanted, run=run, now=at)
        window = {"window_start": result.window.start.isoformat(), "window_end": result.window.end.isoformat()}
        self.log.info("%d orders compared, %d parked to be fetched; report: %s", result.compared, len(parked), path)
        return {"counts": result.counts(), "parked": len(parked), "report": path, "name": name, **window}


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
        from order_integration.flows.reconciliation import Finding, Kind, as_table, news, summary  # noqa: PLC0415

        said = context["ti"].xcom_pull(task_ids=COMPARE)
        files = ReportFiles(staging(), channel.name, self.flow)
        rows = files.read(said["name"])
        if rows is None:
            raise RedRun("the report has expired: clear the run from compare")
        found = [Finding.from_row(row) for row in rows]
        self.log.info(
            "%s of %s\n%s\nreport: %s", self.flow, channel.name, as_table(said["counts"], found), said["report"]
        )
        count_reconciled(self.flow, channel.name, said["counts"])
        if new := news(found, map(Finding.from_row, files.before(said["name"]))):
            sentence = f"new since the last report: {summary(new)}. Which orders: {said['report']}"
            alarm = Alarm(self.flow, channel.name, AlarmKind.DIFFERENCES, said["name"], sentence, context["ti"].log_url)
            await asyncio.to_thread(tell, alarm)
        bad = [one for one in found if one.kind in {Kind.EXTRA, Kind.DIFFERENT, Kind.TWICE}]
        if bad and channel.reconcile_turns_red:
            context["ti"].xcom_push(key="return_value", value=said["counts"])
            raise RedRun(f"the channel and Omnitron do not agree: {summary(bad)}")
        return dict(said["counts"])
