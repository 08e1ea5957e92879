"""Which alerts a drill would have raised, had it happened within a clean period.

A drill lasts seconds, alert windows are minutes to days. So its series is put into clean traffic of the same rate that
goes on for longer than the longest window before and after, and each alert's two windows slide over it as Prometheus
would have them slide.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

import msgspec

from servedrill.slo.evaluate import Tally
from servedrill.slo.windows import BurnAlert

STEP_S = 15.0
"""Between two evaluations; Prometheus' own default is a minute, Pyrra's groups have 30 s."""
STEPS_MAX = 200_000


class Fired(msgspec.Struct, frozen=True, kw_only=True):
    """One alert; seconds from the drill's first event. ``fired_s`` None: it stayed silent."""

    alert: BurnAlert
    burn_max: float
    """The highest that both windows reached at once."""
    fired_s: float | None = None
    resolved_s: float | None = None


class _Sums:
    """Good and bad events before any instant: clean before and after, linear in each slice of the drill."""

    def __init__(self, series: Sequence[Tally], seconds: float, slice_s: float) -> None:
        self.rate = sum(one.total for one in series) / seconds
        self.edges = [index * slice_s for index in range(len(series))] + [seconds]
        self.bad = [0.0]
        self.total = [0.0]
        for one in series:
            self.bad.append(self.bad[-1] + max(0.0, one.total - one.good))
            self.total.append(self.total[-1] + one.total)

    def at(self, t_s: float) -> tuple[float, float]:
        """Bad and all events between the drill's first instant and ``t_s``, negative before it."""
        end_s = self.edges[-1]
        if t_s <= 0:
            return 0.0, t_s * self.rate
        if t_s >= end_s:
            return self.bad[-1], self.total[-1] + (t_s - end_s) * self.rate
        index = bisect.bisect_right(self.edges, t_s) - 1
        width_s = self.edges[index + 1] - self.edges[index]
        part = (t_s - self.edges[index]) / width_s if width_s else 1.0
        return (
            self.bad[index] + part * (self.bad[index + 1] - self.bad[index]),
            self.total[index] + part * (self.total[index + 1] - self.total[index]),
        )

    def bad_ratio(self, t_s: float, window_s: float) -> float:
        bad, total = self.at(t_s)
        bad_before, total_before = self.at(t_s - window_s)
        return (bad - bad_before) / (total - total_before) if total > total_before else 0.0


def replay(
    series: Sequence[Tally],
    *,
    slice_s: float,
    seconds: float,
    target: float,
    alerts: Sequence[BurnAlert],
    step_s: float = STEP_S,
) -> list[Fired]:
    """Each alert over the drill's series, slices of ``slice_s`` that begin with the drill and ``seconds`` in all.
    Without an event none can fire."""
    if not sum(one.total for one in series) or seconds <= 0:
        return [Fired(alert=alert, burn_max=0.0) for alert in alerts]
    sums = _Sums(series, seconds, slice_s)
    return [_one(sums, alert, target, seconds, step_s) for alert in alerts]


def _one(sums: _Sums, alert: BurnAlert, target: float, seconds: float, step_s: float) -> Fired:
    threshold = alert.threshold(target)
    until_s = seconds + alert.long_s
    steps = math.ceil(until_s / step_s)
    step_s *= max(1.0, steps / STEPS_MAX)
    instants = [index * step_s for index in range(math.ceil(until_s / step_s) + 1)]
    # The end of the drill is the worst moment of a window; no evaluation may step over it.
    bisect.insort(instants, seconds)
    worst, since_s, fired_s, resolved_s = 0.0, None, None, None
    for t_s in instants:
        both = min(sums.bad_ratio(t_s, alert.long_s), sums.bad_ratio(t_s, alert.short_s))
        worst = max(worst, both)
        if both > threshold:
            since_s = t_s if since_s is None else since_s
            if fired_s is None and t_s - since_s >= alert.for_s:
                fired_s = t_s
        else:
            since_s = None
            if fired_s is not None and resolved_s is None:
                resolved_s = t_s
            if t_s - alert.short_s >= seconds:  # nothing bad is in its short window any more, nor will be
                break
    return Fired(alert=alert, burn_max=worst / (1 - target), fired_s=fired_s, resolved_s=resolved_s)
