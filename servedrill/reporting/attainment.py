"""Objectives kept or not: each class of users in each window, and what its requests saw over the whole drill."""

from __future__ import annotations

import math

import msgspec

from servedrill.history.history import Window
from servedrill.runs.digest import Digest
from servedrill.slo.words import percent
from servedrill.stats.percentiles import percentile

_OTHERS = "everything"


class Attained(msgspec.Struct, frozen=True, kw_only=True):
    """Of the requests of one class that were due in one window: how many, and how many of them were good."""

    asked: int
    good: int

    @property
    def ratio(self) -> float:
        """Share of good ones, 0 to 1; NaN where nobody asked."""
        return self.good / self.asked if self.asked else math.nan


class ClassReport(msgspec.Struct, frozen=True, kw_only=True):
    """One class of requests. Latencies in seconds; a request that got no token counts as never."""

    name: str
    promise: str
    """In words; empty for a class that nothing was promised."""
    target: float
    windows: list[Attained]
    """One for each of `Attainment.windows`."""
    cancelled: int
    failed: int
    ttft_s: dict[str, float]
    """Of all streamed requests that were not cancelled, by percentile."""
    tpot_s: dict[str, float]
    stall_s: float


class Attainment(msgspec.Struct, frozen=True, kw_only=True):
    """All classes."""

    windows: list[str]
    classes: list[ClassReport]


def attainment(digest: Digest) -> Attainment:
    """Classes in the order of their first request; the last column is the whole drill."""
    r = digest.requests
    columns: list[Window | None] = [*digest.rest.windows.values(), None]
    asked = [[0] * len(columns) for _ in r.classes.all]
    good = [[0] * len(columns) for _ in r.classes.all]
    for column, window in enumerate(columns):
        for row in r.rows(window):
            if not r.cancelled(row):
                asked[r.cls[row]][column] += 1
                good[r.cls[row]][column] += r.good[row]
    ttfts: list[list[float]] = [[] for _ in r.classes.all]
    tpots: list[list[float]] = [[] for _ in r.classes.all]
    stalls, failed, cancelled = [0.0] * len(asked), [0] * len(asked), [0] * len(asked)
    for row in range(len(r)):
        cls = r.cls[row]
        if r.cancelled(row):
            cancelled[cls] += 1
            continue
        failed[cls] += not r.whole(row)
        if r.stream[row]:
            ttfts[cls].append((r.first[row] - r.due[row]) / 1e9 if r.first[row] >= 0 else math.inf)
        if r.tpot_ms[row] >= 0:
            tpots[cls].append(r.tpot_ms[row] / 1e3)
        stalls[cls] = max(stalls[cls], r.stall_ms[row] / 1e3)
    return Attainment(
        windows=[_OTHERS if window is None else window.name for window in columns],
        classes=[
            ClassReport(
                name=name,
                promise=_promise(digest, number),
                target=r.objectives[number].target,
                windows=[Attained(asked=a, good=g) for a, g in zip(asked[number], good[number], strict=True)],
                cancelled=cancelled[number],
                failed=failed[number],
                ttft_s={f"p{p}": percentile(ttfts[number], p) for p in (50, 95, 99)},
                tpot_s={f"p{p}": percentile(tpots[number], p) for p in (50, 95)},
                stall_s=stalls[number],
            )
            for number, name in enumerate(r.classes.all)
        ],
    )


def _promise(digest: Digest, number: int) -> str:
    """An objective in words."""
    objective = digest.requests.objectives[number]
    parts = [
        f"{what} ≤ {value * 1e3:g} ms"
        for what, value in (("TTFT", objective.ttft_s), ("TPOT", objective.tpot_s), ("stall", objective.max_stall_s))
        if value is not None
    ]
    return f"{percent(objective.target)} whole with {', '.join(parts)}" if parts else ""
