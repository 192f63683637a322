"""Tells a person what no failing task tells: nothing was settled for too long, or a channel has no orders any more.

**watch** looks at all channels: how far each flow is settled (`fresh_within`), how long `fetch_orders` read nothing
(`quiet_after`), whether the channel's notifiers exist. It tells again what a notifier did not carry. A flow whose DAG
is paused is left alone, and has time to catch up once it is not.

#### When it fails

* **watch**, *channel …*: an entry of the channel file is wrong, so nothing of that channel runs, or nobody is told of
  its alarms. Correct it; all other channels were looked at.
* **watch**, otherwise: staging can't be reached, or notes of the channels that its log names can't be read; all other
  channels were looked at. It looks again in a quarter of an hour.
"""

from datetime import UTC, datetime, timedelta

from airflow.sdk import DAG

from order_integration.operators.watch import FLOW, WatchChannels

with DAG(
    dag_id=FLOW,
    description="Alarms: a flow that is behind, a channel without orders.",
    doc_md=__doc__,
    schedule="*/15 * * * *",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,  # it alone tells again what somebody began to tell
    dagrun_timeout=timedelta(hours=1),
    tags={"order_integration"},
    default_args={"owner": "data-team", "retries": 2, "execution_timeout": timedelta(minutes=10)},
):
    WatchChannels(task_id="watch")
