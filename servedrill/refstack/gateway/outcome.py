"""How one try at an upstream ended: the word that retry, breaker and metrics share."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One try's end.

    ``kind`` is ok, status, connect, reset, first_token_timeout, idle_timeout, try_timeout, cut, error_event, cancelled,
    stale (the upstream no longer serves the model that it was known to serve),
    busy (nothing came in time, but others got tokens from there meanwhile),
    own_stall (the gateway itself stood still meanwhile), or none (no upstream could be asked).
    """

    upstream: str
    kind: str
    status: int | None = None
    retry_after_s: float | None = None
    message: str = ""
    code: str = ""
    tokens: int = 0
    """Content deltas that had come by then."""
    began: float = 0.0
    ended: float = 0.0
    """Loop time, seconds."""

    @property
    def ok(self) -> bool:
        """Whether the client has a whole answer from this try."""
        return self.kind == "ok"

    @property
    def callers_fault(self) -> bool:
        """A 4xx other than 408 and 429 says something of the request, nothing of the upstream."""
        return (
            self.kind == "status"
            and self.status is not None
            and 400 <= self.status < 500
            and self.status not in (408, 429)
        )

    @property
    def timed_out(self) -> bool:
        """Whether the gateway gave up waiting."""
        return self.kind in ("first_token_timeout", "idle_timeout", "try_timeout")

    @property
    def neutral(self) -> bool:
        """Whether it says nothing of how the upstream works.

        An upstream that refuses because its queue is full works as fast as it can: ejected, its load goes to the next.
        """
        return (
            self.callers_fault
            or self.kind in ("cancelled", "stale", "busy", "own_stall")
            or self.status == 429
            or self.code == "queue_full"
        )
