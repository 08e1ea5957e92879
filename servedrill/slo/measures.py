"""What can be measured of requests, by the names that SLO files use.

Three sorts. *Values*: one number for each request, compared with a limit. *Counts*: good ones of all. *Rates*: one
number for each time slice. A request that failed is a bad event of every sort; one that the drill cancelled is no event
at all; one that has no such number although it is whole (TPOT of one token, TTFT of an answer that is not streamed) is
none either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from servedrill.history.events import RequestRecord
from servedrill.history.requests import Requests
from servedrill.oracle.tokens import golden_answer
from servedrill.slo.objectives import Objective
from servedrill.stats.figures import durations_s, stalls_s, tpots_s, ttfts_s, ttfts_service_s, wholes
from servedrill.stats.requests import whole


@dataclass(frozen=True, slots=True)
class Value:
    """One number for each request; None where it has none."""

    unit: str
    says: str
    each: Callable[[Requests, Objective], Iterator[float | None]]
    streamed: bool = True
    """Only streamed answers have it."""
    more_is_better: bool = False
    deadlines: bool = False
    """Needs ``ttft_s`` and ``tpot_s``."""


@dataclass(frozen=True, slots=True)
class Count:
    """Good ones of all, for each request; None where it is not asked."""

    good: str
    total: str
    says: str
    each: Callable[[Requests, Objective], Iterator[tuple[int, int] | None]]
    limits: bool = False
    """Takes the limits of an objective."""
    deadlines: bool = False


@dataclass(frozen=True, slots=True)
class Rate:
    """One number for each time slice."""

    unit: str
    says: str
    limits: bool = False


def token_deadlines(request: RequestRecord, limits: Objective) -> tuple[int, int]:
    """Deadlines met, and deadlines there were: the fluidity index's two numbers (arXiv 2407.07000, 2507.09019).

    The first piece of content is due ``ttft_s`` after the scheduled instant, each further one ``tpot_s`` after the one
    before was due: what came early may be used up later. A late piece misses its own deadline and every one that passed
    while it was awaited; the next is due ``tpot_s`` after it came. The silence before a failure is counted as if a
    piece had ended it. One delta counts as one token.
    """
    assert limits.ttft_s is not None
    assert limits.tpot_s is not None
    step_ns = limits.tpot_s * 1e9
    due_ns = request.t_int_ns + limits.ttft_s * 1e9
    met = total = 0
    for at_ns in arrivals_ns(request):
        if at_ns <= due_ns:
            met, total, due_ns = met + 1, total + 1, due_ns + step_ns
        else:
            total += 1 + int((at_ns - due_ns) // step_ns)
            due_ns = at_ns + step_ns
    if not whole(request):
        total += 1 + max(0, int((request.t_end_ns - due_ns) // step_ns))
    return met, total


def arrivals_ns(request: RequestRecord) -> list[int]:
    """When each piece of content came."""
    if request.t_first_ns is None:
        return []
    found = [request.t_first_ns]
    for gap in request.gaps_ns:
        found.append(found[-1] + gap)
    return found


def _golden(request: RequestRecord) -> tuple[int, int] | None:
    """Exact match with the known answer; a question that got no whole answer was not answered right."""
    kind, _colon, number = request.prompt.partition(":")
    if kind != "golden" or not number.isdigit():
        return None
    right = whole(request) and request.texts[:1] == [golden_answer(int(number))]
    return int(right), 1


def _fluidities(requests: Requests, limits: Objective) -> Iterator[float]:
    return (met / total if total else math.nan for met, total in _deadlines(requests, limits))


def _deadlines(requests: Requests, limits: Objective) -> Iterator[tuple[int, int]]:
    return (token_deadlines(request, limits) for request in requests)


VALUES: dict[str, Value] = {
    "ttft_s": Value("s", "time to first token, from the scheduled instant", lambda r, _: ttfts_s(r)),
    "ttft_service_s": Value("s", "time to first token, from the first byte sent", lambda r, _: ttfts_service_s(r)),
    "tpot_s": Value("s", "mean time per output token after the first", lambda r, _: tpots_s(r)),
    "max_stall_s": Value("s", "longest silence within an answer", lambda r, _: stalls_s(r)),
    "duration_s": Value(
        "s", "time to the last token, from the scheduled instant", lambda r, _: durations_s(r), streamed=False
    ),
    "fluidity_ratio": Value(
        "", "share of an answer's token deadlines that were met", _fluidities, more_is_better=True, deadlines=True
    ),
}
COUNTS: dict[str, Count] = {
    "availability_ratio": Count(
        "whole", "attempted", "complete answers of all requests", lambda r, _: zip(wholes(r), repeat(1))
    ),
    "good_ratio": Count(
        "good",
        "attempted",
        "complete answers that met every limit, of all requests (attainment)",
        lambda r, limits: zip(limits.goods(r), repeat(1)),
        limits=True,
    ),
    "golden_ratio": Count(
        "golden_right",
        "golden_asked",
        "golden questions that were answered exactly right",
        lambda r, _: map(_golden, r),
    ),
    "deadlines_ratio": Count(
        "deadlines_met",
        "deadlines",
        "token deadlines that were met, of all",
        lambda r, limits: (token_deadlines(one, limits) if one.stream else None for one in r),
        deadlines=True,
    ),
}
RATES: dict[str, Rate] = {
    "goodput_per_s": Rate("requests/s", "good requests a second", limits=True),
    "tokens_per_s": Rate("tokens/s", "tokens that reached clients, a second"),
}
OBSERVED = "observed"
"""One value for each measurement of a name that a drill wrote down itself."""
MEASURES = (*VALUES, *RATES, OBSERVED)


def values_of(measure: str, requests: Requests, limits: Objective) -> Iterator[float | None]:
    """Each request's value: the worst there is for one that failed; None where it has none."""
    kind = VALUES[measure]
    worst = -math.inf if kind.more_is_better else math.inf
    told = zip(requests.column("stream"), wholes(requests), kind.each(requests, limits), strict=True)
    return (None if kind.streamed and not stream else value if right else worst for stream, right, value in told)
