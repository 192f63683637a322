"""What is thrown away, and when."""

from datetime import timedelta
from typing import TYPE_CHECKING

from airflow.sdk import BaseOperator

from order_integration.operators.base import now, staging

if TYPE_CHECKING:
    from airflow.sdk import Context

KEPT = {
    "runs": timedelta(days=7),  # so that a run of last week can still be cleared from any of its tasks
    "said": timedelta(days=60),  # an order is delivered by then, or came back: nobody corrects it any more
    "made": timedelta(days=60),  # which record a request was made of: by then it is answered
    "reports": timedelta(days=60),  # whoever looks into a difference has done so by then
    "alarms": timedelta(days=60),  # told so long ago that telling it again is news
}


class PurgeStaging(BaseOperator):
    """Remove what runs staged more than a week ago, and what a channel said of items two months ago.

    Quarantine, parked records and open batch requests stay.
    """

    def execute(self, context: "Context") -> int:  # noqa: ARG002
        """Returns the number of files removed."""
        removed = {folder: staging().purge(folder, now() - kept) for folder, kept in KEPT.items()}
        for folder, kept in KEPT.items():
            self.log.info("%d files of %s were older than %d days", removed[folder], folder, kept.days)
        return sum(removed.values())
