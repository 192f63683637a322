"""Batch requests that nobody looks after any more are brought to their end (flow 3).

A run that lives ends its own. **sweep** looks at what is still open: what died with its run is failed, and due again;
a job that the channel accepted is asked for, and ended with its verdict, or at its deadline. What others opened is
ended with the channel's verdict alone; all else of theirs is reported once in Omnitron's Marketplace Logs.

#### When it fails

* **sweep** names each batch request that it could not check, or that ended badly; the others are done. It looks again
  on the next schedule, so a channel that does not answer needs nobody. A job that *failed as a whole*, or of which the
  channel *did not say in time*, is over: its orders are offered again, and the channel's team should hear of it.
"""

from airflow.sdk import DAG

from order_integration.operators.check_orders import Sweep
from order_integration.operators.flow_dag import channels_of, outbound

FLOW = "check_orders"

for channel in channels_of(FLOW):
    with DAG(**outbound(FLOW, channel, __doc__ or "")):
        Sweep(task_id="sweep", flow=FLOW, channel=channel.name)
