"""What is thrown away, and when."""

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from order_integration.operators.base import now, staging

if TYPE_CHECKING:
    from airflow.sdk import Context

STAGING_KEPT = timedelta(days=7)  # so that a run of last week can still be cleared from any of its tasks


class PurgeStaging(BaseOperator):
    """Remove what runs staged more than a week ago. Quarantine, parked records and open batch requests stay."""

    def execute(self, context: "Context") -> int:  # noqa: ARG002
        """Returns the number of files removed."""
        removed = staging().purge("runs", now() - STAGING_KEPT)
        self.log.info("%d staged files were older than %d days", removed, STAGING_KEPT.days)
        return removed
