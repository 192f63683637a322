"""What was decided in Omnitron about cancels and returns is told to a sales channel (flow 7).

**fetch** reads all requests that changed in Omnitron → **transform** puts them in the channel's words, reasons by
`reason_mapping` read backwards → **send** tells the channel, in one batch request; what it answers together (the lines
of a return) in one call → **settle** reports each request that failed, and counts. What is not told stays due in
Omnitron: there is nothing to catch up on, or to backfill.

#### When it fails

* **fetch, at once**: its last line names a wrong setting, such as two codes of `reason_mapping` for one reason. Correct
  the channel's conf in Omnitron and clear the run. Nothing was told.
* **send, at once**: its last line names a wrong setting of the channel's. Correct it and clear the task. What it was no
  matter for was told.
* **fetch, transform, send**, after their retries: Omnitron does not answer. The batch request was failed, or the next
  run fails it; its requests are due again. The channel may be told a second time, and answers that it knows.
* **send** is *deferred*: another batch request of cancellation requests is in the way; its log names it. It waits.
* **settle**: the table in its log counts every request that was due, failures by type; Omnitron's Marketplace Logs
  name each. `mapping`: its reason is not in `reason_mapping`, it or its order item is not linked, or that is so with
  one that is answered together with it. `remote`: the channel refused it. `channel_app`: the channel gave no answer to
  it, or the connector stumbled; this alone turns the run red.

Omnitron offers what failed again, so a later run tells it once it is mended.

#### Run it by hand

Trigger it at any time.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, outbound
from order_integration.operators.outbound import Fetch, Send, Settle, Transform

FLOW = "update_cancellation_requests"

for channel in channels_of(FLOW):
    with DAG(**outbound(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}

        fetch = Fetch(task_id="fetch", **common)
        transform = Transform(task_id="transform", **common)
        # One at a time: an open batch request is a lock.
        send = Send(task_id="send", max_active_tis_per_dag=1, **common)
        # The only leaf, so that it alone decides the run's colour.
        settle = Settle(task_id="settle", trigger_rule="all_done", max_active_tis_per_dag=1, **common)

        fetch >> transform >> send >> settle
