"""Many kinds of faults at once, by chance: rules for `/admin/faults` that together spoil a share of all calls."""

from collections.abc import Iterable
from typing import Any

REFUSED_SECONDS = 0.05  # nobody can connect for so long
HTML = {"Content-Type": "text/html; charset=utf-8"}
# A refused log-in means a wrong password, and one that is throttled for no named time is tried again in a minute.
BUT_LOG_IN = "^(?!.*/auth/login/)"

Rule = dict[str, Any]

WAYS: dict[str, Rule] = {
    "refused": {"kind": "refuse", "seconds": REFUSED_SECONDS},
    "cut before": {"kind": "cut_before"},
    "cut after": {"kind": "cut_after"},
    "500": {"kind": "status", "status": 500, "body": {"detail": "Internal Server Error"}},
    "502 with HTML": {"kind": "status", "status": 502, "body": "<html>Bad Gateway</html>", "headers": HTML},
    "429": {"kind": "status", "status": 429, "body": "slow down"},
    "429 with Retry-After": {"kind": "status", "status": 429, "body": "slow down", "headers": {"Retry-After": "1"}},
    "401": {"kind": "status", "status": 401, "body": {"detail": "Invalid token."}},
    "time-out": {"kind": "latency", "done_first": True},
    "time-out, done late": {"kind": "latency"},
    "truncated": {"kind": "truncate"},
    "200 with HTML": {"kind": "status", "status": 200, "body": "<html>Bakımdayız</html>", "headers": HTML},
}
NOT_OF_A_LOG_IN = ("401", "429", "200 with HTML")


def storm(share: float, *, seconds: float, ways: Iterable[str] = tuple(WAYS)) -> list[Rule]:
    """Rules that spoil `share` of all calls, each way equally often; a time-out is an answer after `seconds`.

    The first rule that fires wins, so each later one is asked by fewer calls and fires a little more readily.
    """
    names = list(ways)
    each, left, rules = share / len(names), 1.0, []
    for name in names:
        action = {**WAYS[name], "seconds": seconds} if WAYS[name]["kind"] == "latency" else WAYS[name]
        path = BUT_LOG_IN if name in NOT_OF_A_LOG_IN else ""
        rules.append({"name": name, "path": path, "probability": min(each / left, 1.0), "action": action})
        left -= each
    return rules
