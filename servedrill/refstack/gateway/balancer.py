"""Which of the possible upstreams gets the next try."""

from __future__ import annotations

import random
from collections.abc import Sequence


class LeastInFlight:
    """The one with the fewest requests in flight; by chance among equals, so that two gateways do not move in step."""

    policy = "balancer"

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance

    def choose(self, candidates: Sequence[str], in_flight: dict[str, int], tried: Sequence[str]) -> str:
        """One of ``candidates``, which is never empty; upstreams that this request has not tried come first."""
        fresh = [name for name in candidates if name not in tried] or list(candidates)
        least = min(in_flight.get(name, 0) for name in fresh)
        return self.chance.choice([name for name in fresh if in_flight.get(name, 0) == least])
