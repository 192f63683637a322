"""A shelf that is told what became of its orders. What arrives there is a file, so that it outlives a killed task."""

import asyncio
import json
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from order_integration.channels.commands import CheckOrders, Connector, ConnectorSettings, SendUpdatedOrders
from order_integration.dto import FeedVerdict, OrderBatchRequestResponseDto, Submission, Submitted
from order_integration.errors import ConfigurationError, RetriableError
from tests.shelf import ShelfGetOrders

FOREVER = 3600
ERRORS = {
    "retriable": RetriableError("the shelf is out of reach"),
    "slip": KeyError("of buyer@example.com"),
    "other": OSError("the socket of buyer@example.com"),
    "setting": ConfigurationError("the shelf takes no key of ours any more"),
}


class Board:
    """The channel's side: what arrived, and how it is to answer."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        (self.folder / "received").mkdir(parents=True, exist_ok=True)

    @property
    def rules(self) -> dict[str, Any]:
        path = self.folder / "rules.json"
        return json.loads(path.read_text()) if path.exists() else {}

    def rule(self, **rules: Any) -> None:
        """answers: results | feeds | both | nothing; by: both | number | remote_id_as_number; refuse, silent: remote
        ids; fail: before | after | slip | other (of the command, on its page `on`, `times`); hang: before | after;
        feeds: state by feed id, or under `*`; feeds_a_page; padding: of feed ids; fell: how; check: an error.
        """
        draft = self.folder / "rules.draft"
        draft.write_text(json.dumps({**self.rules, **rules}))
        draft.replace(self.folder / "rules.json")

    def receive(self, submission: Submission) -> None:
        row = submission.model_dump(mode="json")
        (self.folder / "received" / f"{time.time_ns()}.json").write_text(json.dumps(row))

    def received(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "received").iterdir())]

    def orders(self) -> list[str]:
        """Remote ids of all orders that arrived, as often as they did."""
        return sorted(order["remote_id"] for row in self.received() for order in row["orders"])

    def feeds_of(self, row: dict[str, Any]) -> list[str]:
        """A page's feeds; its orders are dealt out to them in turn."""
        rules = self.rules
        name = sha256(row["reference"].encode()).hexdigest()[:8] + "x" * rules.get("padding", 0)
        return [f"f{number}-{name}" for number in range(rules.get("feeds_a_page", 1))]

    def orders_of(self, feed: str) -> list[dict[str, Any]]:
        for row in self.received():
            if feed in (feeds := self.feeds_of(row)):
                mine = self._by_feed(row)
                return mine[feeds.index(feed) :: len(feeds)]
        return []

    def feeds(self) -> list[str]:
        return [feed for row in self.received() for feed in self.feeds_of(row)]

    def answer(self, row: dict[str, Any]) -> Submitted:
        kind = self.rules.get("answers", "results")
        now = {"results": row["orders"], "both": self._at_once(row)}.get(kind, [])
        feeds = self.feeds_of(row) if kind in {"feeds", "both"} else []
        return Submitted(results=self.results(now), feed_ids=feeds)

    def verdict(self, feed: str) -> FeedVerdict:
        states = self.rules.get("feeds", {})
        state = states.get(feed) or states.get("*", "running")
        results = self.results(self.orders_of(feed)) if state == "done" else []
        return FeedVerdict(feed_id=feed, state=state, results=results, message=self._fell() * (state == "failed"))

    def _fell(self) -> str:
        return f"the shelf fell {self.rules.get('fell', '')}".strip()

    def results(self, orders: list[dict[str, Any]]) -> list[OrderBatchRequestResponseDto]:
        rules = self.rules
        by = rules.get("by", "both")
        found = []
        for place, order in enumerate(orders):
            key, number = order["remote_id"], order["number"]
            if key in rules.get("silent", []):
                continue
            own = {
                "both": {"remote_id": key, "number": number},
                "number": {"remote_id": f"order_{place}", "number": number},
                "remote_id_as_number": {"remote_id": f"order_{place}", "number": key},
            }[by]
            refused = {"status": "FAIL", "message": f"no shelf for buyer{key}@example.com"}
            found.append({**own, **(refused if key in rules.get("refuse", []) else {"status": "SUCCESS"})})
        return [OrderBatchRequestResponseDto(**one) for one in found]

    def _at_once(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [order for order in row["orders"] if order["remote_id"] in self.rules.get("at_once", [])]

    def _by_feed(self, row: dict[str, Any]) -> list[dict[str, Any]]:
        return [order for order in row["orders"] if order["remote_id"] not in self.rules.get("at_once", [])]


class OutboundSettings(ConnectorSettings):
    folder: str


class Tell(SendUpdatedOrders):
    async def send_request(self, data: Submission) -> Submitted:
        board = Board(self.settings.folder)
        rules, here = board.rules, len({row["reference"] for row in board.received()})
        is_mine = rules.get("on", here) == here
        await self._fault(rules, "before" if is_mine else "")
        board.receive(data)
        await self._fault(rules, "after" if is_mine else "")
        if is_mine and (error := {name: ERRORS[name] for name in ("slip", "other")}.get(rules.get("fail", ""))):
            raise error
        return board.answer(data.model_dump(mode="json"))

    def normalize_response(self, response: Submitted) -> Submitted:
        return response

    async def _fault(self, rules: dict[str, Any], where: str) -> None:
        if rules.get("hang") == where:
            (Path(self.settings.folder) / "hangs").touch()
            await asyncio.sleep(FOREVER)
        if rules.get("fail") == where and self._failed_less_often(rules):
            raise RetriableError("the shelf is out of reach")

    def _failed_less_often(self, rules: dict[str, Any]) -> bool:
        path = Path(self.settings.folder) / "failed"
        failed = int(path.read_text()) if path.exists() else 0
        path.write_text(str(failed + 1))
        return failed < rules.get("times", failed + 1)


class TellOnce(Tell):
    """Can be asked for what it was sent."""

    async def find_submission(self, reference: str) -> Submitted | None:
        board = Board(self.settings.folder)
        for row in board.received():
            if row["reference"] == reference:
                return board.answer(row)
        return None


class TellPlainly(TellOnce):
    """The same, with plain functions."""

    def find_submission(self, reference: str) -> Submitted | None:  # type: ignore[override]
        return asyncio.run(super().find_submission(reference))


class AskShelf(CheckOrders):
    async def send_request(self, data: list[str]) -> list[FeedVerdict]:
        board = Board(self.settings.folder)
        with (board.folder / "asked").open("a") as file:
            file.write(",".join(data) + "\n")
        if error := ERRORS.get(board.rules.get("check")):
            raise error
        return [board.verdict(feed) for feed in data]

    def normalize_response(self, response: list[FeedVerdict]) -> list[FeedVerdict]:
        return response


class OutboundShelf(Connector):
    """`connector: tests.shelf_outbound:OutboundShelf`; `settings: {folder: …}`."""

    Settings = OutboundSettings
    commands = (ShelfGetOrders, TellOnce, AskShelf)


class ForgetfulShelf(OutboundShelf):
    """Can't be asked for what it was sent."""

    commands = (ShelfGetOrders, Tell, AskShelf)


class PlainShelf(OutboundShelf):
    """Whose steps run in threads."""

    commands = (ShelfGetOrders, TellPlainly, AskShelf)
