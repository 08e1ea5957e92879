"""The figures of `servedrill.stats.requests` for many requests at once, one after the other, from columns alone."""

from __future__ import annotations

import math
from collections.abc import Iterator

from servedrill.history.requests import NEVER, Requests


def wholes(requests: Requests) -> Iterator[bool]:
    """Whether each was answered to its end."""
    return (not failure and not cancelled for failure, cancelled in requests.columns("failure", "cancelled"))


def ttfts_s(requests: Requests) -> Iterator[float]:
    """+inf for those that no content came for."""
    return (
        math.inf if first_ns == NEVER else (first_ns - due_ns) / 1e9
        for due_ns, first_ns in requests.columns("t_int_ns", "t_first_ns")
    )


def ttfts_service_s(requests: Requests) -> Iterator[float]:
    """+inf for those that no content came for, or that were never sent."""
    return (
        math.inf if NEVER in (first_ns, sent_ns) else (first_ns - sent_ns) / 1e9
        for sent_ns, first_ns in requests.columns("t_send_ns", "t_first_ns")
    )


def durations_s(requests: Requests) -> Iterator[float]:
    """From when it was due to its end, failures included."""
    return ((end_ns - due_ns) / 1e9 for due_ns, end_ns in requests.columns("t_int_ns", "t_end_ns"))


def tpots_s(requests: Requests) -> Iterator[float | None]:
    """None for those that are no stream of two tokens or more."""
    told = zip(requests.columns("stream", "t_first_ns", "t_last_ns", "n"), requests.tokens(), strict=True)
    for (stream, first_ns, last_ns, n), counted in told:
        tokens = counted / n
        told = stream and first_ns != NEVER and last_ns != NEVER and tokens > 1
        yield (last_ns - first_ns) / 1e9 / (tokens - 1) if told else None


def stalls_s(requests: Requests) -> Iterator[float]:
    """The longest silence after the first content, that before the end included; 0 where there was none."""
    told = requests.columns("longest_gap_ns", "failure", "cancelled", "t_last_ns", "t_end_ns")
    for gap_ns, failure, cancelled, last_ns, end_ns in told:
        hung_up = cancelled and not failure
        last_gap_ns = 0 if hung_up or last_ns == NEVER else end_ns - last_ns
        yield max(0, gap_ns, last_gap_ns) / 1e9
