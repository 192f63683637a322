"""What the merchant reads in Omnitron's panel. A report that can't be written is an error, except where noted."""

import logging
from dataclasses import dataclass
from datetime import datetime

from order_integration.dto import ErrorReportDto, OperationalEventDto
from order_integration.errors import RefusedError, UnknownOutcomeError
from order_integration.exact_json import dumps
from order_integration.omnitron.client import Omnitron, Row

log = logging.getLogger(__name__)

SOURCE = "order_integration"
INTEGRATION_TYPE = "sales_channel"
NOT_FOUND = 404

# The names that Omnitron's own dashboards group by (Akinon's channel-app guide).
EVENT_TYPES = {
    "order": "order_error",
    "orderitem": "order_error",
    "cancellationrequest": "cancellation_request_error",
    "batchrequest": "batch_request_error",
}
# The codes that the panel knows for an unmapped location; a country has none.
LOCATION_CODES = {
    "city": "integrations_200_10_2",
    "township": "integrations_200_10_1",
    "district": "integrations_200_10_3",
}


@dataclass(frozen=True)
class Reports:
    """Writes reports of one channel; every payload in them is masked by whoever made it."""

    omnitron: Omnitron

    async def write(self, report: ErrorReportDto) -> None:
        """An error report and the operational event that goes with it.

        The same `error_code` again updates the earlier report, or is refused as known; both are fine.
        """
        body = {
            **report.model_dump(
                exclude={"error_description", "modified_date", "action_content_type", "target_object_id"}
            ),
            "action_content_type": await self.omnitron.content_type(report.action_content_type),
            "target_content_type": await self.omnitron.content_type(report.target_content_type),
            "target_object_id": report.target_object_id or str(self.omnitron.channel_id),
            "obj_modified_date": report.modified_date.isoformat(),
            "error_desc": report.error_description,
        }
        try:
            await self.omnitron.http.call("POST", self.omnitron.at("error_reports/"), body=body, repeatable=True)
        except RefusedError as error:
            if "error_code" not in error.fields:
                raise
        await self._event(_event_of(report))

    async def tell(self, report: ErrorReportDto) -> None:
        """Like `write`; what Omnitron refuses is tried without its payload, and then given up: it turns no run red."""
        try:
            await self.write(report)
        except RefusedError:
            try:
                await self.write(report.model_copy(update={"raw_request": "", "raw_response": ""}))
            except RefusedError as error:
                log.warning("Omnitron refuses the report %s: %s", report.error_code, error)

    async def unmapped_location(self, level: str, name: str, parents: dict[str, int], sentence: str) -> None:
        """Put an unmapped city, township or district before the merchant; there is no such service for countries."""
        if level not in LOCATION_CODES:
            return
        body = {
            "type": level,
            # What the merchant maps it by, and look-ups ask for (the existing client's form).
            "remote_code": f"{self.omnitron.channel_id}_{name}"[:255],
            "name": name[:255],
            "country_id": parents.get("country"),
            "city_id": parents.get("city"),
            "township_id": parents.get("township"),
            "integration_type": INTEGRATION_TYPE,
            "err_code": LOCATION_CODES[level],
            "err_desc": sentence,
        }
        await self.omnitron.http.call("POST", self.omnitron.at(f"error_reports/{level}/"), body=body, repeatable=True)

    async def _event(self, event: OperationalEventDto) -> None:
        path, body = self.omnitron.at("operational_events/"), event.model_dump(exclude_none=True)
        try:
            # Events have no key, so one that is sent again may be there twice. They feed dashboards, and the record is
            # the error report, which is written by now: an event whose answer was lost counts as told.
            await self.omnitron.http.call("POST", path, body=body, repeatable=False)
        except UnknownOutcomeError as error:
            log.warning("whether an operational event arrived is not known: %s", error)
        except RefusedError as error:
            if error.status != NOT_FOUND:  # older servers do not have the service
                raise


def _event_of(report: ErrorReportDto) -> OperationalEventDto:
    raw = {"raw_request": report.raw_request, "raw_response": report.raw_response}
    return OperationalEventDto(
        event_type=EVENT_TYPES.get(report.action_content_type, "unknown_error"),
        level="info" if report.is_ok else "error",
        source=SOURCE,
        message=report.error_description or report.error_code,
        context={
            "error_code": report.error_code,
            "error_description": report.error_description,
            "modified_date": report.modified_date.isoformat(),
        },
        tags={"action_content_type": report.action_content_type},
        action_content_type=report.action_content_type,
        action_object_id=report.action_object_id,
        raw_data=None if report.is_ok else raw,
    )


def report_on_batch(
    batch: int, code: str, description: str, request: Row | None, at: datetime, *, ok: bool
) -> ErrorReportDto:
    """A report that hangs on a batch request, where records that never became an object are reported."""
    return ErrorReportDto(
        action_content_type="batchrequest",
        action_object_id=batch,
        modified_date=at,
        error_code=code,
        error_description=description,
        raw_request=dumps(request) if request is not None else "",
        is_ok=ok,
    )
