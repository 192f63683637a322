"""Orders that changed in Omnitron are told to a sales channel (flows 2 and 3).

**fetch** reads all orders that are due, with their items → **transform** makes DTOs of them → **send** hands them over
in one batch request → **check_orders** waits for the job, if the channel answered with one → **settle** reports each
order that failed, and counts. What is not told stays due in Omnitron: there is nothing to catch up on, or to backfill.

#### When it fails

* **fetch, transform, at once**: the last line names a wrong setting. Correct it and clear the run.
* **send**: the channel or Omnitron does not answer. The batch request was failed, its orders are due again; a channel
  that can be asked gets nothing twice. While another batch request is in the way, it waits; its log names it.
* **check_orders** waits without a slot, as long as `feed_deadline` at most. Then the job ends as failed, with a report,
  and its orders are offered again; what the channel still works on is not sent anew, the next run waits for it. If the
  task itself dies, the DAG `check_orders` ends the batch request.
* **settle**: the table in its log counts every order that was due, failures by type: `mapping` (Omnitron's data),
  `remote` (the channel refused it), `channel_app` (no answer, or a defect). Omnitron's Marketplace Logs name each.

Single orders that the channel refuses turn nothing red. While the channel works on an earlier job, everything waits.

#### Run it by hand

Trigger it at any time. `is_sync` asks the channel for the other way, once.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, is_sync, outbound
from order_integration.operators.outbound import Fetch, Send, Settle, Transform
from order_integration.sensors.check_orders import CheckOrders

FLOW = "update_orders"

for channel in channels_of(FLOW):
    with DAG(**outbound(FLOW, channel, __doc__ or "", is_sync=is_sync(channel))):
        common = {"flow": FLOW, "channel": channel.name}

        fetch = Fetch(task_id="fetch", **common)
        transform = Transform(task_id="transform", **common)
        # One at a time: an open batch request is a lock.
        send = Send(task_id="send", max_active_tis_per_dag=1, **common)
        check_orders = CheckOrders(task_id="check_orders", **common)
        # The only leaf, so that it alone decides the run's colour.
        settle = Settle(task_id="settle", trigger_rule="all_done", max_active_tis_per_dag=1, **common)

        fetch >> transform >> send >> check_orders >> settle
