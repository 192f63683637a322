"""What a hostile run was like, for people: a few lines of counts, and every difference."""

import resource
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from tests.hostile.patience import Patient
from tests.hostile.servers import Servers

SHOWN = 40  # differences; more of them are one defect


@dataclass(frozen=True)
class Told:
    """A whole run. `flows`: counts of each; `fired`: faults by stand-in and way."""

    name: str
    seconds: float
    flows: Mapping[str, Mapping[str, int]]
    fired: Mapping[str, Mapping[str, int]]
    counts: Mapping[str, int]
    differences: list[str]
    cpu: int = 0  # seconds that the whole program has cost so far, its servers included

    def lines(self) -> list[str]:
        """The whole summary."""
        spent = f"{self.seconds:.0f} s ({self.cpu} s of CPU since the beginning)"
        found = [f"== {self.name}: {len(self.differences)} differences, {spent}"]
        found += [f"  {name:<40}{count:>8}" for name, count in self.counts.items()]
        for flow, told in self.flows.items():
            found.append(f"  {flow}")
            found += [f"    {name:<38}{count:>8}" for name, count in sorted(told.items()) if count]
        for side, ways in self.fired.items():
            found.append(f"  {side} failed {sum(ways.values())} calls")
            found += [f"    {way:<38}{times:>8}" for way, times in ways.items()]
        found += [f"  DIFFERENCE {sentence}" for sentence in self.differences[:SHOWN]]
        return found


def cpu_seconds() -> int:
    """On a busy machine the only measure of how long it takes on a quiet one."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return round(sum(one.ru_utime + one.ru_stime for one in used))


def fired_of(servers: Servers) -> dict[str, dict[str, int]]:
    """How often each stand-in failed in which way."""
    return {"Omnitron": _fired(servers.omnitron), "the marketplace": _fired(servers.marketplace)}


def _fired(url: str) -> dict[str, int]:
    return {rule["name"]: rule["fired"] for rule in asked(url, "/admin/faults") if rule["name"]}


def asked(url: str, path: str, **said: Any) -> Any:
    """What a back office answers, also where its server has just refused a connection."""
    with httpx.Client(base_url=url, timeout=30, transport=Patient()) as client:
        answer = client.post(path, **said) if said else client.get(path)
        answer.raise_for_status()
        return answer.json()
