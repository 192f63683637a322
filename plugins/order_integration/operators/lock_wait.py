"""A step that needs the lock of (channel, content type), while somebody else holds it."""

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from order_integration.errors import LockedError
from order_integration.operators.base import FlowOperator, now

if TYPE_CHECKING:
    from airflow.sdk import Context

LOCK_POLL = timedelta(minutes=1)  # each asks with a batch request of its own: only a commit tells for sure
LOCK_PATIENCE = timedelta(hours=2)  # far less than the longest run: they wait one after the other


class WaitsForLock(FlowOperator):
    """Like any step; but while somebody else's batch request is in the way, it waits without a slot or a try."""

    def execute(self, context: "Context", waiting_since: str | None = None) -> Any:
        """Run the step, or defer."""
        try:
            return super().execute(context)
        except LockedError as error:
            since = datetime.fromisoformat(waiting_since) if waiting_since else now()
            if now() - since > self.patience(error):
                raise AirflowFailException(f"{error}; waited since {since.isoformat(timespec='minutes')}") from error
            self._wait(error, since)

    def patience(self, error: LockedError) -> timedelta:  # noqa: ARG002
        """How long to wait for this one."""
        return LOCK_PATIENCE

    def resume(self, context: "Context", event: object = None, *, waiting_since: str) -> Any:  # noqa: ARG002
        """Called by Airflow after the wait."""
        return self.execute(context, waiting_since)

    def _wait(self, error: LockedError, since: datetime) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger  # noqa: PLC0415

        self.log.warning("waiting since %s: %s", since.isoformat(timespec="seconds"), error)
        self.defer(
            trigger=TimeDeltaTrigger(LOCK_POLL), method_name="resume", kwargs={"waiting_since": since.isoformat()}
        )
