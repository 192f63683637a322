"""A task that failed for good is an alarm: the first of its run, and once while an outage goes on.

`tell_failure` is the `on_failure_callback` of all tasks of the flows' DAGs: Airflow runs it in the task's own process.
A try that is followed by another one is none of its business. A task that was killed can't run it, and Airflow mostly
does not either. So there is `tell_red_run`, that of the DAGs: the DAG processor tells of a run where no task could.
"""

import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import (
    AirflowSensorTimeout,
    AirflowTaskTerminated,
    AirflowTaskTimeout,
    TaskDeferralTimeout,
)

from order_integration.errors import (
    ConfigurationError,
    ContractError,
    IntegrationError,
    LockedError,
    RefusedError,
    RetriableError,
    UnfinishedError,
)
from order_integration.operators.alarms import Alarm, AlarmKind, again_after, tell, tell_of_outage
from order_integration.operators.base import RedRun, staging
from order_integration.operators.inbound import BY_SCHEDULE
from order_integration.staging import AlarmBook, Fresh

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

# First match wins.
KINDS: tuple[tuple[type[BaseException], AlarmKind], ...] = (
    (ConfigurationError, AlarmKind.CONFIGURATION),
    (LockedError, AlarmKind.LOCKED),
    (UnfinishedError, AlarmKind.FAILED),
    (RetriableError, AlarmKind.UNAVAILABLE),
    (ContractError, AlarmKind.CONTRACT),
    (RefusedError, AlarmKind.REFUSED),
    (AirflowTaskTimeout, AlarmKind.KILLED),
    (AirflowSensorTimeout, AlarmKind.KILLED),
    (TaskDeferralTimeout, AlarmKind.KILLED),
    (AirflowTaskTerminated, AlarmKind.KILLED),
    (IntegrationError, AlarmKind.DEFECT),  # among them what stands for an error that is not ours
)
LONGEST_SENTENCE = 500  # characters: it goes to a chat or a telephone
ALL_SUCCESS = "all_success"
TIMED_OUT = "timed_out"  # Airflow's reason of a run that was ended by `dagrun_timeout`


def tell_failure(context: "Context") -> None:
    """Tell it, unless it only follows from another failure of this run."""
    if _goes_on(context):
        return
    alarm = alarm_of(context)
    if dead := _failed_before(context):
        _tell_of_the_dead(alarm, f"{', '.join(dead)} died without a word")
    else:
        _tell(alarm)


def tell_red_run(context: "Context") -> None:
    """Tell it, if none of the run's tasks did: they were killed, or it took too long."""
    flow, _, channel = context["dag"].dag_id.partition("__")
    window = window_of(context) if "dag_run" in context else str(context["run_id"])
    url = context["ti"].log_url if "ti" in context else ""
    alarm = Alarm(flow, channel, AlarmKind.KILLED, window, "", url)
    why = "the run took too long" if context.get("reason") == TIMED_OUT else "a task died without a word"
    _tell_of_the_dead(alarm, why)


def _tell_of_the_dead(alarm: Alarm, why: str) -> None:
    """Only what fails by itself speaks; where nothing has spoken of this window, somebody was killed."""
    if told := AlarmBook(staging(), alarm.channel, alarm.flow).kinds(alarm.window):
        log.info("no alarm: it follows from what failed before (%s)", ", ".join(told))
    else:
        sentence = f"{why}: killed, or its machine is gone? The scheduler's log says more"
        _tell(replace(alarm, kind=AlarmKind.KILLED, sentence=sentence))


def _tell(alarm: Alarm) -> None:
    since = _green_since(alarm)
    is_told = tell_of_outage(alarm, since, again_after(alarm.channel)) if since is not None else tell(alarm)
    if not is_told:
        log.info("no alarm: %s was told of this window, or of this outage", alarm.kind)


def alarm_of(context: "Context") -> Alarm:
    """The alarm of the task that failed. Of an exception that is not ours only its type is said."""
    ti, error = context["ti"], context.get("exception")
    flow, _, channel = ti.dag_id.partition("__")
    kind, sentence = _judged(error if isinstance(error, BaseException) else None)
    return Alarm(flow, channel, kind, window_of(context), f"{ti.task_id}: {sentence}"[:LONGEST_SENTENCE], ti.log_url)


def window_of(context: "Context") -> str:
    """What a run is about, whichever run it is: an interval, the window that somebody typed, or only this run."""
    run, params = context["dag_run"], context.get("params") or {}
    if run.run_type in BY_SCHEDULE and run.data_interval_start:
        return str(run.data_interval_start.isoformat())
    if params.get("window_start"):
        return f"{params['window_start']}/{params.get('window_end')}"
    return str(run.run_id)


def _judged(error: BaseException | None) -> tuple[AlarmKind, str]:
    if error is None:
        return AlarmKind.KILLED, "its process died without a word, or was lost; the scheduler's log says how"
    for one in _causes(error):
        if isinstance(one, RedRun):
            kind = AlarmKind.UNAVAILABLE if one.technical else AlarmKind.VERDICT
            return (AlarmKind.FAILED if one.unfinished else kind), str(one)
        for of, kind in KINDS:
            if isinstance(one, of):
                return kind, str(one) if isinstance(one, IntegrationError) else f"ended by {type(one).__name__}"
    return AlarmKind.DEFECT, f"{type(error).__name__}; its log says where"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _goes_on(context: "Context") -> bool:
    """Whether the task was ended because somebody cleared it: Airflow runs it again."""
    ti = context["ti"]
    return isinstance(context.get("exception"), AirflowTaskTerminated) and not _failed(ti, [ti.task_id])


def _failed_before(context: "Context") -> list[str]:
    """Which tasks that this one comes after have failed. Only one that runs all the same can be asked that."""
    ti = context["ti"]
    if ti.task.trigger_rule == ALL_SUCCESS:
        return []
    return _failed(ti, sorted(ti.task.get_flat_relative_ids(upstream=True)))


def _failed(ti: Any, task_ids: list[str]) -> list[str]:
    found = ti.get_task_states(ti.dag_id, task_ids=task_ids, run_ids=[ti.run_id])
    return [name for states in found.values() for name, state in states.items() if str(state) == "failed"]


def _green_since(alarm: Alarm) -> str | None:
    """What all red runs have in common: the green one before them. None: nobody notes this flow's green runs."""
    from order_integration.flows.freshness import WATCHED  # noqa: PLC0415

    if alarm.flow not in WATCHED:
        return None
    with suppress(Exception):  # staging is away: said when the alarm is to be noted
        return str(Fresh(staging(), alarm.channel, alarm.flow).get().get("green_at", "the beginning"))
    return None
