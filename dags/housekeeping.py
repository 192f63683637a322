"""Staged files are removed: those of runs after a week, what is remembered of a channel's words after two months.

The former hold people's data, and only serve a Clear. A task that is cleared later than that fails with *staging
expired*; clear its run from the fetch task instead. Open batch requests stay.

What waits does not wait for ever: a parked record is given up after the channel's `parked_kept`, one in quarantine that
nobody has seen for its `quarantine_kept` loses its record. Either is told as an alarm, one a flow, channel and day; key
and reason stay for a year (`python -m order_integration.quarantine list --closed --parked`).

#### When it fails

The staging area can't be reached or written, or there is no channel file (see the last line of its log). Nothing is
lost; it does the rest tomorrow. A channel that is configured wrongly is named in the log of **expire_waiting**, and
left alone until it is corrected.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from order_integration.operators.housekeeping import ExpireWaiting, PurgeStaging

with DAG(
    dag_id="housekeeping",
    description="Removes staged files that serve nothing any more.",
    doc_md=__doc__,
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    tags={"order_integration"},
    default_args={"owner": "data-team", "retries": 2, "execution_timeout": timedelta(hours=1)},
):
    PurgeStaging(task_id="purge_staging")
    ExpireWaiting(task_id="expire_waiting")
