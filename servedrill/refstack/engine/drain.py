"""What SIGTERM does to an engine: no new requests, the open ones within the grace period, then exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Drain:
    """Waits for open requests, at most ``grace_s``."""

    policy = "engine_drain"

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s

    def refuses_new(self) -> bool:
        """Whether new requests are refused while draining (503 with Retry-After)."""
        return True

    async def wait(self, open_requests: Callable[[], int]) -> None:
        """Return when the process may end."""
        loop = asyncio.get_running_loop()
        until = loop.time() + self.grace_s
        while open_requests() and loop.time() < until:
            await asyncio.sleep(0.02)
