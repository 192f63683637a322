"""The DAG `check_orders`: batch requests that nobody looks after any more."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

from order_integration.channels.registry import ChannelConfig
from order_integration.operators.base import FlowOperator, RedRun, now, run_key, staging
from order_integration.operators.fresh import note_settled
from order_integration.staging import OpenBatches

if TYPE_CHECKING:
    from airflow.sdk import Context

    from order_integration.flows.check_orders import Commands

ALIVE = ["queued", "running"]  # states of a run that will look after its batch requests itself


class Sweep(FlowOperator):
    """End what died with its run, and what the channel has decided; report the rest. One that fails stops no other."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, int]:
        """Returns counts."""
        from order_integration.flows.outbound import Sending  # noqa: PLC0415
        from order_integration.flows.sweeping import ORDER, sweep  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        ti = context["ti"]
        batches, folder = OpenBatches(staging(), channel.name, self.flow), self.folder(context)
        owner = {"dag": ti.dag_id, "run": run_key(context), "task": ti.task_id, "try": ti.try_number}

        def is_over(owner: dict[str, Any]) -> bool:
            """Whether the run that opened a batch request can't end it any more; one that was removed can't."""
            run_id = str(owner["run"]).removeprefix(f"{owner['dag']}/")
            return not ti.get_dr_count(owner["dag"], run_ids=[run_id], states=ALIVE)

        async with (
            _connector(channel) as connector,
            OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron,
        ):
            sending = Sending(omnitron, self.flow, channel, ORDER, batches, folder, owner, now())
            swept = await sweep(sending, connector, is_over)
        counts = dict(Counter(swept.counts))
        self.log.info("%s", counts)
        if swept.troubles:
            ti.xcom_push(key="return_value", value=counts)
            raise RedRun("; ".join(swept.troubles)[:2000])
        note_settled(self.flow, channel.name)
        return counts


@asynccontextmanager
async def _connector(channel: ChannelConfig) -> AsyncIterator["Commands"]:
    """The channel's; a wrong connection or connector is said by each batch request that needs it."""
    from order_integration.flows.check_orders import Unopened  # noqa: PLC0415
    from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415

    async with AsyncExitStack() as undo:
        connector: Commands
        try:
            connector = await undo.enter_async_context(ChannelHook(channel).get_conn())
        except Exception as error:  # noqa: BLE001 - it is raised where the connector is needed
            connector = Unopened(error)
        yield connector
