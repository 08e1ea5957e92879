"""How long prompts and answers are: a fixed number of words, a uniform draw, a lognormal one, or one by its quantiles.

Real prompt and answer lengths have a long tail. The lognormal form needs the least knowledge of the traffic: its median
and its 95th percentile. Where more is known (a context window that many prompts fill, two sorts of answers), use
quantiles.
"""

from __future__ import annotations

import math
import random
from itertools import pairwise
from typing import TypeAlias

import msgspec

from servedrill.errors import UsageError

_Z95 = 1.6448536269514722
"""Standard normal quantile of 0.95."""


class Uniform(msgspec.Struct, frozen=True, tag_field="kind", tag="uniform"):
    """Any whole number from ``lo`` to ``hi``, both included."""

    lo: int
    hi: int

    def __post_init__(self) -> None:
        if not 0 <= self.lo <= self.hi:
            raise UsageError(f"lo {self.lo}, hi {self.hi}", where="Uniform", expected="0 <= lo <= hi")


class LogNormal(msgspec.Struct, frozen=True, tag_field="kind", tag="lognormal"):
    """Lognormal by its median and 95th percentile, clipped to ``lo`` .. ``hi``."""

    median: int
    p95: int
    lo: int = 1
    hi: int = 32_768

    def __post_init__(self) -> None:
        if not 0 < self.median <= self.p95:
            raise UsageError(f"median {self.median}, p95 {self.p95}", where="LogNormal", expected="0 < median <= p95")
        if not 0 <= self.lo <= self.hi:
            raise UsageError(f"lo {self.lo}, hi {self.hi}", where="LogNormal", expected="0 <= lo <= hi")


class Quantiles(msgspec.Struct, frozen=True, tag_field="kind", tag="quantiles"):
    """By quantiles that are known, ``(share, length)`` from share 0 to share 1; geometric between two of them."""

    points: tuple[tuple[float, int], ...]

    def __post_init__(self) -> None:
        shares, lengths = [share for share, _ in self.points], [length for _, length in self.points]
        rising = all(a < b for a, b in pairwise(shares)) and all(a <= b for a, b in pairwise(lengths))
        if not (rising and len(shares) > 1 and shares[0] == 0 and shares[-1] == 1 and lengths[0] > 0):
            raise UsageError(
                f"points {self.points}", where="Quantiles", expected="shares that rise from 0 to 1, lengths from 1 up"
            )

    @property
    def lo(self) -> int:
        """The shortest length."""
        return self.points[0][1]

    @property
    def hi(self) -> int:
        """The longest length."""
        return self.points[-1][1]

    def at(self, share: float) -> int:
        """The length that ``share`` of all do not exceed."""
        for (low, shorter), (high, longer) in pairwise(self.points):
            if share <= high:
                return round(shorter * math.pow(longer / shorter, (share - low) / (high - low)))
        return self.hi

    def scaled(self, scale: float, *, longest: int) -> Quantiles:
        """Every length times ``scale``, from 1 to ``longest``."""
        return Quantiles(tuple((share, min(max(1, round(n * scale)), longest)) for share, n in self.points))


Length: TypeAlias = int | Uniform | LogNormal | Quantiles
"""Words of a prompt or tokens of an answer; a plain number is always that number."""


def draw(length: Length, rng: random.Random) -> int:
    """One length; takes the same number of draws from ``rng`` whatever comes out."""
    if isinstance(length, int):
        return length
    if isinstance(length, Uniform):
        return length.lo + int(rng.random() * (length.hi - length.lo + 1))
    if isinstance(length, Quantiles):
        return length.at(rng.random())
    sigma = math.log(length.p95 / length.median) / _Z95
    value = round(length.median * math.exp(sigma * rng.gauss(0.0, 1.0)))
    return min(max(value, length.lo), length.hi)


def check_length(length: Length, *, where: str, at_least: int = 0) -> None:
    """Raise `UsageError` when the length could come out under ``at_least``."""
    least = length if isinstance(length, int) else length.lo
    if least < at_least:
        raise UsageError(f"a length of {least}", where=where, expected=f"{at_least} or more")
