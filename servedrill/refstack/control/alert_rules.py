"""Which alerts are firing, given what is known of the stack right now."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One replica as the alert endpoint sees it; ``down_s`` is how long its /health has not answered 200."""

    name: str
    role: str
    down_s: float
    last_exit: str
    kv_usage: float
    running: float
    tokens_flat_s: float
    """How long its token counter has not moved although requests are running; of the role ``stack``, no engine's
    counter although any gateway has requests in flight."""


class AlertRules:
    """Down, killed for memory, no progress."""

    policy = "alert_rules"

    def firing(self, facts: list[Fact]) -> list[tuple[str, str]]:
        """``(alert name, replica)`` for every alert that is firing now."""
        alerts: list[tuple[str, str]] = []
        for fact in facts:
            if fact.down_s > 0.5:
                alerts.append(("ReplicaDown", fact.name))
                if fact.last_exit == "OOMKilled":
                    alerts.append(("EngineOutOfMemory", fact.name))
            if fact.tokens_flat_s > 1.5:
                alerts.append(("NoProgress", fact.name))
        return alerts
