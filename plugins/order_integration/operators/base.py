"""What every task of a flow has in common: its channel, its try, its staging, and what an error means to Airflow."""

import asyncio
from abc import abstractmethod
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator, RetryDecision, RetryPolicy
from airflow.sdk.exceptions import AirflowFailException

from order_integration.channels.registry import ChannelConfig, configured
from order_integration.errors import ConfigurationError, ContractError, RetriableError
from order_integration.operators.unquoted import UnexpectedError, unquoted
from order_integration.staging import Folder, Staging

if TYPE_CHECKING:
    from airflow.sdk import Context

RETRIES = 3
LONGEST_RETRY_DELAY = timedelta(minutes=15)
LONGEST_NAMED_DELAY = timedelta(hours=1)  # whatever a server asks for: a run has to end within hours


# A defect of ours or of a connector: it would fail in every try, only later.
DEFECTS = (TypeError, AttributeError, NameError, LookupError, ArithmeticError, AssertionError, NotImplementedError)


class RedRun(AirflowFailException):
    """A run is red, for a reason that is ours to say: an alarm may repeat it, which an exception of others may not be.

    `technical`: the other side did not answer, so it says no more than the task that asked. `unfinished`: some records
    failed, which is not the same.
    """

    def __init__(self, sentence: str, *, technical: bool = False, unfinished: bool = False) -> None:
        super().__init__(sentence)
        self.technical = technical
        self.unfinished = unfinished


class RetryByKind(RetryPolicy):
    """A server that names a time is asked again then, a defect fails at once, all else keeps the task's back-off."""

    def evaluate(
        self,
        exception: BaseException,
        try_number: int,  # noqa: ARG002
        max_tries: int,  # noqa: ARG002
        context: "Context | None" = None,  # noqa: ARG002
    ) -> RetryDecision:
        """Called in the task's process after a failure."""
        if isinstance(exception, RetriableError) and exception.retry_after:
            wait = min(timedelta(seconds=exception.retry_after), LONGEST_NAMED_DELAY)
            return RetryDecision.retry(wait, reason="the server named a time")
        kind = exception.kind if isinstance(exception, UnexpectedError) else type(exception)
        if issubclass(kind, DEFECTS):
            return RetryDecision.fail(reason="a defect: trying again changes nothing")
        return RetryDecision.default()


def staging() -> Staging:
    """The staging area of this deployment, as its variable is now."""
    return Staging.deployed()


class FlowOperator(BaseOperator):
    """One step of a flow for one channel. Subclasses write `run_step`."""

    ui_color = "#eef4fb"

    def __init__(self, *, flow: str, channel: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.flow = flow
        self.channel = channel

    def execute(self, context: "Context") -> Any:
        """Run the step; what no retry can mend fails at once."""
        try:
            return asyncio.run(self.run_step(context, configured(self.channel)))
        except (ConfigurationError, ContractError) as error:
            raise AirflowFailException(str(error)) from unquoted(error)
        except Exception as error:  # whatever it is: its text goes into Airflow's log
            failure = unquoted(error)
            if failure is error:
                raise
        raise failure

    @abstractmethod
    async def run_step(self, context: "Context", channel: ChannelConfig) -> Any:
        """The step itself."""

    def folder(self, context: "Context") -> Folder:
        """Where this attempt leaves what it hands on."""
        ti = context["ti"]
        index = max(ti.map_index if ti.map_index is not None else -1, 0)
        # A Clear gives a new id: what it stages shall not mix with what was staged before.
        attempt = f"{self.task_id}-{index}-{ti.try_number}-{str(ti.id)[-8:]}"
        return Folder.of_attempt(staging(), self.channel, self.flow, run_key(context), attempt)


def run_key(context: "Context") -> str:
    """A run's name, unique over all DAGs."""
    return f"{context['ti'].dag_id}/{context['ti'].run_id}"


def is_last_try(context: "Context") -> bool:
    """Whether Airflow will not try this task again by itself."""
    ti = context["ti"]
    return bool(ti.try_number > (ti.max_tries or 0))


def tries_before(context: "Context") -> range:
    """The numbers of this task's earlier tries since it was last cleared: a Clear is to do everything again."""
    ti = context["ti"]
    return range(max((ti.max_tries or 0) - (ti.task.retries or 0) + 1, 1), ti.try_number)


def now() -> datetime:
    """The current time, zoned."""
    return datetime.now(UTC)
