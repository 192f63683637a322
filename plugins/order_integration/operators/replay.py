"""The steps of a replay: what is meant, whether it may be, parking it, and what became of it."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param
from airflow.sdk.exceptions import AirflowSkipException

from order_integration.channels.registry import ChannelConfig
from order_integration.errors import Reason
from order_integration.flows import INBOUND
from order_integration.operators.base import FlowOperator, RedRun, now, run_key, staging
from order_integration.staging import Folder, Places

if TYPE_CHECKING:
    from airflow.sdk import Context

SELECTED = "selected"  # the staged file of keys
TOLD_AT_MOST = 200  # records that a log names one by one; the file of the report holds all
WHATS = ("one key", "reason", "all")  # as in `flows.replaying.What`, which costs more than a DAG file may


def form() -> dict[str, Param]:
    """The DAG's params, as the UI asks for them."""
    reasons = [None, *(reason.value for reason in Reason)]
    a_key = "The channel's id of the record, or its digest, which stands in logs and reports"
    return {
        "flow": Param(INBOUND[0], "Whose quarantine", type="string", enum=list(INBOUND), title="Flow"),
        "what": Param(WHATS[0], "More than one key needs an approval", type="string", enum=list(WHATS), title="What"),
        "key": Param(None, a_key, type=["null", "string"], title="Key"),
        "reason": Param(None, "All that are in quarantine for this", type=["null", "string"], enum=reasons),
        "note": Param("", "Why, for those who look at it later", type="string", title="Note"),
    }


class SelectQuarantined(FlowOperator):
    """Find what is meant. XCom gets counts alone; the keys are staged."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns how many, whether somebody is asked, and the text to be approved."""
        from order_integration.flows.replaying import What, selected  # noqa: PLC0415

        params, folder = context["params"], self.folder(context)
        flow, what = str(params["flow"]), What(params["what"])
        chosen = {"key": params["key"] or "", "reason": params["reason"] or ""}
        rows = selected(staging(), channel.name, flow, what, **chosen)
        if not rows:
            raise AirflowSkipException(f"nothing of that kind is in the quarantine of {flow} of {channel.name}")
        folder.write(SELECTED, ({"key": row["key"]} for row in rows))
        dag_id = f"{flow}__{channel.name}"
        reasons = dict(sorted(Counter(str(row["reason"]) for row in rows).items()))
        is_paused = bool(context["ti"].get_dag(dag_id).is_paused)
        if is_paused:
            self.log.warning("%s is paused: its run will stay queued until somebody unpauses it", dag_id)
        return {
            "folder": folder.path,
            "count": len(rows),
            "asks": what is not What.ONE_KEY,
            "subject": f"Replay {len(rows)} records of {flow}, {channel.name}?",
            "text": _text(dag_id, reasons, str(params["note"]), is_paused=is_paused),
        }


def _text(dag_id: str, reasons: dict[str, int], note: str, *, is_paused: bool) -> str:
    lines = [
        f"{sum(reasons.values())} records in the quarantine of **{dag_id}** are to be tried again.",
        "Each is read from the channel as it is now; what was cancelled there meanwhile is not created.",
        "",
        "| reason | records |",
        "|---|---|",
        *(f"| {reason} | {count} |" for reason, count in reasons.items()),
    ]
    lines += ["", f"Note: {note[:200]}"] if note else []
    lines += ["", f"**{dag_id} is paused: its run stays queued until somebody unpauses it.**"] if is_paused else []
    return "\n".join(lines)


class ApproveReplay(ApprovalOperator):
    """A person says yes to a bulk replay; a single key needs nobody. Whoever says no, or nothing, changes nothing."""

    def execute(self, context: "Context") -> Any:
        """Ask, and wait without a slot."""
        found = context["ti"].xcom_pull(task_ids="select")
        if not found["asks"]:
            self.log.info("one key needs no approval")
            return None
        return super().execute(context)


class ParkForReplay(FlowOperator):
    """Park what was chosen, so that the flow's next run begins with it."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns how many still were in quarantine, and since when they wait."""
        from order_integration.flows.replaying import park  # noqa: PLC0415

        params, moment = context["params"], now()
        places = Places.of(staging(), channel.name, str(params["flow"]))
        by = f"{self.flow}, {getattr(context['dag_run'], 'triggering_user_name', None) or 'nobody named'}"
        keys, run = _keys(context), run_key(context)
        parked = park(places, keys, run=run, by=by, note=str(params["note"]), now=moment)
        self.log.info("%d of %d still were in quarantine, and are parked", len(parked), len(keys))
        return {"parked": len(parked), "since": moment.isoformat()}


class ReportReplay(FlowOperator):
    """Say what became of each."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, int]:
        """Returns counts by fate.

        Raises RedRun where some were not tried at all: they stay parked.
        """
        from order_integration.flows.replaying import Fate, became  # noqa: PLC0415

        flow = str(context["params"]["flow"])
        places = Places.of(staging(), channel.name, flow)
        since = context["ti"].xcom_pull(task_ids="replay")["since"]
        rows = [became(places, key, since) for key in _keys(context)]
        self.folder(context).write("report", rows)
        counts = Counter(str(row["fate"]) for row in rows)
        self.log.info("%s of %s\n%s", flow, channel.name, _table(counts, rows))
        if late := counts[Fate.NOT_TRIED]:
            context["ti"].xcom_push(key="return_value", value=dict(counts))
            sentence = f"{late} records were not tried: see the run of {flow}__{channel.name} that task run triggered"
            raise RedRun(f"{sentence}. They stay parked, and its next run begins with them")
        return dict(counts)


def _keys(context: "Context") -> list[str]:
    found = context["ti"].xcom_pull(task_ids="select")
    return [row["key"] for row in Folder(staging(), found["folder"]).read(SELECTED)]


def _table(counts: Counter[str], rows: list[dict[str, Any]]) -> str:
    """Counts, and why where something is still to be done. Records are named by their digests, as in every log."""
    lines = [f"  {fate:<26}{count:>6}" for fate, count in sorted(counts.items())]
    open_ones = [row for row in rows if "reason" in row]
    lines += [
        f"    {row['digest']}  {row['fate']}: {row['reason']} in {row['field'] or '-'}: {row['sentence']}"
        for row in open_ones[:TOLD_AT_MOST]
    ]
    if len(open_ones) > TOLD_AT_MOST:
        lines.append(f"    and {len(open_ones) - TOLD_AT_MOST} more: order_integration.quarantine replayed")
    return "\n".join(lines)
