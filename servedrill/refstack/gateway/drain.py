"""What SIGTERM does to a gateway: out of rotation first, then finish what is open, then exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Drain:
    """/health says 503 at once; new requests are still served for ``lame_duck_s``, until every resolver has noticed."""

    policy = "gateway_drain"

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.lame_duck_s = 2.0

    async def wait(self, open_requests: Callable[[], int]) -> None:
        """Return when the process may end."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() < began + self.lame_duck_s or (open_requests() and loop.time() < began + self.grace_s):
            await asyncio.sleep(0.02)
