"""What a sales channel knows first of an item (delivery, invoice, tracking) is brought to Omnitron (flow 5).

**fetch** reads the run's window from the channel and stages it → **transform** makes DTOs of it → **push** changes the
items in Omnitron where they differ, and nothing else → **settle** names the changed items in a batch request, writes
reports, and balances the books. A run may be retried, cleared, run again or backfilled at any time: news that are
there already are not sent, and older news never overwrite newer ones.

#### When it fails

* **fetch, at once**: its last line names a wrong setting (connection, password, channel id, window). Correct it and
  clear the run.
* **fetch, after its retries**: the channel does not answer, or not in JSON. Nothing was written; clear the run once it
  answers.
* **push**: Omnitron does not answer; in a later try also the channel, which is asked again before anything is sent. The
  news that did not pass are parked, and the next run begins with them.
* **settle**: the table in its log counts every record, with reasons; Omnitron's Marketplace Logs name what was refused.
  Where it says *staging expired*, clear the run from its fetch task.

Two things turn nothing red. *Parked*, and tried again by every later run: news of an order or item that is not linked
yet (`order_unknown`, `item_unknown`). What waits for more than three days is named once in the Marketplace Logs: look
for its order in the quarantine of `fetch_orders`. In *quarantine*: what Omnitron refuses (`refused`), and news that
contradict themselves (`conflict`). Mend it and read the window again.

*Unchanged* is normal: Omnitron's own changes come back from the channel as news. The status of an item that is
cancelled or refunded is left alone on purpose.

#### Run it by hand

Trigger it **without a logical date** and with both `window_start` and `window_end`, with a zone
(`2026-01-31T14:00:00+03:00`). Missed windows are better read by a backfill, which uses the schedule's own. With
`waiting_only` instead it reads no window, only what is parked.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, inbound
from order_integration.operators.inbound import Fetch, Push, Settle, Transform

FLOW = "fetch_and_update_order_items"

for channel in channels_of(FLOW):
    with DAG(**inbound(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}

        fetch = Fetch(task_id="fetch", **common)
        transform = Transform(task_id="transform", **common)
        # One chunk, and one at a time over all runs, backfills too: of two that change an item at once, neither could
        # tell which has the newer news.
        push = Push.partial(task_id="push", max_active_tis_per_dag=1, **common).expand(chunk=transform.output)
        # The only leaf, so that it alone decides the run's colour; one at a time, since a batch request is a lock.
        settle = Settle(task_id="settle", trigger_rule="all_done", max_active_tis_per_dag=1, **common)

        fetch >> transform >> push >> settle
