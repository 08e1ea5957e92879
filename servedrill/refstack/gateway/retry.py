"""Whether, when and how often a failed try is followed by another: full jitter, Retry-After, a budget."""

from __future__ import annotations

import random
from collections.abc import Sequence

from servedrill.refstack.config import GatewayLimits
from servedrill.refstack.gateway.outcome import Outcome


class FullJitterRetry:
    """Exponential backoff with full jitter (AWS Architecture Blog, 2015), never before a Retry-After has passed.

    A 429 speaks for the whole service, so its Retry-After holds wherever the next try goes. A 503 speaks for the
    replica that sent it: that one is left alone until then (`not_before`), others may be tried after the backoff.
    """

    policy = "retry"

    def __init__(self, limits: GatewayLimits, chance: random.Random) -> None:
        self.limits, self.chance = limits, chance

    def retryable(self, outcome: Outcome) -> bool:
        """Whether another try could help; never a request's own fault, never after a client's cancel."""
        return not outcome.ok and outcome.kind != "cancelled" and not outcome.callers_fault

    def delay_s(self, tries: Sequence[Outcome]) -> float | None:
        """Seconds until the next try, or None when there must not be one; ``tries`` are those made for this request."""
        last = tries[-1]
        if not self.retryable(last) or len(tries) >= self.limits.max_tries:
            return None
        backoff_s = self.chance.uniform(0, min(self.limits.backoff_max_s, self.limits.backoff_base_s * 2 ** len(tries)))
        asked_s = max(
            (t.retry_after_s - (last.ended - t.ended) for t in tries if t.status == 429 and t.retry_after_s),
            default=0.0,
        )
        return backoff_s + max(0.0, asked_s)

    def not_before(self, tries: Sequence[Outcome]) -> dict[str, float]:
        """Upstream -> loop time before which it must not be tried again by this request."""
        return {t.upstream: t.ended + t.retry_after_s for t in tries if t.retry_after_s}


class RetryBudget:
    """Retries may add ``ratio`` to the traffic and ``min_per_s`` besides, so that they never make an outage worse."""

    policy = "retry_budget"

    def __init__(self, limits: GatewayLimits) -> None:
        self.ratio, self.min_per_s = limits.retry_budget_ratio, limits.retry_budget_min_per_s
        self.burst = 10.0
        self.balance = self.burst
        self._updated: float | None = None

    def deposit(self, now: float) -> None:
        """A request came in."""
        self._refill(now)
        self.balance = min(self.burst, self.balance + self.ratio)

    def withdraw(self, now: float) -> bool:
        """Whether one retry may be made now."""
        self._refill(now)
        if self.balance < 1:
            return False
        self.balance -= 1
        return True

    def _refill(self, now: float) -> None:
        if self._updated is not None:
            self.balance = min(self.burst, self.balance + (now - self._updated) * self.min_per_s)
        self._updated = now
