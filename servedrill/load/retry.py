"""When the client tries again and after how long: the habits of the usual SDKs, stated as pure functions."""

from __future__ import annotations

import random

from servedrill.load.answer import Answer

_STATUSES = frozenset({408, 409, 429})
_BACKOFF_S_MAX = 4.0


def worth_retrying(failure: str, answer: Answer) -> bool:
    """Whether a failed try may be repeated: nothing of an answer has come, and another try could fare better."""
    if answer.stamps_ns:
        return False
    if answer.status is None:
        return failure in ("connect", "reset", "closed")
    return answer.status in _STATUSES or answer.status >= 500


def backoff_s(tries: int, *, base_s: float, retry_after_s: float | None, rng: random.Random) -> float:
    """Seconds to wait after ``tries`` tries: what the stack asked for, or exponential with full jitter, at most 4 s."""
    if retry_after_s is not None:
        return retry_after_s
    return rng.uniform(0.0, min(_BACKOFF_S_MAX, base_s * 2.0 ** (tries - 1)))
