"""Slow engines: whose tokens come far apart gets no new requests, though all of its answers end well.

An engine that is slow fails nothing, so neither checks nor breaker see it. What users get from it is seen as it passes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from servedrill.refstack.config import GatewayLimits

_WEIGHT = 0.2
_GAPS_MIN = 5
_FRESH_S = 2.0


@dataclass(slots=True)
class Pace:
    """How far apart the tokens of one engine come; times are the loop's, in seconds."""

    gap_s: float = 0.0
    gaps: int = 0
    """Since it was last taken out or let in."""
    seen: float = 0.0
    out_until: float = 0.0
    suspect: bool = False


class SlowOutlier:
    """Out for ``breaker_open_s`` while its tokens come ``outlier_ratio`` times as far apart as those of the others.

    And further apart than ``outlier_gap_s``. Then one request at a time shows whether it is better. At most half of the
    engines are out.
    """

    policy = "outlier"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.paces: dict[str, Pace] = {}

    def pace(self, upstream: str) -> Pace:
        """The pace of an engine, unknown where nothing came from it yet."""
        return self.paces.setdefault(upstream, Pace())

    def token(self, upstream: str, gap_s: float, now: float) -> None:
        """Content of a stream came ``gap_s`` after the content before it."""
        pace = self.pace(upstream)
        anew = pace.gaps == 0 or now - pace.seen > _FRESH_S
        pace.gap_s = gap_s if anew else pace.gap_s + _WEIGHT * (gap_s - pace.gap_s)
        pace.gaps, pace.seen = pace.gaps + 1, now
        if pace.gaps < _GAPS_MIN:
            return
        if self.slow(upstream, now):
            pace.out_until, pace.suspect, pace.gaps = now + self.limits.breaker_open_s, True, 0
        elif now >= pace.out_until:
            pace.suspect = False

    def slow(self, upstream: str, now: float) -> bool:
        """Whether it is far slower than the others are now."""
        others = [pace.gap_s for name, pace in self.paces.items() if name != upstream and now - pace.seen < _FRESH_S]
        return bool(others) and self.pace(upstream).gap_s > max(
            self.limits.outlier_gap_s, self.limits.outlier_ratio * median(others)
        )

    def allows(self, upstream: str, *, in_flight: int, now: float) -> bool:
        """Whether a new request may go there."""
        pace = self.pace(upstream)
        if not pace.suspect:
            return True
        if now < pace.out_until or in_flight:
            return False
        pace.gaps = 0
        return True

    def fewer(self, candidates: Sequence[str], in_flight: dict[str, int], now: float) -> list[str]:
        """Of the engines that may be asked those that are not slow, or all where more than half of them are."""
        quick = [name for name in candidates if self.allows(name, in_flight=in_flight.get(name, 0), now=now)]
        return quick if 2 * len(quick) >= len(candidates) else list(candidates)
