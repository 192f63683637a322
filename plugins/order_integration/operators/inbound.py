"""The four steps of a flow from a channel to Omnitron, whichever flow it is.

The flow itself, `order_integration.flows.<flow>`, is imported when a step runs: Airflow parses this file in every task.
"""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from order_integration.channels.registry import ChannelConfig, configured
from order_integration.errors import LockedError, UnfinishedError
from order_integration.operators.base import FlowOperator, RedRun, is_last_try, now, run_key, staging, tries_before
from order_integration.operators.fresh import note_settled
from order_integration.operators.lock_wait import LOCK_PATIENCE, WaitsForLock
from order_integration.operators.metrics import count_records
from order_integration.staging import Folder, OpenBatches, OwedLinks, Waiting

if TYPE_CHECKING:
    from airflow.sdk import Context

    from order_integration.flows.inbound import Inbound
    from order_integration.flows.windows import Reading

# XCom keys besides return_value. All values are ids, paths and counts.
TRANSFORMED = "transformed"  # return_value is the list of chunks: Airflow maps over nothing else
OUTCOMES = "outcomes"  # published before a push fails, so that settle can link what was created; with their chunks

BY_SCHEDULE = ("scheduled", "backfill")  # run types that read their data interval
LOCK_WAITS = (0.5, 1.0, 2.0, 4.0)  # seconds: the settles of the other flows take less, and a task may as well wait


class Fetch(FlowOperator):
    """Stage the channel's records of the run's window as they come."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the folder, the window that was really read (if any), what preflight found, and counts."""
        from order_integration.flows.inbound import fetch  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        spec, reading = spec_of(self.flow), window_of(context, channel)
        connector = ChannelHook(channel).get_conn()
        async with OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron:
            found = await spec.preflight(omnitron, channel)
        window, folder = reading.window, self.folder(context)
        start, end = (window.start.isoformat(), window.end.isoformat()) if window else (None, None)
        self.log.info("reading %s: %s", channel.name, f"from {start} to {end}" if window else "only what waits")
        async with connector:
            counts = await fetch(spec, connector, reading, staging(), folder)
        return {
            **counts,
            "folder": folder.path,
            "window_start": start,
            "window_end": end,
            "waiting_only": window is None,
            "fresh_from": reading.fresh_from.isoformat(),
            "preflight": found,
        }


class Transform(FlowOperator):
    """Raw records become DTOs in chunks; what can't be one is set apart."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> list[int]:
        """Returns the numbers of the chunks, for push to be mapped over."""
        from order_integration.flows.inbound import transform  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415

        fetched = context["ti"].xcom_pull(task_ids="fetch")
        folder = self.folder(context)
        manifest = await transform(
            spec_of(self.flow),
            ChannelHook(channel).get_conn(),
            Folder(staging(), fetched["folder"]),
            datetime.fromisoformat(fetched["fresh_from"]),
            fetched["preflight"],
            folder,
        )
        context["ti"].xcom_push(
            key=TRANSFORMED, value={**manifest, "folder": folder.path, "fetched": fetched["folder"]}
        )
        self.log.info("%s", manifest)
        return list(range(manifest["chunks"]))


class Push(FlowOperator):
    """Bring one chunk's records to Omnitron; leave one outcome a record."""

    def __init__(self, *, chunk: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.chunk = chunk

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, int]:
        """Returns counts by result.

        Raises UnfinishedError while some records may still pass; outcomes are published before.
        """
        from order_integration.flows.handing_over import keep_outcomes, said_before  # noqa: PLC0415
        from order_integration.flows.inbound import CHUNK  # noqa: PLC0415
        from order_integration.flows.outcomes import Balance  # noqa: PLC0415

        chunks, folder = Folder(staging(), _transformed(context)["folder"]), self.folder(context)
        tries = [f"{self.task_id}-{self.chunk}-{number}-" for number in tries_before(context)]
        before = said_before(chunks, (attempt for one in tries for attempt in folder.earlier(one)))
        rows = [row for row in chunks.read(f"{CHUNK}-{self.chunk:03}") if row["key"] not in before]
        outcomes = [*before.values(), *await self._push(context, channel, rows)]
        keep_outcomes(folder, chunks, outcomes, OwedLinks(staging(), channel.name, self.flow))
        context["ti"].xcom_push(key=OUTCOMES, value={"folder": folder.path, "chunks": chunks.path})
        balance = Balance()
        balance.count(outcomes)
        self.log.info("%s", dict(balance.results))
        if balance.failed:
            wait = max(outcome.retry_after or 0.0 for outcome in outcomes) or None
            sentence = f"{balance.failed} of {len(outcomes)} records failed; the others are done"
            raise UnfinishedError(sentence, retry_after=wait)
        return dict(balance.results)

    async def _push(self, context: "Context", channel: ChannelConfig, rows: list[dict[str, Any]]) -> list[Any]:
        from order_integration.flows.pushing import Pushing  # noqa: PLC0415
        from order_integration.hooks.channel import ChannelHook  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        spec = spec_of(self.flow)
        share = 1 if spec.one_chunk else channel.limits.push_tasks
        async with (
            OmnitronHook(channel.omnitron_connection).channel(channel, share=share) as omnitron,
            ChannelHook(channel).get_conn(share=share) as connector,
        ):
            run, number, is_last = run_key(context), context["ti"].try_number, is_last_try(context)
            return await spec.push(Pushing(omnitron, connector, channel, staging(), run, number, is_last), rows)


class Settle(WaitsForLock):
    """Link, report, quarantine, balance; decides alone whether the run is green."""

    async def run_step(self, context: "Context", channel: ChannelConfig) -> dict[str, Any]:
        """Returns the run's table."""
        from order_integration.flows.handing_over import collected  # noqa: PLC0415
        from order_integration.flows.outcomes import as_table  # noqa: PLC0415
        from order_integration.flows.settling import settle, verdict  # noqa: PLC0415
        from order_integration.hooks.omnitron import OmnitronHook  # noqa: PLC0415

        transformed, fetched = _transformed(context), context["ti"].xcom_pull(task_ids="fetch", map_indexes=-1)
        # After a Clear from fetch, what transform and push said before is there until they have run again.
        if not transformed or not fetched or transformed["fetched"] != fetched["folder"]:
            raise RedRun("nothing to settle: fetch or transform failed, see their logs")
        chunks = Folder(staging(), transformed["folder"])
        settlement, balance = collected(chunks, self._pushed(context, chunks, transformed["chunks"]))
        async with OmnitronHook(channel.omnitron_connection).channel(channel) as omnitron:
            await settle(self._books(context, channel, omnitron), settlement, balance)
        table = balance.as_row()
        self.log.info("%s of %s\n%s", self.flow, channel.name, as_table(table))
        count_records(self.flow, channel.name, table)
        sentence = verdict(balance, channel.limits)
        if balance.holds:  # what failed is parked, so the window is done, whatever its colour
            until = datetime.fromisoformat(fetched["window_end"]) if fetched["window_end"] else None
            note_settled(self.flow, channel.name, until, fetched["rows"], is_green=sentence is None)
        if sentence:
            context["ti"].xcom_push(key="return_value", value=table)
            raise RedRun(sentence, unfinished=balance.holds and bool(balance.failed))
        return table

    def patience(self, error: LockedError) -> timedelta:
        """A channel whose links wait for its own jobs has said itself how long such a job may take."""
        from order_integration.omnitron.batch_requests import is_held_by_channel  # noqa: PLC0415

        deadline = configured(self.channel).feed_deadline
        return max(deadline, LOCK_PATIENCE) if is_held_by_channel(error) else LOCK_PATIENCE

    def _pushed(self, context: "Context", chunks: Folder, count: int) -> list[Folder | None]:
        found = context["ti"].xcom_pull(task_ids="push", key=OUTCOMES, map_indexes=list(range(count))) or []
        said = [*found, *[None] * (count - len(found))]
        return [Folder(staging(), one["folder"]) if one and one["chunks"] == chunks.path else None for one in said]

    def _books(self, context: "Context", channel: ChannelConfig, omnitron: Any) -> Any:
        from order_integration.flows.books import Books  # noqa: PLC0415

        ti, area = context["ti"], staging()
        return Books(
            omnitron,
            self.flow,
            spec_of(self.flow).content_type,
            Waiting.quarantine(area, channel.name, self.flow),
            Waiting.parked(area, channel.name, self.flow),
            OpenBatches(area, channel.name, self.flow),
            OwedLinks(area, channel.name, self.flow),
            {
                "dag": ti.dag_id,
                "run": run_key(context),
                "task": ti.task_id,
                "map_index": ti.map_index,
                "try": ti.try_number,
            },
            now(),
            channel.link_beside_open_jobs,
            LOCK_WAITS,
        )


def spec_of(flow: str) -> "Inbound[Any]":
    """What the flow's module says of itself."""
    from importlib import import_module  # noqa: PLC0415

    spec: Inbound[Any] = import_module(f"order_integration.flows.{flow}").SPEC
    return spec


def _transformed(context: "Context") -> Any:
    # Without map_indexes a mapped task would look for the value of its own index.
    return context["ti"].xcom_pull(task_ids="transform", key=TRANSFORMED, map_indexes=-1)


def window_of(context: "Context", channel: ChannelConfig) -> "Reading":
    """Scheduled and backfill runs read their data interval, all others what was typed, or another DAG gave.

    Raises ConfigurationError for such a run without a window, or on a slot of the schedule; and where a run of the
    schedule was told to leave its window out, which nobody would ever read then.
    """
    from order_integration.flows import windows  # noqa: PLC0415

    run, params = context["dag_run"], context["params"]
    only = bool(params.get("waiting_only"))
    if run.run_type in BY_SCHEDULE and run.data_interval_start and run.data_interval_end:
        windows.refuse_waiting_only(only)
        return windows.scheduled(channel, run.data_interval_start, run.data_interval_end, now())
    windows.refuse_occupied_slot(channel, run.logical_date)
    return windows.by_hand(params.get("window_start"), params.get("window_end"), waiting_only=only)
