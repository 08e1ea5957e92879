"""SLIs over a history's requests: events, series, attainment, goodput, percentiles twice. Pure functions.

Requests that the drill cancelled are left out before anything is counted: they are neither good nor bad.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Protocol, TypeAlias

import msgspec

from servedrill.history.events import Observed, RequestRecord
from servedrill.history.history import History
from servedrill.history.requests import Requests
from servedrill.slo.measures import COUNTS, OBSERVED, RATES, VALUES, arrivals_ns, values_of
from servedrill.slo.objectives import Objective
from servedrill.slo.slo import COMPARE, Slo
from servedrill.stats.figures import wholes
from servedrill.stats.percentiles import percentile

Counted: TypeAlias = tuple[int, float, float]
"""An instant, good events, all events."""


class Tally(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Good events of all at one instant, or over a stretch of time."""

    t_ns: int
    good: float
    total: float

    @property
    def ratio(self) -> float:
        """NaN of nothing."""
        return self.good / self.total if self.total else math.nan


class Percentile(msgspec.Struct, frozen=True, kw_only=True):
    """The same percentile twice: with failures as the worst values of all, and of what survived."""

    all: float
    survivors: float


class Events(Protocol):
    """The events of an SLO, each at an instant: when its request was due, or a time slice began."""

    def counted(self) -> tuple[float, float]:
        """Good ones, and all."""
        ...

    def by_slice(self, start_ns: int, width_ns: int) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """The same by time slice, number 0 being the one that begins at ``start_ns``."""
        ...


class Chosen:
    """Requests that are one event each, and the good ones of them."""

    def __init__(self, pairs: Iterable[tuple[Requests, Requests]]) -> None:
        self._pairs = list(pairs)

    def counted(self) -> tuple[float, float]:
        """Good requests, and all."""
        return sum(len(good) for _, good in self._pairs), sum(len(asked) for asked, _ in self._pairs)

    def by_slice(self, start_ns: int, width_ns: int) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """The same by the time slice in which they were due."""
        good, total = Counter[int](), Counter[int]()
        for asked, kept in self._pairs:
            total.update(asked.counted("t_int_ns", start_ns, width_ns))
            good.update(kept.counted("t_int_ns", start_ns, width_ns))
        return good, total


class Told:
    """Events of any weight, told anew each time: instants, good ones, all."""

    def __init__(self, each: Callable[[], Iterable[Counted]]) -> None:
        self._each = each

    def counted(self) -> tuple[float, float]:
        """Good weight, and all of it."""
        good: float = 0
        total: float = 0
        for _, ones_good, ones in self._each():
            good, total = good + ones_good, total + ones
        return good, total

    def by_slice(self, start_ns: int, width_ns: int) -> tuple[Mapping[int, float], Mapping[int, float]]:
        """The same by the time slice of each event's instant."""
        good, total = Counter[int](), Counter[int]()
        for t_ns, ones_good, ones in self._each():
            number = (t_ns - start_ns) // width_ns
            good[number] += ones_good  # type: ignore[assignment]
            total[number] += ones  # type: ignore[assignment]
        return good, total


def events(
    slo: Slo,
    requests: Iterable[RequestRecord],
    *,
    start_ns: int,
    end_ns: int,
    observed: Sequence[Observed] = (),
) -> Events:
    """Every event of an SLO within a stretch of time."""
    if slo.sli.measure == OBSERVED:
        return Told(lambda: _observed(slo, observed, start_ns, end_ns))
    asked = Requests.of(requests).attempted
    if slo.sli.measure in RATES:
        return Told(lambda: _slices_of_rate(slo, asked, start_ns, end_ns))
    asked = asked.due(start_ns, end_ns)
    if slo.sli.measure == "good_ratio":
        return Chosen([(asked, asked.keep(slo.sli.limits.goods(asked)))])
    return Told(
        lambda: (
            (due_ns, *told)
            for due_ns, told in zip(asked.column("t_int_ns"), _told(slo, asked), strict=True)
            if told is not None
        )
    )


def _observed(slo: Slo, observed: Sequence[Observed], start_ns: int, end_ns: int) -> Iterator[Counted]:
    compare = COMPARE[slo.sli.op]
    for seen in observed:
        if seen.name == slo.sli.observed and start_ns <= seen.t_ns <= end_ns:
            yield seen.t_ns, int(seen.value is not None and compare(seen.value, _limit(slo))), 1


def missed(slo: Slo, requests: Iterable[RequestRecord]) -> Requests:
    """The requests that are bad events of an SLO."""
    asked = Requests.of(requests).attempted
    if slo.sli.measure in RATES or slo.sli.measure == OBSERVED:
        return asked[:0]
    return asked.keep(told is not None and told[0] < told[1] for told in _told(slo, asked))


def _told(slo: Slo, requests: Requests) -> Iterator[tuple[int, int] | None]:
    """Good ones of all that each request counts for; None of one that is no event."""
    sli = slo.sli
    if sli.measure in COUNTS:
        return COUNTS[sli.measure].each(requests, sli.limits)
    compare, limit = COMPARE[sli.op], _limit(slo)
    told = zip(wholes(requests), values_of(sli.measure, requests, sli.limits), strict=True)
    return (None if value is None else (int(whole and compare(value, limit)), 1) for whole, value in told)


def series(found: Events, *, start_ns: int, end_ns: int, bucket_s: float) -> list[Tally]:
    """Events added up by time slice; the last slice may be a shorter one, and a slice without an event is there,
    empty."""
    bucket_ns = max(1, round(bucket_s * 1e9))
    count = max(1, math.ceil((end_ns - start_ns) / bucket_ns))
    good, total = [0.0] * count, [0.0] * count
    for slices, counted in zip((good, total), found.by_slice(start_ns, bucket_ns), strict=True):
        for number, ones in counted.items():
            slices[min(count - 1, max(0, number))] += ones
    return [Tally(t_ns=start_ns + index * bucket_ns, good=good[index], total=total[index]) for index in range(count)]


def attained(
    slo: Slo, requests: Iterable[RequestRecord], *, start_ns: int, end_ns: int, observed: Sequence[Observed] = ()
) -> Tally:
    """What the SLO's target is compared with, by its budgeting method; ``total`` is 0 where there was nothing to
    judge."""
    found = events(slo, requests, start_ns=start_ns, end_ns=end_ns, observed=observed)
    return attained_of(slo, found, start_ns=start_ns, end_ns=end_ns)


def attained_of(slo: Slo, found: Events, *, start_ns: int, end_ns: int) -> Tally:
    """The same of events that are known already.

    Occurrences: good events of all. Timeslices: slices that reached their own target, of all. RatioTimeslices: the mean
    of the slices' ratios. Slices without an event say nothing and are left out.
    """
    if slo.method == "Occurrences":
        good, total = found.counted()
        return Tally(t_ns=start_ns, good=good, total=total)
    assert slo.slice_s is not None
    slices = [one for one in series(found, start_ns=start_ns, end_ns=end_ns, bucket_s=slo.slice_s) if one.total]
    if slo.method == "Timeslices":
        needed = 1.0 if slo.slice_target is None else slo.slice_target
        reached = float(sum(one.ratio >= needed for one in slices))
    else:
        reached = math.fsum(one.ratio for one in slices)
    return Tally(t_ns=start_ns, good=reached, total=len(slices))


def traffic_span(history: History) -> tuple[int, int]:
    """From the first request that was due to the end of the last; the history's own where there was none."""
    requests = history.requests(cancelled=True)
    if not requests:
        return history.start_ns, history.end_ns
    return min(requests.column("t_int_ns")), max(requests.column("t_end_ns"))


def goodput_per_s(requests: Iterable[RequestRecord], objective: Objective, *, seconds: float) -> float:
    """Good requests a second. A rate, so it falls when requests are dropped or come late, as attainment may not."""
    return sum(objective.goods(Requests.of(requests).attempted)) / seconds


def percentiles(
    requests: Iterable[RequestRecord], measure: str, p: float, *, limits: Objective | None = None
) -> Percentile:
    """The ``p``-th percentile (0 to 100) of a measure with failures as the worst values, and of survivors only; NaN of
    nothing."""
    asked = Requests.of(requests).attempted
    told = zip(wholes(asked), values_of(measure, asked, limits or Objective()), strict=True)
    values = [(survived, value) for survived, value in told if value is not None]
    if VALUES[measure].more_is_better:
        # The p-th from the bad end, so that a failure is the worst here too.
        values = [(survived, -value) for survived, value in values]
        sign = -1.0
    else:
        sign = 1.0
    return Percentile(
        all=sign * percentile([value for _, value in values], p),
        survivors=sign * percentile([value for survived, value in values if survived], p),
    )


def _slices_of_rate(slo: Slo, asked: Requests, start_ns: int, end_ns: int) -> Iterator[Counted]:
    """One event for each whole time slice in which a request was due or under way; a run shorter than a slice is
    one."""
    assert slo.slice_s is not None
    slice_ns = round(slo.slice_s * 1e9)
    width_ns, count = min(slice_ns, end_ns - start_ns), max(1, (end_ns - start_ns) // slice_ns)
    if width_ns <= 0:
        return
    amounts = [0.0] * count
    for at_ns, weight in _weights(slo, asked):
        index = (at_ns - start_ns) // slice_ns
        if 0 <= index < count:
            amounts[index] += weight
    turns = [0] * (count + 1)  # how many more are under way in a slice than in the one before
    for due_ns, over_ns in asked.columns("t_int_ns", "t_end_ns"):
        first = max(0, (due_ns - start_ns) // width_ns)
        last = min(count - 1, (over_ns - start_ns) // width_ns)
        if first <= last:
            turns[first] += 1
            turns[last + 1] -= 1
    for index, (amount, under_way) in enumerate(zip(amounts, accumulate(turns), strict=False)):
        if under_way:
            good = COMPARE[slo.sli.op](amount / (width_ns / 1e9), _limit(slo))
            yield start_ns + index * slice_ns, int(good), 1


def _weights(slo: Slo, asked: Requests) -> Iterator[tuple[int, float]]:
    """Good requests when they were due, or tokens when they came."""
    if slo.sli.measure == "goodput_per_s":
        yield from zip(asked.column("t_int_ns"), map(float, slo.sli.limits.goods(asked)), strict=True)
        return
    for request, tokens in zip(asked, asked.tokens(), strict=True):
        if came := arrivals_ns(request):
            weight = tokens / len(came)
            yield from ((at_ns, weight) for at_ns in came)


def _limit(slo: Slo) -> float:
    assert slo.sli.limit is not None
    return slo.sli.limit
