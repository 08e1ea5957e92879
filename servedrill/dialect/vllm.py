"""vLLM's own words: its metrics, its development routes, its runtime adapters. The embedded engine speaks them, too.

Names as in vLLM 0.9 to 0.33 (docs.vllm.ai, "Metrics", "Sleep mode", "LoRA adapters").
"""

from __future__ import annotations

from servedrill.dialect.vendor import Term

RUNNING = "vllm:num_requests_running"
WAITING = "vllm:num_requests_waiting"
GENERATED = "vllm:generation_tokens_total"
ENDED = "vllm:request_success_total"
REFUSED = "vllm:admission_rejections_total"
KV_USAGE = "vllm:kv_cache_usage_perc"
PREEMPTIONS = "vllm:num_preemptions_total"
TTFT = "vllm:time_to_first_token_seconds"
TPOT = "vllm:request_time_per_output_token_seconds"
ITL = "vllm:inter_token_latency_seconds"
LATENCY = "vllm:e2e_request_latency_seconds"
"""The last four are histograms: ``_bucket``, ``_sum``, ``_count``; seconds."""

TERMS = (
    Term(word="running", sources=(RUNNING,)),
    Term(word="waiting", sources=(WAITING,)),
    Term(word="kv_usage", largest=True, sources=(KV_USAGE, "vllm:gpu_cache_usage_perc")),
    Term(word="generated_tokens", sources=(GENERATED,)),
    Term(word="prompt_tokens", sources=("vllm:prompt_tokens_total",)),
    Term(word="preemptions", sources=(PREEMPTIONS,)),
    Term(word="prefix_hits", sources=("vllm:prefix_cache_hits_total", "vllm:gpu_prefix_cache_hits_total")),
    Term(word="rejections", sources=(REFUSED,), lazy=True),  # only in later ones
    Term(word="ended", sources=(ENDED,), label="finished_reason"),
)

SLEEP, WAKE_UP, IS_SLEEPING = "/sleep", "/wake_up", "/is_sleeping"
LOAD_ADAPTER, UNLOAD_ADAPTER = "/v1/load_lora_adapter", "/v1/unload_lora_adapter"
