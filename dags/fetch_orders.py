"""Orders of a sales channel arrive in Omnitron (flow 1).

**fetch** reads the run's window from the channel and stages it → **transform** makes DTOs of it, in chunks → **push**
creates what is not in Omnitron yet, one task a chunk → **settle** links orders and items, writes reports, and balances
the books. A run may be retried, cleared, run again or backfilled at any time: every order is created once.

#### When it fails

* **fetch, at once**: its last line names a wrong setting (connection, password, channel id, window). Correct it and
  clear the run.
* **fetch, after its retries**: the channel does not answer, or not in JSON. Nothing was written; clear the run once it
  answers.
* **push**: Omnitron does not answer. The orders that did not pass are parked, and the next run begins with them.
* **settle**: the table in its log counts every record, with reasons; Omnitron's Marketplace Logs name each order.
  Where it says *staging expired*, clear the run from its fetch task.

A single bad order turns nothing red: it waits in quarantine, is named in Omnitron's Marketplace Logs with its field and
reason, and arrives by itself when it is read again after the mend, or when it is replayed (`replay_quarantined`).

#### Run it by hand

Trigger it **without a logical date** and with both `window_start` and `window_end`, with a zone
(`2026-01-31T14:00:00+03:00`). Missed windows are better read by a backfill, which uses the schedule's own. With
`waiting_only` instead it reads no window, only what is parked.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, inbound
from order_integration.operators.inbound import Fetch, Push, Settle, Transform

FLOW = "fetch_orders"

for channel in channels_of(FLOW):
    with DAG(**inbound(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}
        at_once = channel.limits.push_tasks

        fetch = Fetch(task_id="fetch", **common)
        transform = Transform(task_id="transform", **common)
        # Over all runs of the DAG, backfills too: these tasks share one request rate.
        push = Push.partial(task_id="push", max_active_tis_per_dag=at_once, **common).expand(chunk=transform.output)
        # The only leaf, so that it alone decides the run's colour; one at a time, since a batch request is a lock.
        settle = Settle(task_id="settle", trigger_rule="all_done", max_active_tis_per_dag=1, **common)

        fetch >> transform >> push >> settle
