"""A plot as a figure: what is drawn, in which unit, against which limits. Nothing here knows how it is drawn.

A line has a point for each bucket of time: half a second, or more where a drill is so long that there would be more
than `BUCKETS_MAX`.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable
from typing import Literal

import msgspec

from servedrill.judging.words import duration
from servedrill.runs.digest import Digest

BUCKETS_MAX = 400
_STEPS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400)

Point = float | None


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One series; ``y`` belongs to the plot's ``x``, unless it has its own."""

    label: str
    y: list[Point]
    x: list[float] | None = None
    draw: Literal["line", "points", "crosses", "bars", "area", "steps"] = "line"
    tone: str = ""
    """A meaning that has a colour of its own (median, high, most, bad, quiet, whole); else the palette's next."""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """A level that something was promised to stay under."""

    y: float
    label: str


class Plot(msgspec.Struct, frozen=True, kw_only=True):
    """One picture."""

    title: str
    unit: str
    about: str
    """What is shown, in a sentence."""
    summary: str
    """What can be seen, in a sentence: for those who cannot see it."""
    x: list[float]
    lines: list[Line]
    limits: list[Limit] = []
    log: bool = False
    stacked: bool = False
    top: float | None = None
    """The end of the scale, where it is known."""


class Buckets:
    """Equal stretches of time over a drill; an instant's bucket by its index."""

    def __init__(self, digest: Digest, *, least_s: float = 0.5) -> None:
        wanted = max(least_s, digest.seconds / BUCKETS_MAX)
        self.width_s = next((step for step in (least_s, *_STEPS_S) if step >= wanted), wanted)
        self.count = max(1, math.ceil(digest.seconds / self.width_s))
        self._start_ns, self._width_ns = digest.start_ns, int(self.width_s * 1e9)

    def of(self, t_ns: int) -> int:
        """The bucket of an instant, from 0; what is outside counts to the first or the last."""
        return min(self.count - 1, max(0, (t_ns - self._start_ns) // self._width_ns))

    @property
    def middles(self) -> list[float]:
        """Seconds since the drill began, bucket by bucket."""
        return [brief((index + 0.5) * self.width_s) for index in range(self.count)]

    @property
    def every(self) -> str:
        """The width, in words."""
        return duration(self.width_s)

    def collect(self, values: Iterable[tuple[int, float]]) -> list[array[float]]:
        """Values by bucket."""
        found = [array("d") for _ in range(self.count)]
        for t_ns, value in values:
            found[self.of(t_ns)].append(value)
        return found


def brief(value: float) -> float:
    """Four significant digits: more cannot be seen, and costs space."""
    return float(f"{value:.4g}")
