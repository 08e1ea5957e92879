"""How long a gateway waits, for what, in seconds."""

from __future__ import annotations

from servedrill.refstack.config import GatewayLimits


class Timeouts:
    """A try is bounded in every part; a steady stream is not cut, however long it is."""

    policy = "timeouts"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits

    def connect_s(self) -> float | None:
        """For a connection to an engine to be established."""
        return self.limits.connect_timeout_s

    def first_token_s(self) -> float | None:
        """From sending a streamed request to its first content."""
        return self.limits.first_token_timeout_s

    def idle_s(self) -> float | None:
        """Between two chunks of a stream."""
        return self.limits.idle_timeout_s

    def whole_s(self, max_tokens: int) -> float | None:
        """For an answer that is not streamed: grows with what was asked for."""
        return min(self.limits.try_timeout_s, self.limits.first_token_timeout_s + 0.03 * max_tokens)

    def request_s(self) -> float:
        """From the request's arrival until the last instant at which another try may begin, waiting included."""
        return self.limits.request_timeout_s
