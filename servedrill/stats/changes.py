"""Where a series changes its level: Pettitt's test, which asks for ranks alone, so that one wild value changes nothing.

    U(t) = 2 sum of the ranks up to t - t (n + 1);  K = max |U(t)|;  p ~ 2 exp(-6 K^2 / (n^3 + n^2))

A. N. Pettitt, "A Non-Parametric Approach to the Change-Point Problem", Applied Statistics 28 (1979). Where there is a
change, each side is looked at again. The approximation is on the safe side: nine values before and nine after have to
be well apart.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

P_MAX = 0.005
SIDE_MIN = 5
"""Values on either side of a change."""


def changes(values: Sequence[float], *, p_max: float = P_MAX) -> list[int]:
    """Indexes of the first values of a new level, in order."""
    found: list[int] = []
    left = [(0, len(values))]
    while left:
        begin, end = left.pop()
        at, p = _likeliest(values[begin:end])
        if p <= p_max and at >= SIDE_MIN and end - begin - at >= SIDE_MIN:
            found.append(begin + at)
            left += [(begin, begin + at), (begin + at, end)]
    return sorted(found)


def _likeliest(values: Sequence[float]) -> tuple[int, float]:
    """Where a change is most likely, and how likely one that large would be where there is none."""
    n = len(values)
    if n < 2 * SIDE_MIN:
        return 0, 1.0
    total, most, at = 0.0, 0.0, 0
    for t, rank in enumerate(_ranks(values), start=1):
        total += rank
        u = abs(2 * total - t * (n + 1))
        if u > most:
            most, at = u, t
    return at, min(1.0, 2 * math.exp(-6 * most**2 / (n**3 + n**2)))


def _ranks(values: Sequence[float]) -> list[float]:
    """From 1; of equal values the mean."""
    order = sorted(range(len(values)), key=values.__getitem__)
    ranks = [0.0] * len(values)
    begin = 0
    while begin < len(order):
        end = begin
        while end < len(order) and values[order[end]] == values[order[begin]]:
            end += 1
        for place in order[begin:end]:
            ranks[place] = (begin + 1 + end) / 2
        begin = end
    return ranks
