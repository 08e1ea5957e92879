"""How much is served at once, as clients saw it."""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from servedrill.history.requests import NEVER, Requests


def answered_at_once(requests: Requests) -> int:
    """The most answers that were being given at one instant: from an answer's first token to its end."""
    return _most(requests.whole.columns("t_first_ns", "t_end_ns"))


def taken_at_once(requests: Requests) -> int:
    """The most requests that were with the stack at one instant and were answered in the end."""
    return _most(requests.whole.columns("t_send_ns", "t_end_ns"))


def _most(spans: Iterable[tuple[int, int]]) -> int:
    most, ends = 0, list[int]()
    for start_ns, end_ns in sorted(spans):
        if start_ns == NEVER:
            continue
        while ends and ends[0] <= start_ns:
            heappop(ends)
        heappush(ends, end_ns)
        most = max(most, len(ends))
    return most
