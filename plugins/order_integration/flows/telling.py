"""The channel is told of cancellation requests: in one call what it answers together; no call stops another."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from traceback import format_tb
from typing import Any

from order_integration.channels.commands import Connector, UpdateCancellationRequest
from order_integration.channels.steps import run_step
from order_integration.dto import BatchRequestResponseDto, FailedReasonType, ResponseStatus
from order_integration.errors import ConfigurationError, IntegrationError
from order_integration.flows.outbound import Sent
from order_integration.flows.translating import Request, Translator, backwards
from order_integration.omnitron.cancellation_requests import KIND, CancellationRequests
from order_integration.omnitron.client import Omnitron
from order_integration.omnitron.integration_actions import IntegrationActions

log = logging.getLogger(__name__)


@dataclass
class Telling:
    """Groups of requests that the channel answers together, one call each."""

    omnitron: Omnitron
    connector: Connector
    wrong_setting: ConfigurationError | None = None  # to be raised when the others are told

    @property
    def command(self) -> UpdateCancellationRequest:
        """The connector's."""
        return self.connector.command(UpdateCancellationRequest)  # type: ignore[type-abstract]

    async def tell(self, offered: Sequence[Request]) -> list[Sent]:
        """What the channel says of each of them."""
        if not offered:
            return []
        by_id: dict[str, list[Request]] = defaultdict(list)
        for request in offered:
            by_id[request.remote_id].append(request)
        groups, sents = await self._groups(by_id)
        others = await self._others({one for group in groups for one in group}, by_id)
        # One after the other: two may be about one order, of which a channel carries out one change at a time.
        for group in groups:
            sents += await self._group(_of(group, by_id), _of(group, others))
        return sents

    async def _groups(self, by_id: Mapping[str, list[Request]]) -> tuple[list[list[str]], list[Sent]]:
        """Each remote id in one group, whoever names it first; and those of which not even that could be asked."""
        command, wanted = self.command, sorted(by_id)
        said = await asyncio.gather(*(self._safely(run_step(command.answered_together, one)) for one in wanted))
        groups: list[list[str]] = []
        seen: set[str] = set()
        for remote_id, together in zip(wanted, said, strict=True):
            if remote_id not in seen and not isinstance(together, _Stumble):
                groups.append(sorted({remote_id, *map(str, together)} - seen))
                seen.update(groups[-1])
        left = {one: said[number] for number, one in enumerate(wanted) if one not in seen}
        return groups, [_stumbled(request.sent, why) for one, why in left.items() for request in by_id[one]]

    async def _others(self, remote_ids: set[str], by_id: Mapping[str, list[Request]]) -> dict[str, list[Request]]:
        """The rest of the groups: requests that were not offered, as they are now."""
        linked = await IntegrationActions(self.omnitron).by_remote_id(KIND, remote_ids)
        known = {request.sent.pk for requests in by_id.values() for request in requests}
        pks = {key: {int(row["object_id"]) for row in rows} - known for key, rows in linked.items()}
        rows = await CancellationRequests(self.omnitron).by_pk({pk for some in pks.values() for pk in some})
        if not rows:
            return {}
        translator = Translator(self.omnitron, await backwards(self.omnitron))
        found = {one.sent.pk: one for one in await translator.requests(list(rows.values()))}
        return {key: [found[pk] for pk in some if pk in found] for key, some in pks.items()}

    async def _group(self, offered: list[Request], others: list[Request]) -> list[Sent]:
        """One call. Half a group would be answered as if it were whole, so it goes out complete or not at all."""
        unmapped = [request.sent for request in others if request.told is None]
        if unmapped:
            why = f"{unmapped[0].key} is answered together with it: {unmapped[0].message}"
            return [request.sent.failed(FailedReasonType.MAPPING, why) for request in offered]
        everyone = sorted((*offered, *others), key=lambda request: (request.remote_id, request.sent.pk))
        answers = await self._safely(self.command.run([request.told for request in everyone if request.told]))
        if isinstance(answers, _Stumble):
            return [_stumbled(request.sent, answers) for request in offered]
        return [_judged(request.sent, answers) for request in offered]

    async def _safely(self, step: Any) -> Any:
        """One group's call; whatever a connector raises is that group's, and stops no other."""
        try:
            return await step
        except IntegrationError as error:
            if isinstance(error, ConfigurationError):
                self.wrong_setting = self.wrong_setting or error
            return _Stumble(str(error))
        except Exception as error:  # noqa: BLE001 - whatever it is
            # Where, and what kind; its text may quote what it was told.
            place = "".join(format_tb(error.__traceback__))
            log.error("the connector failed: %s\n%s", type(error).__name__, place)  # noqa: TRY400
            return _Stumble(f"the connector failed: {type(error).__name__}")


def _of(group: Iterable[str], by_id: Mapping[str, list[Request]]) -> list[Request]:
    return [request for remote_id in group for request in by_id.get(remote_id, ())]


def _judged(sent: Sent, answers: Iterable[BatchRequestResponseDto]) -> Sent:
    """By the answer's status. Of several answers to one remote id (its units) a FAIL is the one that counts."""
    mine = [answer for answer in answers if answer.remote_id == sent.remote_id]
    if not mine:
        return sent.failed(FailedReasonType.CHANNEL_APP, "the channel's answer says nothing of it", technical=True)
    failed = [answer for answer in mine if answer.status is ResponseStatus.FAIL]
    return sent.failed(FailedReasonType.REMOTE, failed[0].message) if failed else sent.succeeded()


@dataclass(frozen=True)
class _Stumble:
    """What a connector raised."""

    sentence: str


def _stumbled(sent: Sent, why: _Stumble) -> Sent:
    return sent.failed(FailedReasonType.CHANNEL_APP, why.sentence, technical=True)
