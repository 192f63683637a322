"""What the merchant reads in Omnitron's panel (Marketplace Logs). Payloads in here are masked already."""

from typing import Annotated, Any

from pydantic import Field

from order_integration.dto.fields import Dto, ZonedDatetime, at_most


class ErrorReportDto(Dto):
    """One line of the log. `error_code` is made of flow, key's hash and reason: no time, no try."""

    action_content_type: str
    action_object_id: int
    modified_date: ZonedDatetime
    raw_request: str = ""
    raw_response: str = ""
    error_code: Annotated[str, at_most(255)] = "custom"
    error_description: str = "custom"
    is_ok: bool = False
    target_content_type: str = "channel"
    target_object_id: str = ""


class OperationalEventDto(Dto):
    """The same news for dashboards."""

    event_type: str
    level: str
    source: str
    message: str
    context: dict[str, Any] = Field(default_factory=dict)
    tags: dict[str, Any] = Field(default_factory=dict)
    action_content_type: str | None = None
    action_object_id: int | None = None
    trace_id: str | None = None
    span_id: str | None = None
    parent_span_id: str | None = None
    raw_data: dict[str, Any] | None = None
