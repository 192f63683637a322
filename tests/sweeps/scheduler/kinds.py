"""What is done to a channel, and where: one row a kind, one row a call that is better not done twice."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.sweeps.scheduler.gate import Hold, Which
from tests.sweeps.scheduler.stand import TIMEOUT, Side, Stand

A_FEW = 8  # where no task fails of it
REFUSED_SECONDS = 6.0  # longer than four tries
HTML = {"body": "<html>Bad Gateway</html>", "headers": {"Content-Type": "text/html"}}
Json = dict[str, Any]


@dataclass(frozen=True)
class Point:
    """The call of a flow that is disturbed; `before` is one that comes before it, for what has to be ready."""

    flow: str
    side: str
    call: Which
    before: tuple[str, Which]
    run_of: str = ""  # where another DAG's runs make it
    is_patient: bool = False  # whoever makes it goes on making it, whatever the answer is

    @property
    def dag(self) -> str:
        return self.run_of or self.flow

    def __str__(self) -> str:
        return f"{self.call.method} {self.call.path}"


@dataclass(frozen=True)
class Spoilt:
    """The server answers badly: so often, or until a task has failed of it and Airflow has to try it again."""

    action: Mapping[str, Any]
    times: int | None = None
    logged_out: bool = False

    def arm(self, stand: Stand, point: Point) -> None:
        """From now on."""
        if self.logged_out:
            stand.omnitron.http.post("/admin/tokens/expire").raise_for_status()
        stand.side(point.side).http.delete("/admin/requests").raise_for_status()
        times = self.times or (A_FEW if point.is_patient else None)
        rule = {"method": point.call.method, "path": point.call.path, "times": times, "action": self.action}
        stand.side(point.side).http.post("/admin/faults", json=rule).raise_for_status()

    def relieve(self, stand: Stand, point: Point) -> None:
        """It answers well again."""
        stand.side(point.side).http.delete("/admin/faults").raise_for_status()

    def met(self, stand: Stand, point: Point) -> int:
        """How many calls were disturbed."""
        return sum(bool(call["fault"]) for call in stand.side(point.side).http.get("/admin/requests").json())


@dataclass(frozen=True)
class Refused:
    """Nobody listens at the server's port for a while, beginning before the call."""

    def arm(self, stand: Stand, point: Point) -> None:
        """From the call before it on."""
        side, which = point.before
        door = stand.side(point.side).door
        assert door
        stand.side(side).gate.after = (which, lambda: door.shut(REFUSED_SECONDS))

    def met(self, stand: Stand, point: Point) -> int:
        """Whether the door was shut."""
        return stand.side(point.before[0]).gate.calls


@dataclass(frozen=True)
class Killed:
    """kill -9 while the call is in the air. `worked`: the server did what it was asked."""

    worked: bool
    supervisor: bool
    task: bool
    at: Which | None = None  # another call of Omnitron's, instead

    def arm(self, stand: Stand, point: Point) -> None:
        """The next such call is held."""
        self._side(stand, point).gate.hold = Hold(self.at or point.call, self.worked)

    def met(self, stand: Stand, point: Point) -> int:
        """Whether the call came."""
        return self._side(stand, point).gate.calls

    def is_held(self, stand: Stand, point: Point) -> bool:
        """Now is the time."""
        hold = self._side(stand, point).gate.hold
        return bool(hold and hold.held.is_set())

    def _side(self, stand: Stand, point: Point) -> Side:
        return stand.omnitron if self.at else stand.side(point.side)


Kind = Spoilt | Refused | Killed


def _status(status: int, **more: Any) -> Json:
    return {"kind": "status", "status": status, **more}


PLAIN = "plain"
BATCH = r"/batch_requests/\d+/$"
KINDS: dict[str, Kind] = {
    "refused": Refused(),
    "cut_before": Spoilt({"kind": "cut_before"}),
    "cut_after": Spoilt({"kind": "cut_after"}),
    "error_500": Spoilt(_status(500)),
    "html_502": Spoilt(_status(502, **HTML)),
    "throttled": Spoilt(_status(429)),
    "throttled_until": Spoilt(_status(429, headers={"Retry-After": "2"})),
    "logged_out": Spoilt(_status(401), times=1, logged_out=True),
    "timed_out": Spoilt({"kind": "latency", "seconds": TIMEOUT + 1.5}, times=4),
    "truncated": Spoilt({"kind": "truncate"}),
    "task_killed": Killed(worked=True, supervisor=False, task=True),
    "worker_killed": Killed(worked=True, supervisor=True, task=False),
    "both_killed": Killed(worked=False, supervisor=True, task=True, at=Which("PATCH", BATCH, b'"done"')),
}
GETS_ORDER = ("market", Which("GET", r"/api/orders/\d+$"))
ITEMS_READ = ("omnitron", Which("GET", "/order_items/$"))
LINKS_READ = ("omnitron", Which("GET", "/integration_actions/$"))
ORDER_CREATED = Point("fetch_orders", "omnitron", Which("POST", "/create_orders/$"), ITEMS_READ)
PARCEL_TOLD = Point("update_orders", "market", Which("POST", "/shipment$"), GETS_ORDER)
FEED_SENT = Point("update_orders", "market", Which("POST", "/feeds/shipments$"), GETS_ORDER)
FEED_ASKED = Point(
    "check_orders", "market", Which("GET", r"/feeds/\d+$"), ("market", Which("POST", "/feeds/shipments$")),
    run_of="update_orders", is_patient=True,
)  # fmt: skip
BATCH_SWEPT = Point("check_orders", "omnitron", Which("PATCH", BATCH), ("market", Which("GET", r"/feeds/\d+$")))
CANCELLED = Point("fetch_and_create_cancel", "omnitron", Which("POST", r"/orders/\d+/cancel/$"), ITEMS_READ)
ITEM_CHANGED = Point("fetch_and_update_order_items", "omnitron", Which("PATCH", r"/order_items/\d+/$"), ITEMS_READ)
ASKED = Point(
    "fetch_and_create_cancellation_requests", "omnitron", Which("POST", "/cancellation_requests/$"), LINKS_READ
)
ANSWERED = Point(
    "update_cancellation_requests", "market", Which("POST", r"/claims/\d+/(approve|reject)$"),
    ("market", Which("GET", r"/claims/\d+$")),
)  # fmt: skip
