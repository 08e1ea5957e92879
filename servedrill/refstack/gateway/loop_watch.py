"""Whether this gateway itself stood still: then its timeouts say nothing of anybody else.

A process that was paused, or starved of its CPU, finds all its timers overdue when it goes on. Believed, they would
open every breaker at once, and a gateway that has just come back would refuse everything.
"""

from __future__ import annotations

import asyncio

_EVERY_S = 0.05
_STILL_S = 0.3


class LoopWatch:
    """A timer that notices its own lateness. Times are the event loop's, in seconds."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ticked = self._loop.time()
        self._went_on = 0.0
        self._loop.call_later(_EVERY_S, self._tick)

    def stood_still_since(self, began: float) -> bool:
        """Whether the loop stood still at some time after ``began``."""
        return self._went_on > began or self._loop.time() - self._ticked > _STILL_S + _EVERY_S

    def _tick(self) -> None:
        now = self._loop.time()
        if now - self._ticked > _STILL_S + _EVERY_S:
            self._went_on = now
        self._ticked = now
        self._loop.call_later(_EVERY_S, self._tick)
