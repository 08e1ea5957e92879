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
        """A client's request came in; waiting ones count too."""
        self.total += 1

    def request_ended(self, *, cancelled: bool) -> None:
        """It was answered or refused, or its client hung up (``cancelled``)."""
        self.total -= 1

    def try_began(self, upstream: str) -> None:
        """A try was sent to an upstream."""
        self.at[upstream] += 1

    def try_ended(self, upstream: str, *, cancelled: bool) -> None:
        """It ended, or its client hung up (``cancelled``)."""
        self.at[upstream] -= 1
