"""Active health checks: what a series of probes says of an upstream."""

from __future__ import annotations

from dataclasses import dataclass, field

from servedrill.refstack.config import GatewayLimits


@dataclass(slots=True)
class Record:
    """What the probes of one upstream said; ``failures`` and ``successes`` count those in a row."""

    healthy: bool = False
    failures: int = 0
    successes: int = 0
    models: frozenset[str] = field(default_factory=frozenset)
    """Names that the upstream said it serves, at its last answer."""


class ActiveHealth:
    """Out after ``health_failures`` bad probes in a row, or at once when the upstream itself answers 503.

    Back after ``health_successes`` good ones in a row.
    """

    policy = "health"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.records: dict[str, Record] = {}

    def record(self, upstream: str) -> Record:
        """The record of an upstream, unhealthy where it was never probed."""
        return self.records.setdefault(upstream, Record())

    def observe(self, upstream: str, *, status: int | None, models: frozenset[str]) -> None:
        """One probe of /health ended; ``status`` None when nothing came in time."""
        record = self.record(upstream)
        if status is not None:
            record.models = models
        if status == 200:
            record.successes, record.failures = record.successes + 1, 0
            if record.successes >= self.limits.health_successes:
                record.healthy = True
        else:
            record.failures, record.successes = record.failures + 1, 0
            if record.failures >= self.limits.health_failures or status == 503:
                record.healthy = False

    def healthy(self, upstream: str) -> bool:
        """Whether requests may go there."""
        return self.record(upstream).healthy

    def serves(self, upstream: str, model: str) -> bool:
        """Whether the upstream said, at its last answer, that it serves ``model``."""
        return model in self.record(upstream).models
