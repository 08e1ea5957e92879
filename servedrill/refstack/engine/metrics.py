"""The engine's metrics under vLLM's names, with vLLM's labels and buckets."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

from servedrill.refstack.engine.messages import Stats
from servedrill.refstack.engine.open_request import OpenRequest

disable_created_metrics()  # type: ignore[no-untyped-call]

_LATENCY = [
    0.001,
    0.005,
    0.01,
    0.02,
    0.04,
    0.06,
    0.08,
    0.1,
    0.25,
    0.5,
    0.75,
    1.0,
    2.5,
    5.0,
    7.5,
    10.0,
    20.0,
    40.0,
    80.0,
    160.0,
    640.0,
    2560.0,
]
_PER_TOKEN = [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0]
_REQUEST = [
    0.3,
    0.5,
    0.8,
    1.0,
    1.5,
    2.0,
    2.5,
    5.0,
    10.0,
    15.0,
    20.0,
    30.0,
    40.0,
    50.0,
    60.0,
    120.0,
    240.0,
    480.0,
    960.0,
    1920.0,
    7680.0,
]
SLEEP_STATES = ("awake", "weights_offloaded", "discard_all")


class EngineMetrics:
    """One registry of one engine."""

    def __init__(self, *, model_name: str, blocks: int, block_tokens: int) -> None:
        self.registry = CollectorRegistry()
        self.names = ("model_name", "engine")
        self.labels = (model_name, "0")
        self._last = Stats(*([0] * 12))
        self.blocks = blocks
        self.running = self._gauge("num_requests_running", "Requests in model execution batches.")
        self.waiting = self._gauge("num_requests_waiting", "Requests waiting to be processed.")
        self.waiting_by_reason = Gauge(
            "vllm:num_requests_waiting_by_reason",
            "Waiting requests by reason.",
            (*self.names, "reason"),
            registry=self.registry,
        )
        self.kv_usage = self._gauge("kv_cache_usage_perc", "KV-cache usage; 1 means 100 percent usage.")
        self.sleep_state = Gauge(
            "vllm:engine_sleep_state", "Engine sleep state.", (*self.names, "sleep_state"), registry=self.registry
        )
        Gauge(
            "vllm:cache_config_info",
            "Cache configuration.",
            ("block_size", "num_gpu_blocks", "engine"),
            registry=self.registry,
        ).labels(str(block_tokens), str(blocks), "0").set(1)
        self.memory = Gauge(
            "servedrill:engine_memory_bytes", "Bytes held by weights and KV cache.", self.names, registry=self.registry
        ).labels(*self.labels)
        self.preemptions = self._counter("num_preemptions", "Preemptions.")
        self.generated = self._counter("generation_tokens", "Generated tokens.")
        self.prompted = self._counter("prompt_tokens", "Prompt tokens.")
        self.queries = self._counter("prefix_cache_queries", "Queried prefix cache tokens.")
        self.hits = self._counter("prefix_cache_hits", "Prefix cache hits in tokens.")
        self.success = Counter(
            "vllm:request_success",
            "Requests by how they ended.",
            (*self.names, "finished_reason"),
            registry=self.registry,
        )
        self.rejections = Counter(
            "vllm:admission_rejections",
            "Requests refused by a queue limit.",
            ("model_name", "reason"),
            registry=self.registry,
        )
        for reason in ("stop", "length", "abort", "error", "repetition"):
            self.success.labels(*self.labels, reason)
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens"):
            self.rejections.labels(model_name, reason)
        self.ttft = self._histogram("time_to_first_token_seconds", "Time to first token.", _LATENCY)
        self.itl = self._histogram("inter_token_latency_seconds", "Inter-token latency.", _PER_TOKEN)
        self.tpot = self._histogram("request_time_per_output_token_seconds", "Time per output token.", _PER_TOKEN)
        self.e2e = self._histogram("e2e_request_latency_seconds", "End-to-end latency.", _REQUEST)
        self.set_stats(self._last)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"vllm:{name}", text, self.names, registry=self.registry).labels(*self.labels)

    def _counter(self, name: str, text: str) -> Counter:
        return Counter(f"vllm:{name}", text, self.names, registry=self.registry).labels(*self.labels)

    def _histogram(self, name: str, text: str, buckets: list[float]) -> Histogram:
        return Histogram(f"vllm:{name}", text, self.names, buckets=buckets, registry=self.registry).labels(*self.labels)

    def set_stats(self, stats: Stats) -> None:
        """Take over what the core told."""
        last, self._last = self._last, stats
        self.running.set(stats.running)
        self.waiting.set(stats.waiting)
        self.waiting_by_reason.labels(*self.labels, "capacity").set(stats.waiting)
        self.waiting_by_reason.labels(*self.labels, "deferred").set(0)
        self.kv_usage.set(stats.blocks_held / self.blocks)
        self.memory.set(stats.memory_bytes)
        for level, state in enumerate(SLEEP_STATES):
            self.sleep_state.labels(*self.labels, state).set(1 if level == stats.sleeping else 0)
        for counter, new, old in (
            (self.preemptions, stats.preemptions, last.preemptions),
            (self.generated, stats.generated_tokens, last.generated_tokens),
            (self.prompted, stats.prompt_tokens, last.prompt_tokens),
            (self.queries, stats.cache_queries, last.cache_queries),
            (self.hits, stats.cache_hits, last.cache_hits),
        ):
            counter.inc(max(0, new - old))

    def queue_full(self) -> None:
        """A request was refused because too many wait."""
        self.rejections.labels(self.labels[0], "max_num_queued_reqs").inc()

    def ended(self, request: OpenRequest) -> None:
        """A request was answered. As in vLLM, each choice counts, and a client that hung up counts as no answer."""
        now = time.monotonic()
        tokens = request.generated / request.n
        for finish in request.finishes:
            self.success.labels(*self.labels, "error" if request.error else finish or "error").inc()
            self.e2e.observe(now - request.began)
            if request.first is not None and tokens > 1:
                self.tpot.observe((now - request.first) / (tokens - 1))

    def text(self) -> bytes:
        """The page that /metrics answers, in Prometheus' text format."""
        return generate_latest(self.registry)
