"""The client's retries: when, after how long, and when not."""

from __future__ import annotations

import random
import socket
import time
from email.utils import formatdate

import pytest
from load_servers import (
    ClosingServer,
    Peer,
    RefusingServer,
    Request,
    ResettingServer,
    Server,
    StallingServer,
    TruncatingServer,
    ask,
    one_class,
    only,
    plan_for,
    whole_answer,
)

from servedrill.dialect.openai import retry_after_s
from servedrill.load.retry import backoff_s


def test_an_overloaded_stack_is_asked_again() -> None:
    """After a 503 comes another try, and the record holds both and the answer of the last."""
    with RefusingServer(503, times=2) as server:
        record = ask(server, retries=3, backoff_s=0.01)
    assert record.failure is None
    assert [(attempt.status, attempt.error) for attempt in record.attempts] == [
        (503, "http_503"),
        (503, "http_503"),
        (200, None),
    ]
    assert (record.error_type, record.texts) == (None, [" w0 w1 w2"])
    assert record.t_send_ns == record.attempts[0].t_send_ns


def test_retry_after_is_honoured() -> None:
    """The next try does not begin before the time that the stack asked for."""
    with RefusingServer(429, "Retry-After: 0.3", times=1) as server:
        record = ask(server, retries=1, backoff_s=0.01)
    first, second = record.attempts
    assert (first.retry_after_s, record.failure) == (0.3, None)
    assert (second.t_send_ns - first.t_end_ns) / 1e9 >= 0.3


def test_no_try_that_could_not_begin_in_time() -> None:
    """A Retry-After beyond the deadline ends the request at once, with the failure that it had."""
    with RefusingServer(429, "Retry-After: 60") as server:
        record = ask(server, retries=5, deadline_s=30.0)
    assert (record.failure, len(record.attempts)) == ("http_429", 1)
    assert record.t_end_ns - record.t_int_ns < 15e9


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_statuses_that_are_tried_again(status: int) -> None:
    """What the usual SDKs retry."""
    with RefusingServer(status) as server:
        assert len(ask(server, retries=2, backoff_s=0.001).attempts) == 3


@pytest.mark.parametrize("status", [400, 401, 404, 422])
def test_statuses_that_are_final(status: int) -> None:
    """A request that is wrong stays wrong."""
    with RefusingServer(status) as server:
        assert len(ask(server, retries=2, backoff_s=0.001).attempts) == 1


@pytest.mark.parametrize(
    ("server", "tries"),
    [
        pytest.param(ClosingServer(), 3, id="closed-before-an-answer"),
        pytest.param(ResettingServer(), 3, id="reset-before-an-answer"),
        pytest.param(TruncatingServer(1), 1, id="cut-after-content"),
        pytest.param(TruncatingServer(0), 1, id="cut-after-headers"),
        pytest.param(ResettingServer(words=1), 1, id="reset-after-content"),
    ],
)
def test_only_before_an_answer_began(server: Server, tries: int) -> None:
    """Nothing is asked twice once an answer has begun: its tokens would come doubled."""
    with server:
        assert len(ask(server, retries=2, backoff_s=0.001).attempts) == tries


def test_a_refused_connection_is_tried_again() -> None:
    """Each try that found nobody is an attempt of its own."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        record = only(plan_for(f"http://127.0.0.1:{unused.getsockname()[1]}", one_class(retries=2, backoff_s=0.001)))
    assert [attempt.error for attempt in record.attempts] == ["connect"] * 3


def test_the_deadline_covers_all_tries() -> None:
    """A deadline ends the request in the middle of its second try."""

    async def refuse_then_stall(peer: Peer, request: Request, number: int) -> None:
        if number == 0:
            await peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        else:
            await peer.gone()

    with Server(refuse_then_stall) as server:
        record = ask(server, retries=5, backoff_s=0.001, deadline_s=1.0)
    assert (record.failure, len(record.attempts)) == ("deadline", 2)
    assert 1.0 <= (record.t_end_ns - record.t_int_ns) / 1e9 < 30


def test_every_try_sends_the_same_request() -> None:
    """Same body, same request id, same idempotency key: the stack can tell that it is one request."""
    with RefusingServer(503, times=1) as server:
        ask(server, retries=1, backoff_s=0.001, idempotency=True)
    first, second = server.requests
    assert first.body == second.body
    assert first.headers == second.headers


def test_a_first_token_that_does_not_come_is_final() -> None:
    """The client's own patience is no reason to ask again."""
    with StallingServer() as server:
        assert len(ask(server, retries=3, first_token_timeout_s=0.05).attempts) == 1


def test_full_jitter() -> None:
    """Backoff is drawn from nought to a bound that doubles up to 4 s, and spreads over all of it."""
    rng = random.Random(1)
    for tries, bound_s in ((1, 0.25), (2, 0.5), (5, 4.0), (50, 4.0)):
        waits = [backoff_s(tries, base_s=0.25, retry_after_s=None, rng=rng) for _ in range(500)]
        assert 0 <= min(waits) < bound_s * 0.05
        assert bound_s * 0.95 < max(waits) <= bound_s


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        (b"3", 3.0),
        (b"0.5", 0.5),
        (b"-1", 0.0),
        (b"soon", None),
        (b"", None),
        (b"1e99", None),
        (b"nan", None),
    ],
)
def test_retry_after_in_seconds(value: bytes | None, seconds: float | None) -> None:
    """Seconds are taken as they are; what makes no sense is as good as absent."""
    assert retry_after_s(value) == seconds


def test_retry_after_as_a_date() -> None:
    """The header's other form counts from now."""
    seconds = retry_after_s(formatdate(time.time() + 30, usegmt=True).encode())
    assert seconds is not None
    assert 0 < seconds <= 30


def test_the_answer_in_between_leaves_no_trace() -> None:
    """Preambles and errors of a failed try are not those of the answer."""

    async def first_closes(peer: Peer, request: Request, number: int) -> None:
        if number:
            await peer.send(whole_answer(1))

    with Server(first_closes) as server:
        record = ask(server, retries=1, backoff_s=0.001)
    assert (record.failure, record.preambles, record.error_message) == (None, 1, None)
