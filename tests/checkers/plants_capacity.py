"""Planted bugs for the checker of `servedrill.checkers.capacity`."""

from __future__ import annotations

from made_up import Events, Plant, answered, cut, history
from starving import waits

from servedrill.checkers import capacity as c


def probes(cls: str, start: float, *, gap_s: float = 0.02, count: int = 12) -> Events:
    return [answered(start, cls=cls, tokens=20, gap_s=gap_s) for _ in range(count)]


PLANTS = [
    Plant(
        checker=c.CapacityKept(before="before", after="after"),
        clean={
            "as-fast": history(*probes("before", 1), *probes("after", 9)),
            "faster": history(*probes("before", 1), *probes("after", 9, gap_s=0.01)),
        },
        bugs={
            "half-as-fast": history(*probes("before", 1), *probes("after", 9, gap_s=0.04)),
            "half-as-fast-and-no-core-for-a-moment": history(
                *probes("before", 1), *probes("after", 9, gap_s=0.04), *waits(0.1, end=5), *waits(0.3, start=8)
            ),
            "half-as-fast-on-a-busy-machine-throughout": history(
                *probes("before", 1), *probes("after", 9, gap_s=0.04), *waits(0.45)
            ),
            "a-probe-failed": history(*probes("before", 1), *probes("after", 9), cut(9, cls="after")),
        },
        too_little={
            "as-much-slower-as-it-waited-for-cores": history(
                *probes("before", 1), *probes("after", 9, gap_s=0.024), *waits(0.1, end=5), *waits(0.3, start=8)
            ),
            "few-before": history(*probes("before", 1, count=5), *probes("after", 9)),
            "failed-before": history(*probes("before", 1), cut(1, cls="before"), *probes("after", 9)),
            "all-in-one-piece": history(*probes("before", 1, gap_s=0), *probes("after", 9, gap_s=0)),
            "none-after": history(*probes("before", 1)),
        },
    ),
]
