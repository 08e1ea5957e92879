"""What a gateway does when its client hangs up: end the upstream request at once, streamed or not."""

from __future__ import annotations

import asyncio
from typing import Any


class CancelUpstream:
    """Cancels the work; that closes the upstream connection, which is what tells the engine."""

    policy = "upstream_cancel"

    def on_disconnect(self, work: asyncio.Task[Any], *, stream: bool, route: str, n: int, tokens: int) -> None:
        """``work`` is everything that is done for the request: waiting for a slot, tries, the relay of the stream."""
        work.cancel()
