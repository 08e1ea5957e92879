"""Percentiles by nearest rank, so that each is a value that was really seen."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence


def percentile(values: Iterable[float], p: float) -> float:
    """The ``p``-th percentile (0 to 100); NaN of nothing. Infinities count as the largest values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)] if ordered else math.nan


def percentile_counted(counts: Mapping[int, int], p: float) -> float:
    """The same of values that were counted: value to how often it was seen."""
    rank = max(1, math.ceil(p / 100 * sum(counts.values())))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return math.nan


def median(values: Sequence[float]) -> float:
    return percentile(values, 50)
