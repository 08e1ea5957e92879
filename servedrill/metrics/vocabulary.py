"""One word for each thing measured, and what each vendor calls it; METRICS.md shows the table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word of ours; ``sources`` are sample names as they stand on /metrics, the first that is there counts.

    Samples that differ only in labels are added up (or the `largest` is taken); ``label`` keeps those apart that differ in it, as ``word/value``.
    """

    word: str
    unit: str
    sources: tuple[str, ...]
    label: str = ""
    largest: bool = False
    """The largest of several samples counts, instead of their sum: for ratios."""


ENGINE = (
    Term(
        word="running",
        unit="requests",
        sources=(
            "vllm:num_requests_running",
            "sglang:num_running_reqs",
            "llamacpp:requests_processing",
            "trtllm_num_requests_running",
            "tgi_batch_current_size",
        ),
    ),
    Term(
        word="waiting",
        unit="requests",
        sources=(
            "vllm:num_requests_waiting",
            "sglang:num_queue_reqs",
            "llamacpp:requests_deferred",
            "trtllm_num_requests_waiting",
            "tgi_queue_size",
        ),
    ),
    Term(word="kv_usage", unit="ratio", largest=True, sources=("vllm:kv_cache_usage_perc", "sglang:token_usage")),
    Term(
        word="generated_tokens",
        unit="tokens",
        sources=("vllm:generation_tokens_total", "sglang:generation_tokens_total", "llamacpp:tokens_predicted_total"),
    ),
    Term(word="prompt_tokens", unit="tokens", sources=("vllm:prompt_tokens_total", "sglang:prompt_tokens_total")),
    Term(word="preemptions", unit="count", sources=("vllm:num_preemptions_total",)),
    Term(word="prefix_hits", unit="tokens", sources=("vllm:prefix_cache_hits_total",)),
    Term(word="rejections", unit="requests", sources=("vllm:admission_rejections_total",)),
    Term(word="ended", unit="requests", sources=("vllm:request_success_total",), label="finished_reason"),
    Term(word="memory_bytes", unit="bytes", sources=("vllm:engine_memory_bytes",)),
)
GATEWAY = (
    Term(word="in_flight", unit="requests", sources=("gateway_in_flight_requests", "litellm_in_flight_requests")),
    Term(word="queue", unit="requests", sources=("gateway_queue_depth",)),
    Term(word="retries", unit="count", sources=("gateway_retries_total", "smg_worker_retries_total")),
    Term(word="resumes", unit="count", sources=("gateway_stream_resumes_total",)),
    Term(word="breaker", unit="state", sources=("gateway_breaker_state",), label="upstream"),
    Term(word="healthy", unit="bool", sources=("gateway_upstream_healthy",), label="upstream"),
    Term(word="upstream_in_flight", unit="requests", sources=("gateway_upstream_in_flight",), label="upstream"),
)
