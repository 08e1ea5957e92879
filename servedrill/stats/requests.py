"""What a request was to its user: whole or not, how late the first token, how steady the rest.

Definitions as in METRICS.md: TTFT from the scheduled instant, so that a late client or a queue in front of the service
counts.
"""

from __future__ import annotations

import math

from servedrill.history.events import RequestRecord


def whole(request: RequestRecord) -> bool:
    """A complete answer: every choice ended, a terminal frame, no error."""
    return request.failure is None and request.cancelled_ns is None


def ttft_s(request: RequestRecord) -> float:
    """``ttft_user``: from the scheduled instant to the first content; +inf when none came."""
    if request.t_first_ns is None:
        return math.inf
    return (request.t_first_ns - request.t_int_ns) / 1e9


def ttft_service_s(request: RequestRecord) -> float:
    """From the first byte sent to the first content; +inf when none came."""
    if request.t_first_ns is None or request.t_send_ns is None:
        return math.inf
    return (request.t_first_ns - request.t_send_ns) / 1e9


def duration_s(request: RequestRecord) -> float:
    """From the scheduled instant to the end, whatever the end was."""
    return (request.t_end_ns - request.t_int_ns) / 1e9


def tpot_s(request: RequestRecord, *, counts_known: bool = True) -> float | None:
    """Mean time per output token of one choice after the first; None where there are fewer than two.

    What came is what counts: a piece of content is one token where the server's count is not known to be true.
    """
    if not request.stream or request.t_first_ns is None or request.t_last_ns is None:
        return None
    counted = request.completion_tokens if counts_known else None
    tokens = (counted or len(request.gaps_ns) + 1) / request.n
    return (request.t_last_ns - request.t_first_ns) / 1e9 / (tokens - 1) if tokens > 1 else None


def max_stall_s(request: RequestRecord) -> float:
    """The longest silence after the first content, the one before the answer's end included; TPOT averages a failover's
    stall away."""
    hung_up = request.failure is None and request.cancelled_ns is not None
    last_ns = 0 if hung_up or request.t_last_ns is None else request.t_end_ns - request.t_last_ns
    return max([0, *request.gaps_ns, last_ns]) / 1e9


def tokens_received(request: RequestRecord) -> int:
    """Words of content that arrived, over all choices."""
    return sum(len(text.split()) for text in request.texts)
