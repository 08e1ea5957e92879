"""The tries of one request as the wire saw them: how a gateway's retries are grouped for judging."""

from __future__ import annotations

from itertools import pairwise

from servedrill.history.events import Exchange
from servedrill.history.history import History


def tries_of_each_call(history: History, window: str) -> list[list[Exchange]]:
    """The `calls` whose first try fell into a window."""
    within = history.windows[window]
    return [tries for tries in calls(history) if tries[0].t_request_ns in within]


def calls(history: History) -> list[list[Exchange]]:
    """Each inner list is one call to a gateway: its tries in order; a client's own retry begins another call."""
    found: list[list[Exchange]] = []
    for exchanges in history.exchanges_of.values():
        current: list[Exchange] = []
        for exchange in exchanges:
            if exchange.attempt == "1" or not current:
                current = []
                found.append(current)
            current.append(exchange)
    return found


def retries(tries: list[Exchange]) -> list[tuple[Exchange, Exchange]]:
    """Pairs of a failed try and the one after it; a try after content had come is a stream's continuation, and not in here."""
    return [(before, after) for before, after in pairwise(tries) if before.status != 200]
