"""What a channel answers to what it was sent."""

from enum import StrEnum

from order_integration.dto.fields import Dto, Id


class ResponseStatus(StrEnum):
    """SUCCESS stands for "already in that state" as well."""

    SUCCESS = "SUCCESS"
    FAIL = "FAIL"


class FailedReasonType(StrEnum):
    """Why an object of a batch request failed, as Omnitron's panel groups it."""

    MAPPING = "mapping"
    REMOTE = "remote"
    CHANNEL_APP = "channel_app"


class OrderBatchRequestResponseDto(Dto):
    """The channel's verdict on one order, found by its remote id or its number."""

    status: ResponseStatus
    remote_id: Id
    number: str = ""
    message: str = ""


class BatchRequestResponseDto(Dto):
    """The channel's verdict on one object of another kind."""

    status: ResponseStatus
    remote_id: str = ""
    sku: str = ""
    message: str = ""
