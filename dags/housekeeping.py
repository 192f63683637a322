"""Staged files are removed: those of runs after a week, what is remembered of a channel's words after two months.

The former hold people's data, and only serve a Clear. A task that is cleared later than that fails with *staging
expired*; clear its run from the fetch task instead. What waits in quarantine or parked, and open batch requests, stay.

#### When it fails

The staging area can't be reached or written (see the last line of its log). Nothing is lost; it does the rest tomorrow.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from order_integration.operators.housekeeping import PurgeStaging

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
