"""How weights are changed under traffic: stop taking requests, finish the open ones, then change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from servedrill.refstack.engine.readiness import EngineState


class DrainThenSwap:
    """Used before a change of weights, a sleep and an adapter's unload."""

    policy = "swap"

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s

    async def quiesce(self, state: EngineState, open_requests: Callable[[], int]) -> bool:
        """Refuse new requests (``state.swapping``) until none is open; False when the grace period was too short."""
        state.swapping = True
        loop = asyncio.get_running_loop()
        until = loop.time() + self.grace_s
        while open_requests() and loop.time() < until:
            await asyncio.sleep(0.01)
        return not open_requests()

    def resume(self, state: EngineState) -> None:
        """Take requests again."""
        state.swapping = False
