"""What can be set for a channel appears in Omnitron's form, and what is set there is checked (setting up).

Run it by hand: once when a channel is set up, again after the merchant filled the form in, and after a connector
changed. Nothing is scheduled, and running it again changes nothing.

**fetch** asks the connector what can be set for it, and adds what every channel has: `reason_mapping`,
`cancellation_reason_id`, `CUSTOMER_IDENTIFIER_FIELD` → **push** merges that into the channel's schema in Omnitron (what
others put there stays) and checks the values in the channel's conf.

#### When it fails

* **fetch**: its last line names a wrong setting of the channel file or of its connection, or the connector's entry that
  Omnitron's form would not know.
* **push**, *correct the channel's conf in Omnitron*: the form is published. The sentence names each reason code whose
  cancellation reason is missing or not active, and codes that can't be told apart on the way back. Correct them in
  Omnitron and clear push. Flows that need a reason quarantine their records until then.
* **push**, after its retries: Omnitron does not answer. Clear it once it does.
"""

from airflow.sdk import DAG

from order_integration.operators.channel_conf_schema import FetchConfSchema, PublishConfSchema
from order_integration.operators.flow_dag import by_hand, channels_of

FLOW = "update_channel_conf_schema"

for channel in channels_of(FLOW):
    with DAG(**by_hand(FLOW, channel, __doc__ or "")):
        common = {"flow": FLOW, "channel": channel.name}

        FetchConfSchema(task_id="fetch", **common) >> PublishConfSchema(task_id="push", **common)
