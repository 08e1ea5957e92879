"""How long idle connections live: a pool has to end before its peer's, or requests meet a closed connection."""

from __future__ import annotations

from servedrill.refstack.config import Stack


class ShorterThanPeer:
    """The pool to engines ends before the engines' keep-alive; clients get longer than common pools keep."""

    policy = "keep_alive"

    def __init__(self, stack: Stack) -> None:
        self.stack = stack

    def pool_s(self) -> float:
        """Of idle connections to engines."""
        return min(self.stack.gateway_limits.keep_alive_s, self.stack.engine_keep_alive_s / 2)

    def server_s(self) -> float:
        """Of idle connections from clients."""
        return self.stack.gateway_limits.server_keep_alive_s
