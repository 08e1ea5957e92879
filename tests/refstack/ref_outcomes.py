"""How tries at an upstream can end, for the tests of what follows from it."""

from __future__ import annotations

from servedrill.refstack.gateway.outcome import Outcome

KINDS = ["connect", "reset", "first_token_timeout", "idle_timeout", "try_timeout", "cut", "error_event", "stale"]
OK = Outcome(upstream="a", kind="ok", began=1000.0)
CANCELLED = Outcome(upstream="a", kind="cancelled")


def failed(
    kind: str = "reset",
    *,
    status: int | None = None,
    upstream: str = "a",
    retry_after_s: float | None = None,
    ended: float = 0.0,
) -> Outcome:
    """A try that failed; with a ``status``, its kind is ``status``."""
    return Outcome(
        upstream=upstream, kind="status" if status else kind, status=status, retry_after_s=retry_after_s, ended=ended
    )
