"""What SIGTERM does to a gateway: out of rotation first, then finish what is open, then exit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Drain:
    """/health says 503 at once; new requests are still served for ``lame_duck_s``, until every resolver has noticed.

    Answers that begin meanwhile end their connection, so that nobody comes back on it.
    """

    policy = "gateway_drain"

    def __init__(self, grace_s: float) -> None:
        self.grace_s = grace_s
        self.lame_duck_s = 2.0
        self.quiet_s = 0.3
        """How long nothing may have been open: who was answered last may ask again on the same connection."""

    def says_ready(self) -> bool:
        """Whether /health goes on to answer 200 while draining."""
        return False

    def keeps_listening(self) -> bool:
        """Whether new connections are accepted while draining."""
        return True

    def keeps_connections(self) -> bool:
        """Whether clients may ask again on the connection of an answer that begins while draining."""
        return False

    async def wait(self, open_requests: Callable[[], int]) -> None:
        """Return when the process may end."""
        loop = asyncio.get_running_loop()
        began = busy = loop.time()
        while (now := loop.time()) < began + self.grace_s:
            busy = now if open_requests() else busy
            if now >= max(began + self.lame_duck_s, busy + self.quiet_s):
                return
            await asyncio.sleep(0.02)
