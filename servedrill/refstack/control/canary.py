"""Whether a candidate may take over: its parameters, its answers to golden questions, and what its first users got."""

from __future__ import annotations

from statistics import median
from typing import Any

from servedrill.refstack.config import Stack
from servedrill.refstack.gateway.versions import VersionStats


class Canary:
    """Each check gives the reason against the candidate, or None."""

    policy = "canary"

    def __init__(self, stack: Stack) -> None:
        self.requests, self.observe_s, self.slowdown_max = (
            stack.canary_requests,
            stack.canary_observe_s,
            stack.canary_slowdown_max,
        )
        self.weight = stack.canary_weight
        self.questions = 20

    def check_parameters(self, serving: dict[str, Any], candidate: dict[str, Any]) -> str | None:
        """``/server_info`` of an engine with the version that serves now, and of the one with the candidate."""
        for name in ("max_model_len", "dtype", "default_sampling_params"):
            if serving.get(name) != candidate.get(name):
                return f"{name} is {candidate.get(name)}, {serving.get(name)} is served now"
        return None

    def check_quality(self, *, right: int, asked: int, serving_right: int) -> str | None:
        """Golden questions, asked of both versions."""
        return (
            f"{right} of {asked} golden answers right, {serving_right} by the version that serves now"
            if right < serving_right - 1
            else None
        )

    def enough(self, candidate: VersionStats) -> bool:
        """Whether the candidate has served enough to be judged."""
        return candidate.requests >= self.requests

    def check_traffic(self, serving: VersionStats, candidate: VersionStats) -> str | None:
        """What users got from both at the same time."""
        if candidate.requests == 0:
            return "no traffic reached the candidate"
        if candidate.failures > max(1, candidate.requests * 0.02):
            return f"{candidate.failures} of {candidate.requests} requests failed"
        for name in ("tpot_s", "ttft_s"):
            old, new = getattr(serving, name), getattr(candidate, name)
            if old and new and median(new) > self.slowdown_max * median(old) and median(new) - median(old) > 0.005:
                return f"{name} {median(new):.3f}, {median(old):.3f} by the version that serves now"
        return None
