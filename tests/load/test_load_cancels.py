"""Hanging up on purpose: at the planned point, by closing the socket."""

from __future__ import annotations

import asyncio

import pytest
from load_servers import (
    SSE_HEAD,
    AnsweringServer,
    Peer,
    RefusingServer,
    Request,
    Server,
    StallingServer,
    ask,
    chunk,
    event,
)

from servedrill.history.events import CancelPlan
from servedrill.load.plan import CancelMix, CancelPoint


def mix(at: str, **point: float) -> CancelMix:
    """A mix of one point."""
    return CancelMix([CancelPoint(CancelPlan(at=at, **point))])  # type: ignore[arg-type]


def EndlessServer(every_s: float = 0.005) -> Server:
    """Streams tokens until the client leaves."""

    async def behaviour(peer: Peer, request: Request, number: int) -> None:
        await peer.send(SSE_HEAD)
        while True:
            await peer.send(chunk(event(" w")))
            await asyncio.sleep(every_s)

    return Server(behaviour)


@pytest.mark.parametrize(("at", "least_s"), [("queued", 0.0), ("prefill", 0.005)])
def test_before_the_first_token(at: str, least_s: float) -> None:
    """The socket is closed a moment after the request was written, and the record is no failure."""
    with StallingServer() as server:
        record = ask(server, cancel=mix(at))
        server.wait_closed()
    assert record.failure is None
    assert record.cancel is not None
    assert record.cancel.at == at
    assert record.cancelled_ns == record.t_end_ns
    assert record.attempts[0].error == "cancelled"
    assert least_s <= (record.cancelled_ns - record.t_send_ns) / 1e9 < record.deadline_s / 2  # type: ignore[operator]
    assert len(server.requests) == 1


def test_not_once_a_token_has_come() -> None:
    """A hang-up in the queue that comes too late does not happen."""
    with AnsweringServer() as server:
        record = ask(server, cancel=mix("prefill"))
    assert (record.cancelled_ns, record.failure, record.done_frames) == (None, None, 1)


def test_after_some_tokens() -> None:
    """The client leaves with the k-th content delta; what came until then is kept."""
    with EndlessServer() as server:
        record = ask(server, cancel=mix("tokens", tokens=4))
        server.wait_closed()
    assert record.texts == [" w" * 4]
    assert record.cancelled_ns is not None
    assert (record.failure, record.done_frames) == (None, 0)


def test_after_a_time() -> None:
    """The client leaves in the middle of the stream."""
    with EndlessServer() as server:
        record = ask(server, cancel=mix("after_s", after_s=0.4))
        server.wait_closed()
    assert 0.4 <= (record.t_end_ns - record.t_int_ns) / 1e9 < record.deadline_s / 2
    assert len(record.gaps_ns) > 3


def test_tokens_are_time_where_nothing_streams() -> None:
    """Without a stream, k tokens are k times 20 ms."""
    with StallingServer() as server:
        record = ask(server, stream=0.0, cancel=mix("tokens", tokens=5))
        server.wait_closed()
    assert 0.1 <= (record.cancelled_ns - record.t_send_ns) / 1e9 < record.deadline_s / 2  # type: ignore[operator]


def test_while_waiting_to_try_again() -> None:
    """A client that leaves between two tries makes no further one."""
    with RefusingServer(503, "Retry-After: 3") as server:
        record = ask(server, retries=3, cancel=mix("after_s", after_s=0.1))
    assert (len(record.attempts), record.failure) == (1, None)
    assert record.cancelled_ns is not None
