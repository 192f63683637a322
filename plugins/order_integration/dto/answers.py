"""What a channel answers to what it was sent."""

from enum import StrEnum
from typing import Self

from pydantic import Field, model_validator

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


class Submitted(Dto):
    """The channel's answer to a submission: a verdict an order, or the ids of the feeds that will tell, or both."""

    results: list[OrderBatchRequestResponseDto] = Field(default_factory=list)
    feed_ids: list[Id] = Field(default_factory=list)

    @model_validator(mode="after")
    def _is_one_word(self) -> Self:
        if any("," in feed_id for feed_id in self.feed_ids):  # they are joined by commas in remote_batch_id
            raise ValueError("a feed id with a comma")
        return self


class FeedState(StrEnum):
    """Where a feed stands at the channel."""

    RUNNING = "running"
    DONE = "done"  # worked through; its orders may have failed one by one
    FAILED = "failed"  # as a whole: none of its orders was worked on
    UNKNOWN = "unknown"  # the channel does not know it (any more)


class FeedVerdict(Dto):
    """What became of one feed. `message` is for people and tells nothing about anybody."""

    feed_id: Id
    state: FeedState
    results: list[OrderBatchRequestResponseDto] = Field(default_factory=list)
    message: str = ""

    @property
    def is_decided(self) -> bool:
        """Whether asking again would change nothing."""
        return self.state in {FeedState.DONE, FeedState.FAILED}
