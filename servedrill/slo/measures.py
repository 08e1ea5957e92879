"""What can be measured of requests, by the names that SLO files use.

Three sorts. *Values*: one number for each request, compared with a limit. *Counts*: good ones of all. *Rates*: one
number for each time slice. A request that failed is a bad event of every sort; one that the drill cancelled is no event
at all; one that has no such number although it is whole (TPOT of one token, TTFT of an answer that is not streamed) is
none either.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from servedrill.history.events import RequestRecord
from servedrill.oracle.tokens import golden_answer
from servedrill.slo.objectives import Objective
from servedrill.stats.requests import duration_s, max_stall_s, tpot_s, ttft_s, ttft_service_s, whole


@dataclass(frozen=True, slots=True)
class Value:
    """One number for each request; None where it has none."""

    unit: str
    says: str
    of: Callable[[RequestRecord, Objective], float | None]
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
    of: Callable[[RequestRecord, Objective], tuple[int, int] | None]
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


def _golden(request: RequestRecord, _limits: Objective) -> tuple[int, int] | None:
    """Exact match with the known answer; a question that got no whole answer was not answered right."""
    kind, _colon, number = request.prompt.partition(":")
    if kind != "golden" or not number.isdigit():
        return None
    right = whole(request) and request.texts[:1] == [golden_answer(int(number))]
    return int(right), 1


def _fluidity(request: RequestRecord, limits: Objective) -> float:
    met, total = token_deadlines(request, limits)
    return met / total if total else math.nan


VALUES: dict[str, Value] = {
    "ttft_s": Value("s", "time to first token, from the scheduled instant", lambda r, _: ttft_s(r)),
    "ttft_service_s": Value("s", "time to first token, from the first byte sent", lambda r, _: ttft_service_s(r)),
    "tpot_s": Value("s", "mean time per output token after the first", lambda r, _: tpot_s(r)),
    "max_stall_s": Value("s", "longest silence within an answer", lambda r, _: max_stall_s(r)),
    "duration_s": Value(
        "s", "time to the last token, from the scheduled instant", lambda r, _: duration_s(r), streamed=False
    ),
    "fluidity_ratio": Value(
        "", "share of an answer's token deadlines that were met", _fluidity, more_is_better=True, deadlines=True
    ),
}
COUNTS: dict[str, Count] = {
    "availability_ratio": Count(
        "whole", "attempted", "complete answers of all requests", lambda r, _: (int(whole(r)), 1)
    ),
    "good_ratio": Count(
        "good",
        "attempted",
        "complete answers that met every limit, of all requests (attainment)",
        lambda r, limits: (int(limits.good(r)), 1),
        limits=True,
    ),
    "golden_ratio": Count("golden_right", "golden_asked", "golden questions that were answered exactly right", _golden),
    "deadlines_ratio": Count(
        "deadlines_met",
        "deadlines",
        "token deadlines that were met, of all",
        lambda r, limits: token_deadlines(r, limits) if r.stream else None,
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


def value_of(measure: str, request: RequestRecord, limits: Objective) -> float | None:
    """The request's value: the worst there is for one that failed; None where it has none."""
    kind = VALUES[measure]
    if kind.streamed and not request.stream:
        return None
    if not whole(request):
        return -math.inf if kind.more_is_better else math.inf
    return kind.of(request, limits)
