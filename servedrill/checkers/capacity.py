"""Whether a stack is as fast as before under a full load: capacity that is gone is gone all the time."""

from __future__ import annotations

import math
from statistics import fmean

from servedrill.checkers.checker import Checker, limit
from servedrill.checkers.cores import waited_most
from servedrill.checkers.finding import Finding
from servedrill.history.events import CpuWaits
from servedrill.history.history import History
from servedrill.history.requests import Requests


class CapacityKept(Checker, frozen=True, kw_only=True):
    """A probe that fills every slot is served as fast as before.

    Where the stack's processes waited longer for a core than before, so much less may be the neighbours' doing.
    """

    timing = True
    before: str
    after: str
    ratio_min: float | None = None
    """None: as promised."""

    def __call__(self, history: History) -> Finding:
        history.promises.slots  # noqa: B018  # how many a probe has to ask for at once; nobody's would fill none
        ratio_min = limit(self.ratio_min, history, lambda p: p.capacity_ratio_min)
        rates, waits = [], []
        for cls in (self.before, self.after):
            asked = history.requests(classes=[cls])
            requests, failed = asked.whole, asked.failed
            if failed and cls == self.before:
                what = f"{len(failed)} of {len(failed) + len(requests)} probes of {cls!r} failed before any fault"
                return self.cannot_say(f"{what}: the stack does not serve as many `slots` at once as it promises")
            if failed:
                return self.says(
                    False, f"{len(failed)} of {len(failed) + len(requests)} probes of {cls!r} failed", evidence=failed
                )
            if len(requests) < 10:
                return self.cannot_say(f"{len(requests)} probes of {cls!r}")
            rates.append(steady_rate(requests))
            waits.append(_waited_share(history, requests))
            if math.isinf(rates[-1]):
                return self.cannot_say(f"what came of {cls!r} came at one instant, so that it has no rate")
        ratio = rates[1] / rates[0]
        seen = f"{rates[1]:.0f} tokens/s, {rates[0]:.0f} before: {ratio:.1%}"
        if ratio_min - max(0.0, waits[1] - waits[0]) <= ratio < ratio_min:
            told = f"its processes waited for a core {waits[1]:.0%} of the time, {waits[0]:.0%} before"
            return self.cannot_say(f"{seen}; {told}", ratio=ratio)
        return self.says(
            ratio >= ratio_min,
            seen,
            threshold=f">= {ratio_min:.0%}",
            tokens_per_s_before=rates[0],
            tokens_per_s_after=rates[1],
            ratio=ratio,
        )


def steady_rate(requests: Requests) -> float:
    """Tokens a second between the first 15% of tokens and the first 75%, so that filling and draining do not count.

    It is the best that half of that stretch kept up: the machine may stand still for a moment, capacity that is gone is
    gone all the time.
    """
    arrivals: list[int] = []
    for request in requests:
        if request.t_first_ns is None:
            continue
        at = request.t_first_ns
        arrivals.append(at)
        for gap in request.gaps_ns:
            at += gap
            arrivals.append(at)
    arrivals.sort()
    low, high = int(len(arrivals) * 0.15), int(len(arrivals) * 0.75)
    width = (high - low) // 2
    shortest_ns = min(arrivals[at + width] - arrivals[at] for at in range(low, high - width + 1))
    return width / (shortest_ns / 1e9) if shortest_ns else math.inf


def _waited_share(history: History, requests: Requests) -> float:
    """Of the time from the first of some requests to the end of the last, for whoever of the stack waited longest; 0
    where nobody looked."""
    start_ns, end_ns = min(requests.column("t_int_ns")), max(requests.column("t_end_ns"))
    looks = [one for one in history.of(CpuWaits) if start_ns < one.t_ns and one.t_ns - one.span_s * 1e9 < end_ns]
    return fmean(waited_most(look)[1] for look in looks) if looks else 0.0
