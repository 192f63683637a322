"""What shoppers ask a sales channel to cancel or to take back becomes cancellation requests in Omnitron (flow 6).

**fetch** reads the run's window from the channel and stages it → **transform** makes DTOs of it, one a unit → **push**
creates the requests that are not there yet → **settle** links them with the channel's ids, writes reports, and balances
the books. A run may be retried, cleared, run again or backfilled at any time: every unit is asked for once.

#### When it fails

* **fetch, at once**: its last line names a wrong setting (connection, channel id, window, `reason_mapping` in the
  channel's conf in Omnitron). Correct it and clear the run.
* **fetch, after its retries**: the channel does not answer, or not in JSON. Nothing was written; clear the run once it
  answers.
* **push**: Omnitron does not answer. What did not pass is parked, and the next run begins with it. A request whose
  answer was lost is looked for in Omnitron, by what it says, before it is sent again; do not create it by hand.
* **settle**: the table in its log counts every record, with reasons; Omnitron's Marketplace Logs name each request.
  Where it says *staging expired*, clear the run from its fetch task.

Two things turn nothing red. *Parked*, and tried again by every later run: a request for an item that is not linked yet
(`item_unknown`); what waits for more than three days is named once in the Marketplace Logs. In *quarantine*:

* `reason_unmapped`: add the channel's code to `reason_mapping` in the channel's conf; no reason is guessed.
* `ambiguous`: more than one request in Omnitron may be the one whose answer was lost, or items of several orders have
  the channel's item id. A person must look: link the right request with the channel's id, and reject the other.
* `conflict`: every unit with this id is cancelled, or has a request already.
* `refused`: Omnitron refuses it; the sentence names the fields.

Mend it and read the window again.

#### Run it by hand

Trigger it **without a logical date** and with both `window_start` and `window_end`, with a zone
(`2026-01-31T14:00:00+03:00`). Missed windows are better read by a backfill, which uses the schedule's own. With
`waiting_only` instead it reads no window, only what is parked.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, inbound
from order_integration.operators.inbound import Fetch, Push, Settle, Transform

FLOW = "fetch_and_create_cancellation_requests"

for channel in channels_of(FLOW):
    with DAG(**inbound(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}

        fetch = Fetch(task_id="fetch", **common)
        transform = Transform(task_id="transform", **common)
        # One chunk, and one at a time over all runs, backfills too: nothing in Omnitron refuses a second request, so
        # two that look at once could both find none.
        push = Push.partial(task_id="push", max_active_tis_per_dag=1, **common).expand(chunk=transform.output)
        # The only leaf, so that it alone decides the run's colour; one at a time, since a batch request is a lock.
        settle = Settle(task_id="settle", trigger_rule="all_done", max_active_tis_per_dag=1, **common)

        fetch >> transform >> push >> settle
