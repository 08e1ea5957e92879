"""An SLI as PromQL, on vLLM's metric names; ``$window`` stands for the range.

An engine's own view begins when it has accepted a request, so these are objectives of the engines, not of the users:
queues and failures in front of an engine are in none of them. Where that matters, a file says its own queries.
"""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.dialect import vllm
from servedrill.slo.durations import short
from servedrill.slo.slo import SIGNS, WINDOW, Slo

_LATENCY = (
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75,
    1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0, 160.0, 640.0, 2560.0,
)  # fmt: skip
_PER_TOKEN = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0)
_REQUEST = (
    0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0,
    120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0,
)  # fmt: skip
HISTOGRAMS: dict[str, tuple[str, tuple[float, ...]]] = {
    "ttft_s": (vllm.TTFT, _LATENCY),
    "ttft_service_s": (vllm.TTFT, _LATENCY),
    "tpot_s": (vllm.TPOT, _PER_TOKEN),
    "max_stall_s": (vllm.ITL, _PER_TOKEN),
    "duration_s": (vllm.LATENCY, _REQUEST),
}
"""Measure -> vLLM's histogram and its bounds in seconds. For stalls it counts gaps, not requests."""


@dataclass(frozen=True, slots=True)
class Query:
    """``bad`` is the ratio of bad events over ``$window``; ``note`` what differs from the promise."""

    bad: str
    note: str = ""

    def over(self, window_s: float) -> str:
        """The ratio of bad events over the last ``window_s`` seconds."""
        return self.bad.replace(WINDOW, short(window_s))


def query_of(slo: Slo) -> Query | str:
    """The SLO's ratio of bad events; or why Prometheus cannot tell it."""
    sli = slo.sli
    if sli.total_query:
        if sli.bad_query:
            return Query(f"({sli.bad_query}) / ({sli.total_query})")
        return Query(f"1 - (({sli.good_query}) / ({sli.total_query}))")
    if sli.ratio_query:
        return Query(f"1 - ({sli.ratio_query})")
    if sli.value_query:
        return Query(f"1 - avg_over_time((({sli.value_query}) {SIGNS[sli.op]} bool {sli.limit:g})[{WINDOW}:1m])")
    if sli.measure in HISTOGRAMS:
        return _histogram(slo)
    if sli.measure == "availability_ratio":
        ended = _metric(vllm.ENDED, sli.selector, 'finished_reason!="abort"')
        well = _metric(vllm.ENDED, sli.selector, 'finished_reason=~"stop|length"')
        refused = f"(sum(rate({_metric(vllm.REFUSED, sli.selector)}[{WINDOW}])) or vector(0))"
        total = f"(sum(rate({ended}[{WINDOW}])) + {refused})"
        answered = f"(sum(rate({well}[{WINDOW}])) or vector(0))"
        return Query(f"1 - ({answered} / {total})", "requests that no engine ever saw are not in it")
    if sli.measure == "tokens_per_s":
        rate = f"sum(rate({_metric(vllm.GENERATED, sli.selector)}[1m]))"
        busy = f"sum({_metric(vllm.RUNNING, sli.selector)}) > 0"
        return Query(
            f"1 - avg_over_time((({rate} {SIGNS[sli.op]} bool {sli.limit:g}) and on () ({busy}))[{WINDOW}:1m])",
            "tokens that engines generated, whether or not they reached a client",
        )
    return f"no metric of an engine tells {sli.measure}; give the file queries of its own (promql)"


def _histogram(slo: Slo) -> Query | str:
    name, bounds = HISTOGRAMS[slo.sli.measure]
    limit = slo.sli.limit
    assert limit is not None
    below = [bound for bound in bounds if bound <= limit]
    if not below:
        return f"{name} has no bucket at or below {limit:g} s"
    above = next((bound for bound in bounds if bound > limit), None)
    total = _metric(f"{name}_count", slo.sli.selector)
    within = [
        f"sum(rate({_metric(f'{name}_bucket', slo.sli.selector, _le(bound))}[{WINDOW}]))"
        for bound in (below[-1], above)
        if bound
    ]
    good, note = within[0], ""
    if below[-1] != limit and above is not None:
        part = (limit - below[-1]) / (above - below[-1])
        good = f"({within[0]} + {part:.6g} * ({within[1]} - {within[0]}))"
        between = f"interpolated between {below[-1]:g} and {above:g} s, as histogram_quantile does"
        note = f"{limit:g} s is no bound of the histogram: {between}"
    if slo.sli.measure == "max_stall_s":
        note = "; ".join(filter(None, [note, "counts gaps between tokens, not requests"]))
    return Query(f"1 - ({good} / sum(rate({total}[{WINDOW}])))", note)


def _le(bound: float) -> str:
    """As prometheus_client writes a bound: ``1.0``, ``0.75``."""
    return f'le="{float(bound)!r}"'


def _metric(name: str, *matchers: str) -> str:
    inside = ",".join(filter(None, matchers))
    return f"{name}{{{inside}}}" if inside else name
