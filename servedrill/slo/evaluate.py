"""SLIs over a history's requests: events, series, attainment, goodput, percentiles twice. Pure functions.

Requests that the drill cancelled are left out before anything is counted: they are neither good nor bad.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from servedrill.history.events import Observed, RequestRecord
from servedrill.history.history import History
from servedrill.slo.measures import COUNTS, OBSERVED, RATES, VALUES, arrivals_ns, value_of
from servedrill.slo.objectives import Objective
from servedrill.slo.slo import COMPARE, Slo
from servedrill.stats.percentiles import percentile
from servedrill.stats.requests import whole


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


def attempted(requests: Iterable[RequestRecord]) -> list[RequestRecord]:
    """Those that count: all but the drill's own cancels."""
    return [request for request in requests if request.cancelled_ns is None]


def events(
    slo: Slo, requests: Iterable[RequestRecord], *, start_ns: int, end_ns: int, observed: Sequence[Observed] = ()
) -> list[Tally]:
    """Every event of an SLO in the order of time, by when its request was due; a rate's event is a time slice."""
    sli = slo.sli
    if sli.measure in RATES:
        return _slices_of_rate(slo, list(requests), start_ns, end_ns)
    compare = COMPARE[sli.op]
    found: list[Tally] = []
    if sli.measure == OBSERVED:
        for seen in observed:
            if seen.name == sli.observed and start_ns <= seen.t_ns <= end_ns:
                good = seen.value is not None and compare(seen.value, _limit(slo))
                found.append(Tally(t_ns=seen.t_ns, good=int(good), total=1))
        return found
    for request in attempted(requests):
        if not start_ns <= request.t_int_ns <= end_ns:
            continue
        if sli.measure in COUNTS:
            counted = COUNTS[sli.measure].of(request, sli.limits)
            if counted is not None:
                found.append(Tally(t_ns=request.t_int_ns, good=counted[0], total=counted[1]))
        elif (value := value_of(sli.measure, request, sli.limits)) is not None:
            good = whole(request) and compare(value, _limit(slo))
            found.append(Tally(t_ns=request.t_int_ns, good=int(good), total=1))
    return sorted(found, key=lambda event: event.t_ns)


def missed(slo: Slo, requests: Iterable[RequestRecord]) -> list[RequestRecord]:
    """The requests that are bad events of an SLO."""
    if slo.sli.measure in RATES or slo.sli.measure == OBSERVED:
        return []
    found = []
    for request in attempted(requests):
        tallies = events(slo, [request], start_ns=request.t_int_ns, end_ns=request.t_int_ns)
        if any(tally.good < tally.total for tally in tallies):
            found.append(request)
    return found


def series(found: Sequence[Tally], *, start_ns: int, end_ns: int, bucket_s: float) -> list[Tally]:
    """Events added up by time slice; the last slice may be a shorter one, and a slice without an event is there with nothing in it."""
    bucket_ns = max(1, round(bucket_s * 1e9))
    count = max(1, math.ceil((end_ns - start_ns) / bucket_ns))
    good, total = [0.0] * count, [0.0] * count
    for event in found:
        index = min(count - 1, max(0, (event.t_ns - start_ns) // bucket_ns))
        good[index] += event.good
        total[index] += event.total
    return [Tally(t_ns=start_ns + index * bucket_ns, good=good[index], total=total[index]) for index in range(count)]


def attained(
    slo: Slo, requests: Iterable[RequestRecord], *, start_ns: int, end_ns: int, observed: Sequence[Observed] = ()
) -> Tally:
    """What the SLO's target is compared with, by its budgeting method; ``total`` is 0 where there was nothing to judge."""
    found = events(slo, requests, start_ns=start_ns, end_ns=end_ns, observed=observed)
    return attained_of(slo, found, start_ns=start_ns, end_ns=end_ns)


def attained_of(slo: Slo, found: Sequence[Tally], *, start_ns: int, end_ns: int) -> Tally:
    """The same of events that are known already.

    Occurrences: good events of all. Timeslices: slices that reached their own target, of all. RatioTimeslices: the mean of the slices' ratios.
    Slices without an event say nothing and are left out.
    """
    if slo.method == "Occurrences":
        good, total = sum(event.good for event in found), sum(event.total for event in found)
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
    return min(request.t_int_ns for request in requests), max(request.t_end_ns for request in requests)


def goodput_per_s(requests: Iterable[RequestRecord], objective: Objective, *, seconds: float) -> float:
    """Good requests a second. A rate, so it falls when requests are dropped or come late, as attainment may not."""
    return sum(objective.good(request) for request in attempted(requests)) / seconds


def percentiles(
    requests: Iterable[RequestRecord], measure: str, p: float, *, limits: Objective | None = None
) -> Percentile:
    """The ``p``-th percentile (0 to 100) of a measure with failures as the worst values, and of survivors only; NaN of nothing."""
    told = [(request, value_of(measure, request, limits or Objective())) for request in attempted(requests)]
    values = [(whole(request), value) for request, value in told if value is not None]
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


def _slices_of_rate(slo: Slo, requests: list[RequestRecord], start_ns: int, end_ns: int) -> list[Tally]:
    """One event for each whole time slice in which a request was due or under way; a run shorter than a slice is one."""
    assert slo.slice_s is not None
    slice_ns = round(slo.slice_s * 1e9)
    counted = attempted(requests)
    weights: list[tuple[int, float]] = []
    for request in counted:
        if slo.sli.measure == "goodput_per_s":
            weights.append((request.t_int_ns, float(slo.sli.limits.good(request))))
        elif came := arrivals_ns(request):
            tokens = request.completion_tokens or len(came)
            weights += [(at, tokens / len(came)) for at in came]
    edges = [
        (start_ns + index * slice_ns, start_ns + (index + 1) * slice_ns)
        for index in range((end_ns - start_ns) // slice_ns)
    ] or [(start_ns, end_ns)]
    per_slice = [0.0] * len(edges)
    for at, weight in weights:
        index = (at - start_ns) // slice_ns
        if 0 <= index < len(edges):
            per_slice[index] += weight
    found = []
    for (begin, end), amount in zip(edges, per_slice, strict=True):
        busy = any(request.t_int_ns < end and request.t_end_ns >= begin for request in counted)
        if busy and end > begin:
            good = COMPARE[slo.sli.op](amount / ((end - begin) / 1e9), _limit(slo))
            found.append(Tally(t_ns=begin, good=int(good), total=1))
    return found


def _limit(slo: Slo) -> float:
    assert slo.sli.limit is not None
    return slo.sli.limit
