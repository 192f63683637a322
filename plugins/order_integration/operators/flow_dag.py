"""What every flow's DAG has: one per channel, its window, its tags, its retries, its manual form."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from airflow.sdk import DAG, CronDataIntervalTimetable, CronTriggerTimetable, Param, get_parsing_context, task
from airflow.sdk.exceptions import AirflowFailException

from order_integration.channels.registry import BrokenChannel, ChannelConfig, load_channels
from order_integration.operators.base import LONGEST_RETRY_DELAY, RETRIES, RetryByKind
from order_integration.operators.failures import tell_failure, tell_red_run

LONGEST_RUN = timedelta(hours=24)  # when it is over Airflow skips what is left, settle too
LONGEST_TASK = timedelta(hours=2)
RUNS_AT_ONCE = 2
ALL_BUT_BACKFILL = ("scheduled", "manual", "operator_triggered", "asset_triggered", "asset_materialization")
DAYS_AT_MOST = 366  # that a reconciliation by hand goes back
WAITING_ONLY = "Manual runs only: reads no window, only records that are parked, those to be replayed among them"
BEFORE_ALL_WINDOWS = datetime(2020, 1, 1)  # noqa: DTZ001 - Airflow reads it in UTC; a broken channel has no date of its own


def dag_id(flow: str, channel: str) -> str:
    """`fetch_orders__medusa`."""
    return f"{flow}__{channel}"


def channels_of(flow: str) -> Iterator[ChannelConfig]:
    """The channels to build a DAG for: all, or only that of the task that is about to run.

    A channel that is configured wrongly gets its DAG here: one task that fails with the sentence.
    """
    only = get_parsing_context().dag_id
    for channel in load_channels().values():
        if only not in (None, dag_id(flow, channel.name)):
            continue
        if isinstance(channel, BrokenChannel):
            _broken(flow, channel)
        else:
            yield channel


def inbound(flow: str, channel: ChannelConfig, doc: str) -> dict[str, Any]:
    """What the DAGs of flows from a channel to Omnitron have in common."""
    return {
        "dag_id": dag_id(flow, channel.name),
        "description": f"{doc.strip().splitlines()[0]} Channel: {channel.name}.",
        "doc_md": doc,
        # A plain cron text would give windows of no length.
        "schedule": CronDataIntervalTimetable(channel.schedule, timezone=channel.timezone),
        "start_date": channel.active_from,
        "catchup": channel.catchup,
        "max_active_runs": RUNS_AT_ONCE,
        "dagrun_timeout": LONGEST_RUN,
        "tags": {flow, channel.name, "order_integration"},
        "default_args": _task_policies(channel),
        "on_failure_callback": tell_red_run,
        "params": {
            "window_start": _moment("From", "Manual runs only: first moment read, with zone"),
            "window_end": _moment("To", "Manual runs only: first moment no longer read"),
            "waiting_only": Param(False, WAITING_ONLY, type="boolean", title="Only what waits"),
        },
    }


def by_hand(flow: str, channel: ChannelConfig, doc: str) -> dict[str, Any]:
    """What a DAG has that nothing schedules: somebody runs it when something was changed."""
    return {
        "dag_id": dag_id(flow, channel.name),
        "description": f"{doc.strip().splitlines()[0]} Channel: {channel.name}.",
        "doc_md": doc,
        "schedule": None,
        "start_date": channel.active_from,
        "catchup": False,
        "max_active_runs": 1,
        "dagrun_timeout": LONGEST_RUN,
        "tags": {flow, channel.name, "order_integration"},
        "default_args": _task_policies(channel),
        "on_failure_callback": tell_red_run,
    }


def outbound(flow: str, channel: ChannelConfig, doc: str, **params: Param) -> dict[str, Any]:
    """What the DAGs of flows that drain what is due have in common: there is nothing to catch up on, or to backfill."""
    return {
        "dag_id": dag_id(flow, channel.name),
        "description": f"{doc.strip().splitlines()[0]} Channel: {channel.name}.",
        "doc_md": doc,
        "schedule": CronTriggerTimetable(channel.schedule, timezone=channel.timezone),
        "start_date": channel.active_from,
        "catchup": False,
        "max_active_runs": 1,  # what is registered as open when a run begins is nobody's
        "allowed_run_types": ALL_BUT_BACKFILL,
        "dagrun_timeout": LONGEST_RUN,
        "tags": {flow, channel.name, "order_integration"},
        "default_args": _task_policies(channel),
        "on_failure_callback": tell_red_run,
        "params": params,
    }


def reconciling(flow: str, channel: ChannelConfig, doc: str) -> dict[str, Any]:
    """Like what drains, by a schedule of its own: whenever it runs, it looks at the last days."""
    text = "How many days back orders are compared"
    days = Param(channel.reconcile_days, text, type="integer", minimum=1, maximum=DAYS_AT_MOST, title="Days")
    schedule = CronTriggerTimetable(channel.reconcile_schedule, timezone=channel.timezone)
    return {**outbound(flow, channel, doc, days=days), "schedule": schedule}


def is_sync(channel: ChannelConfig) -> Param:
    """A run by hand may ask for the other way."""
    text = "Whether the channel is asked to answer at once. One that answers with a job is waited for all the same."
    return Param(channel.is_sync, text, type="boolean", title="Synchronous")


def _moment(title: str, description: str) -> Param:
    # Airflow does not enforce the format; the fetch task does.
    return Param(None, description, type=["null", "string"], format="date-time", title=title)


def _task_policies(channel: ChannelConfig) -> dict[str, Any]:
    return {
        "owner": channel.owner,
        "retries": RETRIES,
        "retry_delay": channel.retry_delay,
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": LONGEST_RETRY_DELAY,
        "retry_policy": RetryByKind(),
        "execution_timeout": LONGEST_TASK,
        "depends_on_past": False,
        "on_failure_callback": tell_failure,
    }


def _broken(flow: str, channel: BrokenChannel) -> None:
    """The sentence where the team looks for the channel: in its DAG."""
    with DAG(
        dag_id(flow, channel.name),
        description=channel.sentence,
        doc_md=f"**Wrong configuration.** {channel.sentence}",
        schedule=None,
        start_date=BEFORE_ALL_WINDOWS,
        catchup=False,
        tags={flow, channel.name, "order_integration", "broken"},
        default_args={"owner": "data-team"},
    ):

        @task(task_id="configuration")
        def say(sentence: str) -> None:
            raise AirflowFailException(sentence)

        say(channel.sentence)
