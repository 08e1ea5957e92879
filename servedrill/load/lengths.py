"""How long prompts and answers are: a fixed number of words, a uniform draw, or a lognormal one.

Real prompt and answer lengths are close to lognormal with a long tail, so that form takes what people know of their
traffic: its median and its 95th percentile.
"""

from __future__ import annotations

import math
import random
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


Length: TypeAlias = int | Uniform | LogNormal
"""Words of a prompt or tokens of an answer; a plain number is always that number."""


def draw(length: Length, rng: random.Random) -> int:
    """One length; takes the same number of draws from ``rng`` whatever comes out."""
    if isinstance(length, int):
        return length
    if isinstance(length, Uniform):
        return length.lo + int(rng.random() * (length.hi - length.lo + 1))
    sigma = math.log(length.p95 / length.median) / _Z95
    value = round(length.median * math.exp(sigma * rng.gauss(0.0, 1.0)))
    return min(max(value, length.lo), length.hi)


def check_length(length: Length, *, where: str, at_least: int = 0) -> None:
    """Raise `UsageError` when the length could come out under ``at_least``."""
    least = length if isinstance(length, int) else length.lo
    if least < at_least:
        raise UsageError(f"a length of {least}", where=where, expected=f"{at_least} or more")
