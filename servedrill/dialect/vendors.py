"""One word for each thing measured, and what each vendor calls it; METRICS.md shows the table.

A page belongs to the vendor whose names are on it. What a vendor publishes and a page of its own lacks has been renamed
or is gone: that is told by name, so that a check which needs it is INCONCLUSIVE and never passes for want of data.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

UNITS = {
    "running": "requests",
    "waiting": "requests",
    "kv_usage": "ratio",
    "generated_tokens": "tokens",
    "prompt_tokens": "tokens",
    "preemptions": "count",
    "prefix_hits": "tokens",
    "rejections": "requests",
    "ended": "requests",
    "memory_bytes": "bytes",
    "in_flight": "requests",
    "queue": "requests",
    "retries": "count",
    "resumes": "count",
    "breaker": "state",
    "healthy": "bool",
    "upstream_in_flight": "requests",
}
"""Every word there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of ours in one vendor's language; ``sources`` are sample names as they stand on /metrics, the first that
    is there counts: older names come later.

    Samples that differ only in labels are added up (or the `largest` is taken); ``label`` keeps those apart that differ
    in it, as ``word/value``.
    """

    word: str
    sources: tuple[str, ...]
    label: str = ""
    largest: bool = False
    """The largest of several samples counts, instead of their sum: for ratios."""
    lazy: bool = False
    """Comes to the page with its first event only, so that its absence means nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """Whose pages these are."""

    name: str
    role: Literal["engine", "gateway"]
    mark: str
    """What names on its page begin with."""
    terms: tuple[Term, ...]
    version_path: str = ""
    """Where it tells its version, as JSON."""
    version_key: str = "version"
    versions: tuple[str, str] = ("", "")
    """The lowest and highest version (major.minor) whose names were checked, both included; empty: it tells none."""

    def knows(self, version: str) -> bool:
        """Whether the names of that version were checked; a version that cannot be read is not known."""
        low, high = self.versions
        number = _number(version)
        return bool(number) and _number(low) <= number <= _number(high)


def _number(version: str) -> tuple[int, ...]:
    parts = version.lstrip("v").split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()


_VLLM = (
    Term(word="running", sources=("vllm:num_requests_running",)),
    Term(word="waiting", sources=("vllm:num_requests_waiting",)),
    Term(word="kv_usage", largest=True, sources=("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")),
    Term(word="generated_tokens", sources=("vllm:generation_tokens_total",)),
    Term(word="prompt_tokens", sources=("vllm:prompt_tokens_total",)),
    Term(word="preemptions", sources=("vllm:num_preemptions_total",)),
    Term(
        word="prefix_hits",
        sources=("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total"),
    ),
    Term(word="rejections", sources=("vllm:admission_rejections_total",), lazy=True),  # only in later ones
    Term(word="ended", sources=("vllm:request_success_total",), label="finished_reason"),
)
VENDORS = (
    Vendor(
        name="servedrill",
        role="engine",
        mark="servedrill:engine_memory_bytes",  # the rest is named as vLLM's
        terms=(*_VLLM, Term(word="memory_bytes", sources=("servedrill:engine_memory_bytes",))),
    ),
    Vendor(
        name="vLLM",
        role="engine",
        mark="vllm:",
        version_path="/version",
        versions=("0.9", "0.33"),
        terms=_VLLM,
    ),
    Vendor(
        name="SGLang",
        role="engine",
        mark="sglang:",
        version_path="/server_info",
        versions=("0.4", "0.5"),
        terms=(
            Term(word="running", sources=("sglang:num_running_reqs",)),
            Term(word="waiting", sources=("sglang:num_queue_reqs",)),
            Term(word="kv_usage", largest=True, sources=("sglang:token_usage",)),
            Term(word="generated_tokens", sources=("sglang:generation_tokens_total",), lazy=True),
            Term(word="prompt_tokens", sources=("sglang:prompt_tokens_total",), lazy=True),
            Term(word="preemptions", sources=("sglang:num_retracted_requests_total",), lazy=True),
            Term(word="prefix_hits", sources=("sglang:cached_tokens_total",), lazy=True),
        ),
    ),
    Vendor(
        name="llama.cpp",
        role="engine",
        mark="llamacpp:",
        version_path="/props",
        version_key="build_info",
        terms=(
            Term(word="running", sources=("llamacpp:requests_processing",)),
            Term(word="waiting", sources=("llamacpp:requests_deferred",)),
            Term(word="generated_tokens", sources=("llamacpp:tokens_predicted_total",)),
            Term(word="prompt_tokens", sources=("llamacpp:prompt_tokens_total",)),
        ),
    ),
    Vendor(
        name="TensorRT-LLM",
        role="engine",
        mark="trtllm_",
        version_path="/version",
        versions=("1.0", "1.2"),
        terms=(
            Term(word="running", sources=("trtllm_num_requests_running",)),
            Term(word="waiting", sources=("trtllm_num_requests_waiting",)),
            Term(word="kv_usage", largest=True, sources=("trtllm_kv_cache_utilization",)),
        ),
    ),
    Vendor(
        name="TGI",
        role="engine",
        mark="tgi_",
        version_path="/info",
        versions=("2.0", "3.3"),
        terms=(
            Term(word="running", sources=("tgi_batch_current_size",)),
            Term(word="waiting", sources=("tgi_queue_size",)),
            Term(word="generated_tokens", sources=("tgi_request_generated_tokens_sum",), lazy=True),
            Term(word="prompt_tokens", sources=("tgi_request_input_length_sum",), lazy=True),
        ),
    ),
    Vendor(
        name="servedrill",
        role="gateway",
        mark="gateway_",
        terms=(
            Term(word="in_flight", sources=("gateway_in_flight_requests",)),
            Term(word="queue", sources=("gateway_queue_depth",)),
            Term(word="retries", sources=("gateway_retries_total",)),
            Term(word="resumes", sources=("gateway_stream_resumes_total",)),
            Term(word="breaker", sources=("gateway_breaker_state",), label="upstream", lazy=True),
            Term(word="healthy", sources=("gateway_upstream_healthy",), label="upstream", lazy=True),
            Term(word="upstream_in_flight", sources=("gateway_upstream_in_flight",), label="upstream", lazy=True),
        ),
    ),
    Vendor(
        name="vllm-router",
        role="gateway",
        mark="vllm_router_",
        terms=(
            Term(word="healthy", sources=("vllm_router_worker_health",), label="worker"),
            Term(word="in_flight", sources=("vllm_router_running_requests",), lazy=True),  # --policy cache_aware only
            Term(word="upstream_in_flight", sources=("vllm_router_running_requests",), label="worker", lazy=True),
            Term(word="breaker", sources=("vllm_router_cb_state",), label="worker", lazy=True),
            Term(word="retries", sources=("vllm_router_retries_total",), lazy=True),
        ),
    ),
    Vendor(
        name="SGLang router",
        role="gateway",
        mark="smg_",
        terms=(
            Term(word="healthy", sources=("smg_worker_health",), label="worker"),
            Term(word="in_flight", sources=("smg_worker_requests_active",), lazy=True),
            Term(word="upstream_in_flight", sources=("smg_worker_requests_active",), label="worker", lazy=True),
            Term(word="breaker", sources=("smg_worker_cb_state",), label="worker", lazy=True),
            Term(word="retries", sources=("smg_worker_retries_total",), lazy=True),
        ),
    ),
    Vendor(
        name="LiteLLM",
        role="gateway",
        mark="litellm_",
        version_path="/health/readiness",
        version_key="litellm_version",
        versions=("1.80", "1.109"),
        terms=(Term(word="in_flight", sources=("litellm_in_flight_requests",)),),
    ),
)


def vendor_of(text: str, role: str) -> Vendor | None:
    """Whose page it is; None for nobody's that we know, such as a page without any metric of its server."""
    for vendor in VENDORS:
        if vendor.role == role and any(line.startswith(vendor.mark) for line in text.splitlines()):
            return vendor
    return None
