"""Token-aware limits for each API key: a bucket of tokens a minute, charged for what a request may cost."""

from __future__ import annotations

from dataclasses import dataclass

from servedrill.refstack.config import GatewayLimits


@dataclass(slots=True)
class Bucket:
    """One key's tokens, as they were at ``updated`` (seconds)."""

    tokens: float
    updated: float


class TokenQuota:
    """A request is charged its prompt and its output limit; one that is refused or fails gets all of it back."""

    policy = "quota"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.buckets: dict[str, Bucket] = {}

    def charge(self, key: str, tokens: int, now: float) -> float | None:
        """None when admitted; else the seconds after which it would be."""
        capacity = self.capacity(key)
        bucket = self.buckets.setdefault(key, Bucket(capacity, now))
        rate = capacity / 60
        bucket.tokens = min(capacity, bucket.tokens + (now - bucket.updated) * rate)
        bucket.updated = now
        if tokens > bucket.tokens:
            return (min(tokens, capacity) - bucket.tokens) / rate
        bucket.tokens -= tokens
        return None

    def refund(self, key: str, tokens: int) -> None:
        """Give back what a refused or failed request was charged; an unknown key is ignored."""
        bucket = self.buckets.get(key)
        if bucket is not None:
            bucket.tokens = min(self.capacity(key), bucket.tokens + tokens)

    def capacity(self, key: str) -> int:
        """Tokens a minute of a key, and what its full bucket holds."""
        return self.limits.metered_keys.get(key, self.limits.tokens_per_minute_per_key)
