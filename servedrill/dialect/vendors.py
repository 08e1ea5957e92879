"""The vendors whose metrics pages are read.

A page belongs to the vendor whose names are on it. What a vendor publishes and a page of its own lacks has been renamed
or is gone: that is told by name, so that a check which needs it is INCONCLUSIVE and never passes for want of data.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import entry_points

from servedrill.dialect import vllm
from servedrill.dialect.vendor import Term, Vendor

KNOWN: tuple[Vendor, ...] = (
    Vendor(
        name="servedrill",
        role="engine",
        mark="servedrill:engine_memory_bytes",  # the rest is named as vLLM's
        terms=(*vllm.TERMS, Term(word="memory_bytes", sources=("servedrill:engine_memory_bytes",))),
    ),
    Vendor(
        name="vLLM",
        role="engine",
        mark="vllm:",
        published="no --disable-log-stats",  # docs.vllm.ai, "Production Metrics"
        version_path="/version",
        spelt=("ray_vllm:", "ray_vllm_", "kserve_vllm:"),
        versions=("0.9", "0.33"),
        terms=vllm.TERMS,
    ),
    Vendor(
        name="SGLang",
        role="engine",
        mark="sglang:",
        published="--enable-metrics",  # docs.sglang.ai, "Production Metrics"
        spelt=("sglang_",),
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
        published="--metrics",  # tools/server/README.md of llama.cpp
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
        name="Triton TensorRT-LLM",
        role="engine",
        mark="nv_trt_llm_",
        terms=(
            Term(word="running", sources=("nv_trt_llm_request_metrics",), where=("request_type", "scheduled")),
            Term(word="waiting", sources=("nv_trt_llm_request_metrics",), where=("request_type", "waiting")),
            Term(
                word="kv_usage",
                sources=("nv_trt_llm_kv_cache_block_metrics",),
                where=("kv_cache_block_type", "fraction"),
                largest=True,
            ),
        ),
    ),
    Vendor(
        name="LMDeploy",
        role="engine",
        mark="lmdeploy:",
        terms=(
            Term(word="running", sources=("lmdeploy:num_requests_running",)),
            Term(word="waiting", sources=("lmdeploy:num_requests_waiting",)),
            Term(word="kv_usage", largest=True, sources=("lmdeploy:gpu_cache_usage_perc",)),
            Term(word="generated_tokens", sources=("lmdeploy:generation_tokens_total",), lazy=True),
            Term(word="prompt_tokens", sources=("lmdeploy:prompt_tokens_total",), lazy=True),
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
        published='--prometheus-port PORT, and metrics = "http://host:PORT/metrics" in the stack file',
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
        published='--prometheus-port PORT, and metrics = "http://host:PORT/metrics" in the stack file',
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
        published='litellm_settings: callbacks: ["prometheus"]',  # docs.litellm.ai, "Prometheus metrics"
        version_path="/health/readiness",
        version_key="litellm_version",
        versions=("1.80", "1.109"),
        terms=(Term(word="in_flight", sources=("litellm_in_flight_requests",)),),
    ),
)
"""Another vendor is one more entry, or one of another package: an entry point of the group `ENTRY_POINTS`."""
ENTRY_POINTS = "servedrill.vendors"


def vendor_of(text: str, role: str) -> Vendor | None:
    """Whose page it is; None for nobody's that we know, such as a page without any metric of its server."""
    return _whose(text, role, KNOWN) or _whose(text, role, installed())


@cache
def installed() -> tuple[Vendor, ...]:
    """Vendors of other packages: each entry point is a `Vendor`. Looked up when a page is nobody's that comes with
    us."""
    return tuple(one.load() for one in entry_points(group=ENTRY_POINTS))


def publishing(vendor: str, role: str) -> str:
    """What to set so that a replica's page is there: a vendor's own setting, or that of each of its role."""
    known = [one for one in KNOWN if one.published and one.role == role and vendor in ("", one.name)]
    return "; ".join(f"{one.name}: {one.published}" for one in known) or "METRICS.md has the names that are read"


def _whose(text: str, role: str, vendors: tuple[Vendor, ...]) -> Vendor | None:
    for vendor in vendors:
        marks = (vendor.mark, *vendor.spelt)
        if vendor.role == role and any(line.startswith(marks) for line in text.splitlines()):
            return vendor
    return None
