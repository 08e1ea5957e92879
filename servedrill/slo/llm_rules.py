"""Alerts that any LLM service wants, whatever its SLOs: causes and early signs, on vLLM's metric names.

They say what is wrong where a burn rate says how much it matters; so none of them pages, but for an engine that is gone
or stands still.
"""

from __future__ import annotations

import msgspec

from servedrill.dialect.vllm import ENDED, GENERATED, KV_USAGE, PREEMPTIONS, REFUSED, RUNNING, TTFT, WAITING

TTFT_S = 2.0
"""p95 where the SLO file has no limit: MLPerf's server limit of small models."""
QUEUE_MIN = 10
KV_USAGE_MAX = 0.95
ERROR_RATIO_MAX = 0.05
DROP_RATIO = 0.5


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One rule, named, with a sentence for whoever is woken by it."""

    name: str
    expr: str
    for_: str
    severity: str
    says: str


def llm_alerts(*, ttft_s: float = TTFT_S, absent_for: str = "3m") -> list[Alert]:
    """TTFT, token rate, memory, errors by type, queue, KV cache, missing telemetry.

    ``ttft_s``: the p95 that is still well, in seconds; ``absent_for``: how long nothing may be told, as in ``3m``.
    """
    absent = Alert(
        name="TelemetryAbsent",
        expr=f"absent({RUNNING})",
        for_=absent_for,
        severity="page",
        says="No engine reports at all: nothing above can fire.",
    )
    return [*_speed(ttft_s), *_memory(), *_refusals(), *_crowding(), absent]


def _by(*labels: str) -> str:
    return f"sum by ({', '.join(labels)})"


_MODEL, _ENGINE = _by("model_name"), _by("model_name", "instance")
_ON_ENGINE = "and on (model_name, instance)"


def _speed(ttft_s: float) -> list[Alert]:
    before = f"{DROP_RATIO:g} * {_MODEL} (rate({GENERATED}[1h] offset 5m))"
    slower = f"{_MODEL} (rate({GENERATED}[5m])) < {before}"
    return [
        Alert(
            name="TtftP95High",
            expr=f"histogram_quantile(0.95, {_by('le', 'model_name')} (rate({TTFT}_bucket[5m]))) > {ttft_s:g}",
            for_="5m",
            severity="ticket",
            says="The first token of {{ $labels.model_name }} takes longer than "
            f"{ttft_s:g} s for one request in twenty.",
        ),
        Alert(
            name="TokenRateDropped",
            expr=f"({slower}) and on (model_name) ({_MODEL} ({RUNNING}) > 0)",
            for_="5m",
            severity="ticket",
            says="{{ $labels.model_name }} generates less than half the tokens a second of the hour before, "
            "with requests running.",
        ),
        Alert(
            name="NoProgress",
            expr=f"({_ENGINE} (increase({GENERATED}[2m])) == 0) {_ON_ENGINE} ({_ENGINE} ({RUNNING}) > 0)",
            for_="1m",
            severity="page",
            says="{{ $labels.instance }} has requests running and generates nothing: it hangs.",
        ),
    ]


def _memory() -> list[Alert]:
    killed = 'kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1'
    restarted = "increase(kube_pod_container_status_restarts_total[10m]) > 0"
    return [
        Alert(
            name="EngineOutOfMemory",
            expr=f"({killed}) and on (namespace, pod, container) ({restarted})",
            for_="0m",
            severity="page",
            says="{{ $labels.pod }} was killed for its memory. "
            "(kube-state-metrics tells it: an engine that is dead has no metric of its own.)",
        ),
        Alert(
            name="OomEvents",
            expr='increase(container_oom_events_total{container!=""}[5m]) > 0',
            for_="0m",
            severity="ticket",
            says="The kernel killed a process of {{ $labels.pod }} for its memory, "
            "maybe not the one that would restart the container.",
        ),
    ]


def _refusals() -> list[Alert]:
    ended = f"{_MODEL} (rate({ENDED}[5m]))"
    failed = f'{ENDED}{{finished_reason=~"abort|error|repetition"}}'
    share = f"{_by('model_name', 'finished_reason')} (rate({failed}[5m])) / on (model_name) group_left () {ended}"
    refused = f"{_by('model_name', 'reason')} (rate({REFUSED}[5m]))"
    return [
        Alert(
            name="ErrorSpike",
            expr=f"({share}) > {ERROR_RATIO_MAX:g}",
            for_="2m",
            severity="ticket",
            says="{{ $value | humanizePercentage }} of the requests of {{ $labels.model_name }} "
            "end in {{ $labels.finished_reason }}.",
        ),
        Alert(
            name="RefusalSpike",
            expr=f"{refused} > on (model_name) group_left () ({ERROR_RATIO_MAX:g} * {ended})",
            for_="2m",
            severity="ticket",
            says="{{ $labels.model_name }} refuses requests: {{ $labels.reason }}.",
        ),
    ]


def _crowding() -> list[Alert]:
    waiting, running = f"{_ENGINE} ({WAITING})", f"{_ENGINE} ({RUNNING})"
    return [
        Alert(
            name="QueueLong",
            expr=f"({waiting} > {QUEUE_MIN}) {_ON_ENGINE} ({waiting} > {running})",
            for_="2m",
            severity="ticket",
            says="More requests wait at {{ $labels.instance }} than run: {{ $value }}.",
        ),
        Alert(
            name="KvCacheFull",
            expr=f"max by (model_name, instance) ({KV_USAGE}) > {KV_USAGE_MAX:g}",
            for_="2m",
            severity="ticket",
            says="The KV cache of {{ $labels.instance }} is {{ $value | humanizePercentage }} full: "
            "new requests wait, old ones are preempted.",
        ),
        Alert(
            name="Preempting",
            expr=f"{_ENGINE} (rate({PREEMPTIONS}[5m])) > 0.1",
            for_="5m",
            severity="ticket",
            says="{{ $labels.instance }} keeps preempting requests and computes their tokens twice.",
        ),
    ]
