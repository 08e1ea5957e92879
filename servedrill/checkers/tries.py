"""The tries of one request as the wire saw them: how a gateway's retries are grouped for judging."""

from __future__ import annotations

from itertools import pairwise

from servedrill.history.events import Exchange
from servedrill.history.history import History


def tries_of_each_call(history: History, window: str) -> list[list[Exchange]]:
    """The `calls` whose first try fell into a window; of the whole history where none is named."""
    within = history.windows[window] if window else None
    return [tries for tries in calls(history) if within is None or tries[0].t_request_ns in within]


def calls(history: History) -> list[list[Exchange]]:
    """Each inner list is one call to a gateway: its tries in order; a client's own retry begins another call."""
    found: list[list[Exchange]] = []
    client_tries = _client_tries(history)
    for request_id, exchanges in history.exchanges_of.items():
        current: list[Exchange] = []
        begins = iter(client_tries.get(request_id, [])[1:])
        next_ns = next(begins, None)
        for exchange in exchanges:
            again = exchange.attempt == "1"
            if exchange.attempt is None and next_ns is not None and exchange.t_request_ns >= next_ns:
                again, next_ns = True, next(begins, None)
            if again or not current:
                current = []
                found.append(current)
            current.append(exchange)
    return found


def _client_tries(history: History) -> dict[str, list[int]]:
    """Request id -> when its client sent each of its tries: what tells them apart behind a gateway that does not number
    its own."""
    return {
        request.attempts[0].request_id: [attempt.t_send_ns for attempt in request.attempts]
        for request in history.requests(cancelled=True).where("tries", test=(1).__lt__)
        if request.attempts[0].request_id
    }


def retries(tries: list[Exchange]) -> list[tuple[Exchange, Exchange]]:
    """Pairs of a failed try and the one after it; a try after content had come is a stream's continuation, and not in
    here."""
    return [(before, after) for before, after in pairwise(tries) if before.status != 200]
