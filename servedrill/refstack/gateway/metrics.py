"""The gateway's metrics: in flight, queue, tries by outcome, breaker state, retries, for each upstream."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics, generate_latest

disable_created_metrics()  # type: ignore[no-untyped-call]


class GatewayMetrics:
    """One registry of one gateway; names begin ``gateway_``."""

    def __init__(self) -> None:
        self.registry = r = CollectorRegistry()
        self.in_flight = Gauge("gateway_in_flight_requests", "Requests under way, waiting ones included.", registry=r)
        self.queue = Gauge("gateway_queue_depth", "Requests waiting for a slot.", registry=r)
        self.requests = Counter("gateway_requests", "Requests by the status of their answer.", ("status",), registry=r)
        self.tries = Counter("gateway_upstream_tries", "Tries by how they ended.", ("upstream", "outcome"), registry=r)
        self.retries = Counter("gateway_retries", "Tries after the first.", registry=r)
        self.budget = Gauge("gateway_retry_budget_balance", "Retries that may be made at once.", registry=r)
        self.resumes = Counter("gateway_stream_resumes", "Streams that went on at another engine.", registry=r)
        self.breaker = Gauge("gateway_breaker_state", "0 closed, 1 open, 2 half-open.", ("upstream",), registry=r)
        self.healthy = Gauge("gateway_upstream_healthy", "1 when active checks pass.", ("upstream",), registry=r)
        self.at = Gauge("gateway_upstream_in_flight", "Tries under way.", ("upstream",), registry=r)

    def text(self) -> bytes:
        """The page that /metrics answers, in Prometheus' text format."""
        return generate_latest(self.registry)
