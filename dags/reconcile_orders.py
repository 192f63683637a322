"""What a sales channel has is compared with what Omnitron has, order by order, for the last days.

**compare** reads the channel's window, looks for each order in Omnitron by the channel's id, asks the channel for those
of Omnitron that were not in it, and writes the report; what is missing in Omnitron is parked → **fetch_missing** starts
a run of `fetch_orders` that begins with it (skipped, if there is nothing, or more than `quarantine_floor`) and
**report** says what was found: a table in its log, metrics, and an alarm for differences that nobody was told of yet.

Nothing is written into Omnitron by this DAG, and nothing at the channel. It may run at any time.

#### When it fails

* **compare**, at once: its last line names a wrong setting, or a side that does not answer as agreed.
* **compare**, after its retries: the channel or Omnitron does not answer. Clear it once it does, or leave it: the next
  run looks at the same days.
* **fetch_missing**: no run of `fetch_orders` could be started. What is parked is fetched by its next run anyway; where
  that DAG is paused, once it is not.
* **report**, *do not agree* (with `reconcile_turns_red` alone): orders are extra, different or twice. Its log names
  the first fifty, the report in staging all of them.

What each kind means, and what to do about it: *Reconciliation* in docs/operations.md.

#### Run it by hand

Trigger it at any time; `days` looks further back.
"""

from airflow.sdk import DAG

from order_integration.operators.flow_dag import channels_of, reconciling
from order_integration.operators.reconcile import Compare, FetchMissing, Report

FLOW = "reconcile_orders"

for channel in channels_of(FLOW):
    with DAG(**reconciling(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}

        compare = Compare(task_id="compare", **common)

        compare >> FetchMissing(task_id="fetch_missing", **common)
        compare >> Report(task_id="report", **common)
