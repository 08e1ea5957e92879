"""What the API server does when a client hangs up: tell the core at once, streamed or not, whatever n is."""

from __future__ import annotations

from collections.abc import Callable


class AbortOnDisconnect:
    """Every request whose client is gone is aborted."""

    policy = "engine_abort"

    def on_disconnect(
        self, request_id: str, *, route: str, stream: bool, n: int, tokens_sent: int, abort: Callable[[str], None]
    ) -> None:
        """``abort`` tells the core; ``tokens_sent`` is 0 while the request is queued or in prefill."""
        abort(request_id)
