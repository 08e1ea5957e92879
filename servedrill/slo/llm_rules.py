"""Alerts that any LLM service wants, whatever its SLOs: causes and early signs, on vLLM's metric names.

They say what is wrong where a burn rate says how much it matters; so none of them pages, but for an engine that is gone or stands still.
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
    """TTFT, token rate, memory, errors by type, queue, KV cache, missing telemetry."""
    every = "sum by (model_name)"
    tokens, ended = f"{every} (rate({GENERATED}[5m]))", f"{every} (rate({ENDED}[5m]))"
    busy = f"{every} ({RUNNING}) > 0"
    return [
        Alert(
            name="TtftP95High",
            expr=f"histogram_quantile(0.95, sum by (le, model_name) (rate({TTFT}_bucket[5m]))) > {ttft_s:g}",
            for_="5m",
            severity="ticket",
            says=f"The first token of {{{{ $labels.model_name }}}} takes longer than {ttft_s:g} s for one request in twenty.",
        ),
        Alert(
            name="TokenRateDropped",
            expr=f"({tokens} < {DROP_RATIO:g} * {every} (rate({GENERATED}[1h] offset 5m))) and on (model_name) ({busy})",
            for_="5m",
            severity="ticket",
            says="{{ $labels.model_name }} generates less than half the tokens a second of the hour before, with requests running.",
        ),
        Alert(
            name="NoProgress",
            expr=f"(sum by (model_name, instance) (increase({GENERATED}[2m])) == 0) and on (model_name, instance) (sum by (model_name, instance) ({RUNNING}) > 0)",
            for_="1m",
            severity="page",
            says="{{ $labels.instance }} has requests running and generates nothing: it hangs.",
        ),
        Alert(
            name="EngineOutOfMemory",
            expr='(kube_pod_container_status_last_terminated_reason{reason="OOMKilled"} == 1) and on (namespace, pod, container) (increase(kube_pod_container_status_restarts_total[10m]) > 0)',
            for_="0m",
            severity="page",
            says="{{ $labels.pod }} was killed for its memory. (kube-state-metrics tells it: an engine that is dead has no metric of its own.)",
        ),
        Alert(
            name="OomEvents",
            expr='increase(container_oom_events_total{container!=""}[5m]) > 0',
            for_="0m",
            severity="ticket",
            says="The kernel killed a process of {{ $labels.pod }} for its memory, maybe not the one that would restart the container.",
        ),
        Alert(
            name="ErrorSpike",
            expr=f'(sum by (model_name, finished_reason) (rate({ENDED}{{finished_reason=~"abort|error|repetition"}}[5m])) / on (model_name) group_left () {ended}) > {ERROR_RATIO_MAX:g}',
            for_="2m",
            severity="ticket",
            says="{{ $value | humanizePercentage }} of the requests of {{ $labels.model_name }} end in {{ $labels.finished_reason }}.",
        ),
        Alert(
            name="RefusalSpike",
            expr=f"sum by (model_name, reason) (rate({REFUSED}[5m])) > on (model_name) group_left () ({ERROR_RATIO_MAX:g} * {ended})",
            for_="2m",
            severity="ticket",
            says="{{ $labels.model_name }} refuses requests: {{ $labels.reason }}.",
        ),
        Alert(
            name="QueueLong",
            expr=f"(sum by (model_name, instance) ({WAITING}) > {QUEUE_MIN}) and on (model_name, instance) (sum by (model_name, instance) ({WAITING}) > sum by (model_name, instance) ({RUNNING}))",
            for_="2m",
            severity="ticket",
            says="More requests wait at {{ $labels.instance }} than run: {{ $value }}.",
        ),
        Alert(
            name="KvCacheFull",
            expr=f"max by (model_name, instance) ({KV_USAGE}) > {KV_USAGE_MAX:g}",
            for_="2m",
            severity="ticket",
            says="The KV cache of {{ $labels.instance }} is {{ $value | humanizePercentage }} full: new requests wait, old ones are preempted.",
        ),
        Alert(
            name="Preempting",
            expr=f"sum by (model_name, instance) (rate({PREEMPTIONS}[5m])) > 0.1",
            for_="5m",
            severity="ticket",
            says="{{ $labels.instance }} keeps preempting requests and computes their tokens twice.",
        ),
        Alert(
            name="TelemetryAbsent",
            expr=f"absent({RUNNING})",
            for_=absent_for,
            severity="page",
            says="No engine reports at all: nothing above can fire.",
        ),
    ]
