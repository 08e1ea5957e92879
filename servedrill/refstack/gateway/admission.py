"""How many requests a gateway works on, and how many may wait how long; the rest is refused at once."""

from __future__ import annotations

import asyncio
from collections import deque

from servedrill.refstack.config import GatewayLimits


class Overloaded(Exception):
    """Refused: the queue is full, or the request's time in it is up."""

    def __init__(self, message: str, *, code: str, retry_after_s: float) -> None:
        self.message, self.code, self.retry_after_s = message, code, retry_after_s
        super().__init__(message)


class BoundedQueue:
    """``max_in_flight`` slots and ``max_queue`` places, first come first served, each with a deadline."""

    policy = "gateway_admission"

    def __init__(self, limits: GatewayLimits) -> None:
        self.limits = limits
        self.in_flight = 0
        self.queue: deque[asyncio.Future[None]] = deque()

    @property
    def depth(self) -> int:
        """How many requests wait for a slot."""
        return len(self.queue)

    async def acquire(self, *, deadline_s: float) -> None:
        """Take a slot, or wait for one until ``deadline_s`` from now at most. Raises `Overloaded`."""
        if self.in_flight < self.limits.max_in_flight and not self.queue:
            self.in_flight += 1
            return
        if len(self.queue) >= self.limits.max_queue:
            raise Overloaded("the gateway's queue is full", code="queue_full", retry_after_s=self.limits.retry_after_s)
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.append(turn)
        try:
            async with asyncio.timeout(min(deadline_s, self.limits.queue_timeout_s)):
                await turn
        except TimeoutError:
            if not turn.done() or turn.cancelled():  # else its turn came in the same moment
                raise Overloaded(
                    "no slot came free in time", code="queue_timeout", retry_after_s=self.limits.retry_after_s
                ) from None
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release(cancelled=True)
            raise
        finally:
            if turn in self.queue:
                self.queue.remove(turn)

    def release(self, *, cancelled: bool) -> None:
        """Give the slot back, whatever ended the request; the longest waiting gets it."""
        self.in_flight -= 1
        while self.queue and self.in_flight < self.limits.max_in_flight:
            turn = self.queue.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)
