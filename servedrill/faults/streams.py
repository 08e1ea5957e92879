"""Faults of HTTP and of event streams: what a sick engine does rather than a sick network.

They need a proxy that reads along, which is servedrill's own; with the original toxiproxy-server they are refused by
name. A stream is an answer of type ``text/event-stream``; its events are counted from 1, ``[DONE]`` is none of them.
``toxicity`` is the share of connections that a fault falls on, 0 to 1.
"""

from __future__ import annotations

from servedrill.errors import UsageError
from servedrill.faults.figures import FIGURE_MAX, at_least, share, status_of_http
from servedrill.faults.toxic import Toxic
from servedrill.stacks.protocols import Proxied

USERS = "/v1/"
"""Where users' requests go: health checks and metrics pass."""


# ---- an answer in the engine's place


def http_status(
    stack: Proxied,
    hop: str,
    *,
    status: int,
    retry_after_s: float = 0.0,
    fail_times: int = 0,
    probability: float = 1.0,
    message: str = "",
    path: str = USERS,
    toxicity: float = 1.0,
) -> Toxic:
    """The hop itself answers requests whose path begins with ``path``, with an OpenAI-style error.

    ``fail_times`` requests, over all connections, then none; 0 is every time. ``probability`` is drawn for each
    request. Proven by requests answered.
    """
    at_least(0, retry_after_s=retry_after_s, fail_times=fail_times)
    share(probability=probability)
    status_of_http(status)
    return Toxic(
        stack,
        hop,
        "http_status",
        stream="upstream",
        toxicity=toxicity,
        status=status,
        retry_after=retry_after_s,
        fail_times=fail_times,
        probability=probability,
        body_message=message,
        path=path,
    )


def rate_limited(stack: Proxied, hop: str, *, retry_after_s: float, fail_times: int = 0) -> Toxic:
    """429 with ``Retry-After``: too many requests. Proven by requests answered."""
    return http_status(stack, hop, status=429, retry_after_s=retry_after_s, fail_times=fail_times)


def unavailable(stack: Proxied, hop: str, *, retry_after_s: float = 0.0, fail_times: int = 0) -> Toxic:
    """503: overloaded or on its way down. Proven by requests answered."""
    return http_status(stack, hop, status=503, retry_after_s=retry_after_s, fail_times=fail_times)


def internal_error(stack: Proxied, hop: str, *, fail_times: int = 0, probability: float = 1.0) -> Toxic:
    """500: the engine failed at this request. Proven by requests answered."""
    return http_status(stack, hop, status=500, fail_times=fail_times, probability=probability)


# ---- late


def delay_headers(stack: Proxied, hop: str, *, ms: int, toxicity: float = 1.0) -> Toxic:
    """The head of each answer comes ``ms`` late, as from an engine with a long queue. Proven by heads delayed."""
    at_least(1, ms=ms)
    return Toxic(stack, hop, "delay_headers", toxicity=toxicity, delay=ms)


def delay_first_token(stack: Proxied, hop: str, *, ms: int, toxicity: float = 1.0) -> Toxic:
    """The head is in time, the first event ``ms`` late, as after a long prefill. Proven by events delayed."""
    at_least(1, ms=ms)
    return Toxic(stack, hop, "delay_first_token", toxicity=toxicity, delay=ms)


def token_rate(stack: Proxied, hop: str, *, tokens_per_s: float, toxicity: float = 1.0) -> Toxic:
    """Events of each stream leave no faster, as from an engine that shares its GPU. Proven by events delayed."""
    if not 0 < tokens_per_s <= FIGURE_MAX:
        raise UsageError(f"tokens_per_s is {tokens_per_s:g}", where="token_rate", expected="more than 0")
    return Toxic(stack, hop, "token_rate", toxicity=toxicity, tokens_per_s=tokens_per_s)


def stall_stream(stack: Proxied, hop: str, *, after_events: int, ms: int = 0, toxicity: float = 1.0) -> Toxic:
    """After so many events nothing comes for ``ms``; 0 is until healed.

    The connection lives. Proven by streams stalled.
    """
    at_least(0, after_events=after_events, ms=ms)
    return Toxic(stack, hop, "stall_stream", toxicity=toxicity, after_events=after_events, duration=ms)


# ---- cut short


def cut_stream(
    stack: Proxied,
    hop: str,
    *,
    after_events: int = 0,
    after_bytes: int = 0,
    reset: bool = False,
    toxicity: float = 1.0,
) -> Toxic:
    """The connection ends when more was about to come: after so many events, or so many bytes of the body.

    With an RST where ``reset``, else a FIN. Proven by streams cut.
    """
    at_least(0, after_events=after_events, after_bytes=after_bytes)
    if after_events and after_bytes:
        raise UsageError(
            "both after_events and after_bytes are given", where=f"cut_stream on {hop}", expected="one of them"
        )
    return Toxic(
        stack,
        hop,
        "cut_stream",
        toxicity=toxicity,
        after_events=after_events,
        after_bytes=after_bytes,
        reset=reset,
    )


def drop_done(stack: Proxied, hop: str, *, toxicity: float = 1.0) -> Toxic:
    """The terminal ``data: [DONE]`` is missing, though the answer ends as it should. Proven by events dropped."""
    return Toxic(stack, hop, "drop_done", toxicity=toxicity)


def idle_close(stack: Proxied, hop: str, *, after_ms: int, reset: bool = False, toxicity: float = 1.0) -> Toxic:
    """A kept connection on which nothing was asked for so long is closed, or reset: keep-alive breaks when needed.

    Proven by connections closed or reset.
    """
    at_least(1, after_ms=after_ms)
    effects = ("connections_reset",) if reset else ("connections_closed",)
    return Toxic(stack, hop, "idle_close", toxicity=toxicity, effects=effects, idle_ms=after_ms, reset=reset)


# ---- wrong


def drop_event(stack: Proxied, hop: str, *, nth: int = 1, toxicity: float = 1.0) -> Toxic:
    """One event of each stream is missing. Proven by events dropped."""
    at_least(1, nth=nth)
    return Toxic(stack, hop, "drop_event", toxicity=toxicity, nth=nth)


def repeat_event(stack: Proxied, hop: str, *, nth: int = 1, toxicity: float = 1.0) -> Toxic:
    """One event of each stream comes twice. Proven by events repeated."""
    at_least(1, nth=nth)
    return Toxic(stack, hop, "repeat_event", toxicity=toxicity, nth=nth)


def corrupt_event(stack: Proxied, hop: str, *, nth: int = 1, toxicity: float = 1.0) -> Toxic:
    """The JSON of one event of each stream is cut in half. Proven by events changed."""
    at_least(1, nth=nth)
    return Toxic(stack, hop, "corrupt_event", toxicity=toxicity, nth=nth)


def error_event(
    stack: Proxied,
    hop: str,
    *,
    after_events: int = 0,
    status: int = 500,
    message: str = "injected fault: the engine failed",
    terminate: bool = True,
    toxicity: float = 1.0,
) -> Toxic:
    """An error event in a stream that began with 200; then ``[DONE]``, or the rest where not ``terminate``.

    Proven by events added.
    """
    at_least(0, after_events=after_events)
    status_of_http(status)
    return Toxic(
        stack,
        hop,
        "error_event",
        toxicity=toxicity,
        after_events=after_events,
        status=status,
        message=message,
        terminate=terminate,
    )


def swap_model(stack: Proxied, hop: str, *, model: str = "swapped", toxicity: float = 1.0) -> Toxic:
    """The ``model`` field of every event says this, as while a swap mixes up who answers. Proven by events changed."""
    return Toxic(stack, hop, "swap_model", toxicity=toxicity, model=model)
