"""How many requests are under way, in all and at each upstream: what balancing and gauges go by."""

from __future__ import annotations

from collections import Counter


class InFlight:
    """Counts every begin once up and every end once down, however it ended."""

    policy = "in_flight"

    def __init__(self) -> None:
        self.total = 0
        self.at: Counter[str] = Counter()

    def request_began(self) -> None:
        self.total += 1

    def request_ended(self, *, cancelled: bool) -> None:
        self.total -= 1

    def try_began(self, upstream: str) -> None:
        self.at[upstream] += 1

    def try_ended(self, upstream: str, *, cancelled: bool) -> None:
        self.at[upstream] -= 1
