"""What crosses between a sales channel and Omnitron; names as in Akinon's public channel-app guide."""

from order_integration.dto.answers import (
    BatchRequestResponseDto,
    FailedReasonType,
    FeedState,
    FeedVerdict,
    OrderBatchRequestResponseDto,
    ResponseStatus,
    Submitted,
)
from order_integration.dto.cancellations import (
    CancellationRequestDto,
    CancellationType,
    CancelOrderDto,
    ChannelCancellationRequestDto,
    ChannelUpdateOrderItemDto,
    Decision,
)
from order_integration.dto.fields import Cut, Dto, allotted, collected_cuts, masked, minor_unit
from order_integration.dto.orders import (
    UNIT_SEPARATOR,
    UNITS_AT_MOST,
    AddressDto,
    ChannelCreateOrderDto,
    ChannelOrderDto,
    CustomerDto,
    OrderItemDto,
)
from order_integration.dto.refusals import record_error
from order_integration.dto.reports import ErrorReportDto, OperationalEventDto
from order_integration.dto.statuses import GONE, SHIPPED, OrderState, OrderStatus
from order_integration.dto.updates import Submission, UpdatedOrderDto, UpdatedOrderItemDto

__all__ = [
    "GONE",
    "SHIPPED",
    "UNITS_AT_MOST",
    "UNIT_SEPARATOR",
    "AddressDto",
    "BatchRequestResponseDto",
    "CancelOrderDto",
    "CancellationRequestDto",
    "CancellationType",
    "ChannelCancellationRequestDto",
    "ChannelCreateOrderDto",
    "ChannelOrderDto",
    "ChannelUpdateOrderItemDto",
    "CustomerDto",
    "Cut",
    "Decision",
    "Dto",
    "ErrorReportDto",
    "FailedReasonType",
    "FeedState",
    "FeedVerdict",
    "OperationalEventDto",
    "OrderBatchRequestResponseDto",
    "OrderItemDto",
    "OrderState",
    "OrderStatus",
    "ResponseStatus",
    "Submission",
    "Submitted",
    "UpdatedOrderDto",
    "UpdatedOrderItemDto",
    "allotted",
    "collected_cuts",
    "masked",
    "minor_unit",
    "record_error",
]
