"""Percentiles by nearest rank, so that each is a value that was really seen."""

from __future__ import annotations

import math
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

SORTED_MAX = 100_000
"""Values that are sorted at once; a float of a list takes four times as much memory as one of an array."""


def percentile(values: Iterable[float], p: float) -> float:
    """The ``p``-th percentile (0 to 100); NaN of nothing. Infinities count as the largest values."""
    held = values if isinstance(values, Sequence) else array("d", values)
    if not held:
        return math.nan
    rank = max(0, math.ceil(p / 100 * len(held)) - 1)
    return sorted(held)[rank] if len(held) <= SORTED_MAX else _of_rank(array("d", held), rank)


def _of_rank(values: array[float], rank: int) -> float:
    """The value that has ``rank`` others before it, of more than should be sorted as a whole.

    Runs of them are sorted in place. Then the middle of the longest run parts all of them, again and again, until few
    are left.
    """
    edges = [(start, min(start + SORTED_MAX, len(values))) for start in range(0, len(values), SORTED_MAX)]
    for start, end in edges:
        values[start:end] = array("d", sorted(values[start:end]))
    while sum(end - start for start, end in edges) > SORTED_MAX:
        start, end = max(edges, key=lambda edge: edge[1] - edge[0])
        middle = values[(start + end) // 2]
        below = [(start, bisect_left(values, middle, start, end)) for start, end in edges]
        above = [(bisect_right(values, middle, start, end), end) for start, end in edges]
        smaller = sum(end - start for start, end in below)
        not_larger = sum(end - start for start, end in edges) - sum(end - start for start, end in above)
        if smaller <= rank < not_larger:
            return middle
        edges, rank = (below, rank) if rank < smaller else (above, rank - not_larger)
    return sorted(chain.from_iterable(values[start:end] for start, end in edges))[rank]


def percentile_counted(counts: Mapping[int, int], p: float) -> float:
    """The same of values that were counted: value to how often it was seen."""
    rank = max(1, math.ceil(p / 100 * sum(counts.values())))
    for value in sorted(counts):
        rank -= counts[value]
        if rank <= 0:
            return value
    return math.nan


def median(values: Sequence[float]) -> float:
    """The 50th `percentile`; NaN of nothing."""
    return percentile(values, 50)
